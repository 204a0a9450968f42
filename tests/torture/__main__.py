"""`make torture N=10000` runs that many histories and prints the figures. The same seed repeats the same histories."""

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
    """Runs the histories of one process. Prints its figures regularly, as one line of JSON."""

    def print_figures() -> None:
        print(json.dumps(figures), flush=True)

    done = threading.Event()

    def print_regularly() -> None:
        while not done.wait(PROGRESS_SECONDS):
            print_figures()

    threading.Thread(target=print_regularly, daemon=True).start()
    try:
        torture(histories, seed)
    finally:
        done.set()
        print_figures()


class Run:
    """Several processes that run at the same time. Each has its own seed."""

    def __init__(self, histories: int, seed: int, workers: int) -> None:
        self.histories = histories
        self.reports: dict[int, Counter[str]] = {}
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
                self.reports[number] = Counter(json.loads(line))

    def wait(self) -> bool:
        """Waits for the processes. Returns True if every history succeeded."""
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
        for report in self.reports.values():
            total += report
        return total


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs random histories that attack the webhook and the endpoints.")
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
    print("no divergence" if held else f"DIVERGENCE: see above. SEED={asked.seed} repeats it.")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
