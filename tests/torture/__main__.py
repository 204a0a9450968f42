"""`make torture N=10000`: that many histories, and what they came to. A seed makes them come again."""

import argparse
import json
import secrets
import subprocess
import sys
import threading
import time
from collections import Counter

from tests.torture.faults import figures
from tests.torture.run import torture

PROGRESS_SECONDS = 10


def child(histories: int, seed: int) -> None:
    """One process: tells its figures as it goes, a line of JSON at a time."""

    def tell() -> None:
        print(json.dumps(figures), flush=True)

    done = threading.Event()

    def keep_telling() -> None:
        while not done.wait(PROGRESS_SECONDS):
            tell()

    threading.Thread(target=keep_telling, daemon=True).start()
    try:
        torture(histories, seed)
    finally:
        done.set()
        tell()


class Run:
    """Several processes side by side, each with a seed of its own."""

    def __init__(self, histories: int, seed: int, workers: int) -> None:
        self.histories = histories
        self.told: dict[int, Counter[str]] = {}
        shares = [histories // workers + (n < histories % workers) for n in range(workers)]
        self.processes = [self._start(share, seed + n) for n, share in enumerate(shares)]
        self.threads = [threading.Thread(target=self._listen, args=(n,)) for n in range(workers)]

    def _start(self, share: int, seed: int) -> "subprocess.Popen[str]":
        command = [sys.executable, "-W", "ignore", "-m", "tests.torture", str(share), "--child", "--seed", str(seed)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def _listen(self, number: int) -> None:
        stdout = self.processes[number].stdout
        for line in stdout or ():
            if line.startswith("{"):
                self.told[number] = Counter(json.loads(line))

    def wait(self) -> bool:
        """Whether every history ended well."""
        for thread in self.threads:
            thread.start()
        while any(thread.is_alive() for thread in self.threads):
            self.threads[0].join(PROGRESS_SECONDS)
            if not self.threads[0].is_alive():
                self.threads[-1].join(PROGRESS_SECONDS)
            print(f"  {self.total()['histories']:,} of {self.histories:,} histories", flush=True)
        return all(process.wait() == 0 for process in self.processes)

    def total(self) -> Counter[str]:
        total: Counter[str] = Counter()
        for told in self.told.values():
            total += told
        return total


def main() -> int:
    parser = argparse.ArgumentParser(description="Attacks the webhook and the endpoints, history by history.")
    parser.add_argument("histories", type=int)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        child(asked.histories, asked.seed)
        return 0
    began = time.monotonic()
    print(f"seed {asked.seed}, {asked.workers} processes", flush=True)
    run = Run(asked.histories, asked.seed, asked.workers)
    held = run.wait()
    for name, count in sorted(run.total().items()):
        print(f"  {count:9,} {name}")
    print(f"  {time.monotonic() - began:9,.0f} seconds")
    print("no divergence" if held else f"DIVERGENCE: see above; again with SEED={asked.seed}")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
