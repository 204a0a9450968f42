"""`make torture N=10000` runs that many histories and prints the figures. The same seed repeats the same histories.

A run that was stopped, in whatever way, goes on when the same command is given again with its seed.
"""

import argparse
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.torture import coverage
from tests.torture.faults import figures
from tests.torture.machine import Life
from tests.torture.progress import BLOCK, FOLDER, Progress, code, seed_of, sizes
from tests.torture.run import torture

RULES = [step.name for step in Life.steps()]


def child(histories: int, seed: int) -> None:
    """Runs one block and prints what it did, as one line of JSON."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    began = time.monotonic()
    done = {"histories": histories, "code": code()}
    torture(histories, seed)
    done |= {"seconds": round(time.monotonic() - began), "figures": figures, "coverage": coverage.seen}
    print(json.dumps(done), flush=True)


def _end_with_parent() -> None:
    """The parent holds our standard input open as long as it lives. DynamoDB Local is in our group of processes."""
    os.read(sys.stdin.fileno(), 1)
    os.killpg(0, signal.SIGKILL)


class Run:
    """Runs the blocks that are not done yet, several at the same time."""

    def __init__(self, seed: int, progress: Progress) -> None:
        self.seed = seed
        self.progress = progress
        self.failed: list[int] = []
        self._lock = threading.Lock()

    def go(self, workers: int) -> bool:
        """Returns True if every history succeeded."""
        self._tell_begin()
        left = iter(self.progress.left)
        with ThreadPoolExecutor(workers) as pool:
            for worker in [pool.submit(self._work, left) for _ in range(workers)]:
                worker.result()
        return not self.failed

    def _tell_begin(self) -> None:
        for other in self.progress.others:
            print(f"  begins anew: {other} is progress of other code", flush=True)
        blocks = len(self.progress.sizes)
        done = blocks - len(self.progress.left)
        if done:
            print(f"  goes on: {done} of {blocks} blocks are done in {self.progress.path}", flush=True)

    def _work(self, left: Iterator[int]) -> None:
        while not self.failed:
            with self._lock:
                number = next(left, None)
            if number is None:
                return
            self._run_block(number)

    def _run_block(self, number: int) -> None:
        result = _result_of(self.progress.sizes[number], seed_of(self.seed, number))
        with self._lock:
            if result is None or result["code"] != self.progress.code:
                print(f"  block {number} failed" if result is None else "  STOPPED: the code has changed", flush=True)
                self.failed.append(number)
                return
            self.progress.add(number, result)
            self.progress.save(RULES)
            speed = result["histories"] * 60 / max(1, result["seconds"])
            done = self.progress.sum("figures")["histories"]
            asked = sum(self.progress.sizes)
            print(f"  block {number} is done: {done:,} of {asked:,} histories, {speed:.0f} a minute", flush=True)


def _result_of(histories: int, seed: int) -> dict[str, Any] | None:
    """None: a history failed, and the child has said which."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.torture", str(histories), "--child", "--seed", str(seed)]
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, start_new_session=True, env=environment, **pipes) as process:
        assert process.stdout
        lines = [line for line in process.stdout if line.startswith("{")]
        result: dict[str, Any] | None = json.loads(lines[-1]) if process.wait() == 0 else None
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs random histories that attack the webhook and the endpoints.")
    parser.add_argument("histories", type=int)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--block", type=int, default=BLOCK, help="histories of one block")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the progress is kept")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        child(asked.histories, asked.seed)
        return 0
    began = time.monotonic()
    print(f"seed {asked.seed}, {asked.workers} processes; SEED={asked.seed} goes on if this is stopped", flush=True)
    run = Run(asked.seed, Progress(asked.seed, sizes(asked.histories, asked.block), asked.folder))
    held = run.go(asked.workers)
    for name, count in sorted(run.progress.sum("figures").items()):
        print(f"  {count:9,} {name}")
    print(*coverage.summary(run.progress.sum("coverage"), RULES), sep="\n")
    print(f"  {time.monotonic() - began:9,.0f} seconds; all counts are in {run.progress.path}")
    print("no divergence" if held else f"DIVERGENCE: see above. SEED={asked.seed} repeats it.")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
