"""`make orders` goes through all orders of all histories, or of those with HISTORY in their names."""

import argparse
import gc
import sys
from collections.abc import Iterator
from typing import Final

from tests.orders.explore import Exploration, Report, Wrong
from tests.orders.graph import Graph
from tests.orders.histories import HISTORIES
from tests.orders.life import Gaps, History
from tests.orders.stage import Stage, staged
from tests.orders.walk import walk

# In seconds: all in one second, in seconds that follow each other, further apart. For shorter histories also mixes.
GAPS: Final[tuple[Gaps, ...]] = ((0,), (1,), (60,))
MIXES: Final[tuple[Gaps, ...]] = ((0, 1), (1, 0), (0, 60))
SHORT: Final = 7  # events
WALKS: Final = 3


def reports(stage: Stage, history: History) -> Iterator[Report]:
    """One for each choice of gaps. Raises `Wrong`."""
    for gaps in (*GAPS, *MIXES):
        graph = Graph(stage, history, gaps)
        if gaps in MIXES and len(graph.life.events) > SHORT:
            return
        yield Exploration(graph).run()
        for seed in range(WALKS):
            walk(graph, seed)
        del graph
        gc.collect()


def main() -> int:
    parser = argparse.ArgumentParser(description="All orders of deliveries of short histories.")
    parser.add_argument("history", nargs="?", default="", help="a part of a name")
    asked = parser.parse_args()
    chosen = {name: history for name, history in HISTORIES.items() if asked.history in name}
    total, wrong = Report(), 0
    gc.disable()  # looking for garbage among millions of nodes would double the time
    print("| history | events | orders | states | transitions | runs of a handler | seconds |")
    print("|---|---|---|---|---|---|---|", flush=True)
    with staged() as stage:
        for name, history in chosen.items():
            try:
                found = sum(reports(stage, history), Report())
            except Wrong as error:
                wrong += 1
                print(f"| {name} | WRONG |\n{error}", flush=True)
                continue
            total += found
            print(f"| {name} {found.row}", flush=True)
    print(f"| all {total.row}")
    return 1 if wrong or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
