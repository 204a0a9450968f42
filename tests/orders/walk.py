"""Delivers one order of the graph to a table with everything that the graph leaves out.

Here the table keeps its revisions, its dates, its records and its counts, and the platform's clock runs. After each
step its canonical form must be the state of the graph's node. So nothing that the graph leaves out decides anything.
"""

import random

from tests.orders.behaviour import Act
from tests.orders.graph import Graph, Node
from tests.orders.stage import NOW

_TWICE = 0.3
_SECONDS = (0, 0, 1, 7)


def walk(graph: Graph, seed: int) -> int:
    """Returns how many events were delivered a second time. Raises `AssertionError` where table and graph part."""
    chance = random.Random(seed)
    steps = _way(graph, chance)  # first all of it: the graph runs handlers over the same memory
    stage, behaviour = graph.life.stage, graph.behaviour
    stage.memory.begin(graph.life.begun)
    delivered: list[Act] = []
    node, twice = graph.first, 0
    for act, after in steps:
        stage.moment = graph.life.moments[node.moment]
        stage.now += chance.choice(_SECONDS)
        if act:
            act.call()
        if act and after.accepted != node.accepted:
            delivered.append(act)
        node = after
        assert behaviour.state_of(stage.memory.items) == graph.states.all[node.state], act and act.label
        if delivered and chance.random() < _TWICE:
            before = {**stage.memory.items}
            chance.choice(delivered).call()
            twice += 1
            assert stage.memory.items == before, "a duplicate changed the table"
    stage.now = NOW
    return twice


def _way(graph: Graph, chance: random.Random) -> list[tuple[Act | None, Node]]:
    node, steps = graph.first, list[tuple[Act | None, Node]]()
    while True:
        onward = [(act, after) for act, after, _ in graph.edges(node) if after != node]
        if not onward:
            return steps
        steps.append(chance.choice(onward))
        node = steps[-1][1]
