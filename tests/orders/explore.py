"""Goes through the graph of a history, counts its orders, and checks every node."""

import json
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from typing import Final

from billing.adapters.table import items
from tests.orders.behaviour import Act
from tests.orders.graph import Graph, Node
from tests.orders.life import SOLD, TENANT
from tests.orders.stage import Moment
from tests.torture import judge, model

# Which payload or answer brought the last state depends on the order. What the state says does not.
_OF_THE_WAY: Final = ("snapshotFrom", "snapshotAt")


class Wrong(AssertionError):
    """An order that ends, or is at some point, as it must not be."""


@dataclass(frozen=True)
class Report:
    """`events`: of one choice of gaps. The rest may be of several. `seconds`: of one core."""

    events: int = 0
    orders: int = 0
    nodes: int = 0
    transitions: int = 0
    runs: int = 0
    seconds: float = 0

    def __add__(self, other: "Report") -> "Report":
        both = zip(astuple(self), astuple(other), strict=True)
        _, *summed = (a + b for a, b in both)
        return Report(max(self.events, other.events), *summed)

    @property
    def row(self) -> str:
        counts = (self.events, self.orders, self.nodes, self.transitions, self.runs)
        return f"| {' | '.join(f'{count:,}' for count in counts)} | {self.seconds:.1f} |"


class Exploration:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.parents: dict[Node, tuple[Node, Act | None] | None] = {}
        self._expected = [self._must_hold(moment) for moment in graph.life.moments]
        self._access = self._may_be_active()
        self._checked: set[tuple[int, int, int]] = set()

    def run(self) -> Report:
        """Raises `Wrong` with an order that goes wrong. There is none with fewer steps of Stripe and deliveries."""
        began = time.process_time()
        first = self.graph.first
        self.parents = {first: None}
        buckets: dict[int, dict[Node, int]] = defaultdict(dict, {first.rank: {first: 1}})
        transitions, orders, ends = 0, 0, dict[str, Node]()
        while buckets:
            rank = min(buckets)
            paths = buckets[rank]
            done: set[Node] = set()  # of this rank
            for node in self._ordered(paths):
                done.add(node)
                self._check(node)
                edges = [*self.graph.edges(node)]
                for act, _, wrong in edges:
                    if act and wrong:
                        raise Wrong("\n".join([*wrong, self.way(node), f"  then: {act.label}"]))
                onward = [edge for edge in edges if edge.after != node]
                transitions += len(onward)
                for act, after, _ in onward:
                    assert after not in done, "a call leads back"
                    self.parents.setdefault(after, (node, act))
                    buckets[after.rank][after] = buckets[after.rank].get(after, 0) + paths[node]
                if not onward:
                    orders += paths[node]
                    ends.setdefault(self._end(node), node)
            del buckets[rank]
        if len(ends) != 1:
            raise Wrong("\n\n".join(f"{end}\n{self.way(node)}" for end, node in ends.items()))
        return Report(
            events=len(self.graph.life.events),
            orders=orders,
            nodes=len(self.parents),
            transitions=transitions,
            runs=self.graph.behaviour.runs,
            seconds=time.process_time() - began,
        )

    def way(self, node: Node) -> str:
        """The order that led to the node."""
        steps: list[str] = []
        step = self.parents[node]
        while step:
            before, act = step
            steps.append(act.label if act else f"at Stripe: {self.graph.life.moments[before.moment + 1].label}")
            step = self.parents[before]
        return "\n".join(f"  {n}. {label}" for n, label in enumerate(reversed(steps), 1))

    def _ordered(self, nodes: Iterable[Node]) -> Iterator[Node]:
        """The nodes of one rank, and those that calls make of them: each one before what is made of it."""
        found: list[Node] = []
        seen: set[Node] = set()

        def visit(node: Node) -> None:
            seen.add(node)
            for edge in self.graph.calls_from(node):
                if edge.after not in seen:
                    visit(edge.after)
            found.append(node)

        for node in nodes:
            if node not in seen:
                visit(node)
        return reversed(found)

    def _must_hold(self, moment: Moment) -> model.Expected | None:
        """What the table must hold when everything has arrived. None: Stripe does not rest."""
        if not moment.rest:
            return None
        if moment.customers is None:
            return {}
        expected = model.expected(moment.store, TENANT, SOLD, self.graph.life.own, moment.customers)
        if self.graph.life.both_shapes:  # an older payload names the invoice of a payment before it succeeds
            for fields in expected.values():
                if fields.get("invoiceId", "") is None:
                    del fields["invoiceId"]
        return expected

    def _may_be_active(self) -> list[bool]:
        """For each moment: whether by the end of its happening Stripe ever had a reason to give access."""
        found, ever, waiting = [], False, 0
        for expected in self._expected:
            waiting += 1
            if expected is not None:
                ever = ever or expected.get(TENANT, {}).get("status") == "ACTIVE"
                found += [ever] * waiting
                waiting = 0
        return found

    # -- what must be so

    def _check(self, node: Node) -> None:
        """At each node. When Stripe rests and everything has arrived, the table must be as Stripe is."""
        pending = ((1 << self.graph.life.moments[node.moment].events) - 1) & ~(node.accepted | node.ignored)
        expected = self._expected[node.moment]
        arrived = not pending and expected is not None and not self.graph.is_due(node.state)
        asked = (node.state, node.moment if arrived else -1, node.told if arrived else self._access[node.moment])
        if asked in self._checked:
            return
        self._checked.add(asked)
        held = self.graph.held(node.state)
        wrong = _not_following(held)
        if held.get(TENANT, {}).get("status") == "ACTIVE" and not self._access[node.moment]:
            wrong.append("the tenant is ACTIVE, and Stripe never had a reason for it")
        if arrived and expected is not None:
            wrong += judge.differences(held, expected)
            due = {
                (kind, key)
                for key, item in held.items()
                for kind, happened in judge.announced_once(item["SK"], item).items()
                if happened
            }
            wrong += [f"announced {one} without a reason" for one in self.graph.tolds.all[node.told] - due]
            wrong += [f"never announced {one}" for one in due - self.graph.tolds.all[node.told]]
        if wrong:
            raise Wrong("\n".join([*wrong, self.way(node)]))

    def _end(self, node: Node) -> str:
        everything = (1 << len(self.graph.life.events)) - 1
        if (node.accepted | node.ignored) != everything or self.graph.is_due(node.state):
            raise Wrong(f"Something is never accepted, or stays due:\n{self.way(node)}")
        held = {
            key: {name: value for name, value in item.items() if name not in _OF_THE_WAY}
            for key, item in self.graph.held(node.state).items()
        }
        return json.dumps(held, sort_keys=True, indent=1)


def _not_following(held: dict[str, items.Item]) -> list[str]:
    """The tenant's status follows from its subscriptions in every state of the table."""
    of_the_tenant = judge.Judge(TENANT)
    of_the_tenant.items = {item["SK"]: item for item in held.values()}
    try:
        of_the_tenant.end_of_transaction()
    except AssertionError as error:
        return [str(error)]
    return []
