"""`make torture N=10000`: that many histories, and what they came to. A seed makes them come again."""

import argparse
import secrets
import sys
import time

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.torture.faults import counted_races, figures
from tests.torture.harness import running
from tests.torture.machine import Life

STEPS = 14


def torture(histories: int, number: int) -> None:
    """Raises what the first history that does not end well raised, shrunk to its shortest."""
    chosen = settings(
        max_examples=histories,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    with running() as Life.harness, counted_races():
        run_state_machine_as_test(seed(number)(Life), settings=chosen)


def main() -> int:
    parser = argparse.ArgumentParser(description="Attacks the webhook and the endpoints, history by history.")
    parser.add_argument("histories", type=int)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    began = time.monotonic()
    try:
        torture(asked.histories, asked.seed)
    except BaseException as error:
        print(f"DIVERGENCE with --seed {asked.seed}: {type(error).__name__}")
        raise
    finally:
        for name, count in sorted(figures.items()):
            print(f"  {count:9,} {name}")
        print(f"  {time.monotonic() - began:9.0f} seconds", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
