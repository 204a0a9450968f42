"""`make bench`: every benchmark, one after the other, and what came out beside the goals.

Each runs in a process of its own. The figures are left in `.local/bench`. PLOT=1 draws `docs/images/performance.svg`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.measure import ROOT, machine, show

FOLDER: Final = ROOT / ".local" / "bench"
PLOT: Final = ROOT / "docs" / "images" / "performance.svg"
RUNS: Final = ("webhook", "cold_start", "publish", "growth", "local_stack", "reconcile", "reconcile_large")


class Goal(NamedTuple):
    """`most`: a ratio to an opponent (1: it costs as much), or a figure. `least` the other way round."""

    name: str
    most: float | None = None
    least: float | None = None

    def holds(self, value: float) -> bool:
        return (self.most is None or value <= self.most) and (self.least is None or value >= self.least)

    @property
    def said(self) -> str:
        return f"<= {self.most:g}" if self.most is not None else f">= {self.least:g}"


GOALS: Final = (
    Goal("a webhook, warm: processor, x the usual design", most=0.40),
    Goal("a webhook, warm: wall clock, x the usual design", most=0.60),
    Goal("a webhook, from the start to its answer: processor, x a lean start", most=0.75),
    Goal("a checkout, cold with clients: processor, x a lean start with Stripe", most=1.0),
    Goal("the layer with .pyc files: MiB", most=36),
    Goal("the layer, zipped: MiB", most=16),
    Goal("100 announced records: calls", most=20),
    Goal("100 announced records: processor, ms", most=90),
    Goal("the local stack, 8 senders: events a second", least=75),
)


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.json"):
        old.unlink()
    for name in RUNS:
        print(f"\n== {name}", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=ROOT, check=True)  # noqa: S603 - our own code
    found: dict[str, float] = {}
    for path in sorted(FOLDER.glob("*.json")):
        found |= json.loads(path.read_text())
    rows = [
        [goal.name, f"{found[goal.name]:.2f}", goal.said, "yes" if goal.holds(found[goal.name]) else "NO"]
        for goal in GOALS
        if goal.name in found
    ]
    show(f"The goals. {machine()}", ["now", "goal", "holds"], rows)
    if os.environ.get("PLOT"):
        _plot(
            [goal for goal in GOALS if goal.most is not None and goal.name in found and ", x " in goal.name],
            found,
            PLOT,
        )


def _plot(goals: list[Goal], found: dict[str, float], into: Path) -> None:
    """Bars of what ours costs beside its opponent, which costs 1. The line on each bar is the goal."""
    wide, high, left = 720, 46, 20
    scale = (wide - 2 * left) / 1.2
    box = f'viewBox="0 0 {wide} {high * len(goals) + 50}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="img" font-family="sans-serif" font-size="13">',
        "<title>What ours costs beside the opponent</title>",
        f'<rect width="{wide}" height="100%" fill="#ffffff"/>',
    ]
    for number, goal in enumerate(goals):
        top, value, mark = number * high + 10, found[goal.name], left + (goal.most or 0) * scale
        parts += [
            f'<text x="{left}" y="{top + 12}" fill="#1f2328">{goal.name}</text>',
            f'<rect x="{left}" y="{top + 18}" width="{scale:.0f}" height="14" fill="#d0d7de"/>',
            f'<rect x="{left}" y="{top + 18}" width="{value * scale:.0f}" height="14" fill="#0969da"/>',
            f'<rect x="{mark:.0f}" y="{top + 15}" width="2" height="20" fill="#cf222e"/>',
            f'<text x="{left + 1.05 * scale:.0f}" y="{top + 30}" fill="#1f2328">{value:.2f}</text>',
        ]
    foot = len(goals) * high + 30
    parts.append(
        f'<text x="{left}" y="{foot}" fill="#59636e">grey: the opponent (1.0); blue: ours; red: the goal</text></svg>'
    )
    into.write_text("\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
