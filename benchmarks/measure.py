"""What the benchmarks share: figures of many runs, and a table of them."""

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Figures:
    """Milliseconds of each run: of the processor, and on the wall clock."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    def run(self, act: Callable[[], object]) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        act()
        self.cpu.append((time.process_time() - cpu) * 1000)
        self.wall.append((time.perf_counter() - wall) * 1000)

    def shown(self) -> list[str]:
        """Minimum, median and p90 of both."""
        return [f"{value:.2f}" for kind in (self.cpu, self.wall) for value in three(kind)]


def three(values: list[float]) -> tuple[float, float, float]:
    """Minimum, median, p90."""
    ordered = sorted(values)
    return ordered[0], statistics.median(ordered), ordered[int(len(ordered) * 0.9)]


def low(values: list[float]) -> float:
    """The lowest decile: what the code needs when nothing else runs. Ratios are made of it."""
    return sorted(values)[len(values) // 10]


HEADS = ["cpu min", "median", "p90", "wall min", "median", "p90"]


def show(title: str, heads: list[str], rows: list[list[str]]) -> None:
    """Prints a table for people, which is Markdown too."""
    table = [["", *heads], *rows]
    widths = [max(len(row[n]) for row in table) for n in range(len(table[0]))]
    print(f"\n{title}\n")
    for number, row in enumerate(table):
        print(
            "| "
            + " | ".join(
                cell.rjust(width) if n else cell.ljust(width)
                for n, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            + " |"
        )
        if not number:
            print("|" + "|".join("-" * (width + 1) + ("-" if not n else ":") for n, width in enumerate(widths)) + "|")


def machine() -> str:
    model = (
        next(
            (
                line.split(":")[1].strip()
                for line in Path("/proc/cpuinfo").read_text().splitlines()
                if "model name" in line
            ),
            platform.machine(),
        )
        if Path("/proc/cpuinfo").exists()
        else platform.machine()
    )
    return f"{os.cpu_count()} cores, {model}, {platform.system()}, Python {platform.python_version()}"
