"""`make attack N=10000` attacks the HTTP edge and prints the figures. The same seed repeats the same attempts."""

import argparse
import secrets
import shutil
import sys

from tests.attack import ATTACKS, NODE
from tests.attack.ground import Tally, run, standing


def main() -> int:
    parser = argparse.ArgumentParser(description="Attacks the HTTP edge with random requests.")
    parser.add_argument("attempts", type=int, help="how many attempts each attack makes")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    parser.add_argument("--only", choices=ATTACKS, help="only this attack")
    asked = parser.parse_args()
    print(f"seed {asked.seed}, {asked.attempts:,} attempts for each attack", flush=True)
    chosen = [name for name in ATTACKS if asked.only in (None, name)]
    tallies = [_run(name, asked.attempts, asked.seed) for name in chosen if _can_run(name)]
    print(f"{'attack':<14}{'attempts':>9} {'refused':>9} {'accepted':>9} {'findings':>9} {'seconds':>9}")
    for tally in tallies:
        print(tally)
    found = any(tally.findings for tally in tallies)
    print(f"FOUND: see above. SEED={asked.seed} repeats it." if found else "nothing found")
    return 1 if found else 0


def _can_run(name: str) -> bool:
    if name in NODE and not shutil.which("node"):
        print(f"{name}: skipped, because its judge is node, which is not there")
        return False
    return True


def _run(name: str, attempts: int, seed: int) -> Tally:
    with standing() as world:
        tally = run(name, ATTACKS[name], world, attempts, seed)
    for finding in tally.findings:
        print(f"FOUND by {finding}", flush=True)
    return tally


if __name__ == "__main__":
    sys.exit(main())
