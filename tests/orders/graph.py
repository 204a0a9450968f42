"""Every order of one history, as a graph whose equal states are merged.

A node is: how far Stripe is, which events were accepted, what the table holds, and what was announced once. From it
Stripe goes on, or an event that was made is delivered, or somebody calls the platform. So a path from the first node to
a last one is one order of all that happens, and the graph has all of them. Where two orders lead to the same state,
what follows is the same, and it is looked at once.

A delivery of an event whose record is closed leads back to its own node (`behaviour.py` checks that it reads nothing
but the record). So each order stands also for all orders that have any duplicates in addition.
"""

import json
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from functools import cached_property, partial
from typing import Any, Final, NamedTuple

from billing.adapters.table import items
from billing.adapters.table.keys import Key
from local.stripe.engine.store import Object
from tests.orders.behaviour import Act, Behaviour, Leaf, State, Taken, told_once
from tests.orders.check import differences, due_once
from tests.orders.life import SOLD, TENANT, Gaps, History, Life
from tests.orders.stage import Moment, Stage
from tests.torture import model

_PARTITION: Final = f"TENANT#{TENANT}"
# Which payload or answer brought the last state depends on the order. What the state says does not.
_OF_THE_WAY: Final = ("snapshotFrom", "snapshotAt")

type Told = frozenset[tuple[str, str]]


class Wrong(AssertionError):
    """An order that ends, or is at some point, as it must not be."""


class Node(NamedTuple):
    """`accepted` and `ignored` are sets of events, as bits. `state` and `told` are numbers."""

    moment: int
    accepted: int
    ignored: int
    state: int
    told: int

    @property
    def rank(self) -> int:
        """Grows along every edge, except along those of a call that is not a delivery."""
        return self.moment + 2 * self.accepted.bit_count() + self.ignored.bit_count()


@dataclass(frozen=True)
class Report:
    """`events`: of one choice of gaps. The rest may be of several."""

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


class Numbered[T]:
    """Gives equal things the same number."""

    def __init__(self) -> None:
        self.all: list[T] = []
        self._numbers: dict[Any, int] = {}

    def number(self, thing: T, key: Any) -> int:
        if key not in self._numbers:
            self._numbers[key] = len(self.all)
            self.all.append(thing)
        return self._numbers[key]


class Graph:
    def __init__(self, stage: Stage, history: History, gaps: Gaps) -> None:
        self.life = Life(stage, history, gaps)
        self.behaviour = Behaviour(stage)
        self.states: Numbered[State] = Numbered()
        self.tolds: Numbered[Told] = Numbered()
        self.deliveries = [*map(self._deliveries, self.life.events, self.life.older)]
        self.calls = [Act(label, call) for label, call in self.life.acts.items()]
        self.sweep = Act("the sweep runs", partial(stage.world.run, "sweep_due_items", {}))
        self._expected = [self._must_hold(moment) for moment in self.life.moments]
        self._access = self._may_be_active()
        self._leaves: dict[tuple[int, int, Act, bool], Leaf] = {}
        self._after: dict[tuple[int, tuple[tuple[Key, int], ...]], int] = {}
        self._checked: set[tuple[int, int, int]] = set()
        self.parents: dict[Node, tuple[Node, Act | None] | None] = {}

    def _must_hold(self, moment: Moment) -> model.Expected | None:
        """What the table must hold when everything has arrived. None: Stripe does not rest."""
        if not moment.rest:
            return None
        return model.expected(moment.store, TENANT, SOLD, self.life.own) if moment.linked else {}

    def _deliveries(self, event: Object, older: Object | None) -> list[Act]:
        """The event, or the same event in an older shape: whichever comes first closes the record."""
        name = f"deliver event {self.life.events.index(event) + 1}, {event['type']}"
        deliver = self.life.stage.world.deliver
        made = [Act(name, partial(deliver, event), event)]
        return made + ([Act(f"{name} in the older shape", partial(deliver, older), older)] if older else [])

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

    # -- the way through

    def explore(self) -> Report:
        """Raises `Wrong` with an order that goes wrong. There is none with fewer steps of Stripe and deliveries."""
        began = time.monotonic()
        first = self.first
        self.parents = {first: None}
        buckets: dict[int, dict[Node, int]] = defaultdict(dict, {first.rank: {first: 1}})
        transitions, orders, ends = 0, 0, dict[str, Node]()
        while buckets:
            rank = min(buckets)
            paths = buckets[rank]
            for node in self._ordered(paths):
                self._check(node)
                onward = [(act, after) for act, after in self.edges(node) if after != node]
                transitions += len(onward)
                for act, after in onward:
                    self.parents.setdefault(after, (node, act))
                    buckets[after.rank][after] = buckets[after.rank].get(after, 0) + paths[node]
                if not onward:
                    orders += paths[node]
                    ends.setdefault(self._end(node), node)
            del buckets[rank]
        if len(ends) != 1:
            raise Wrong("\n\n".join(f"{end}\n{self.way(node)}" for end, node in ends.items()))
        return Report(
            events=len(self.life.events),
            orders=orders,
            nodes=len(self.parents),
            transitions=transitions,
            runs=self.behaviour.runs,
            seconds=time.monotonic() - began,
        )

    def way(self, node: Node) -> str:
        """The order that led to the node."""
        steps: list[str] = []
        step = self.parents[node]
        while step:
            before, act = step
            steps.append(act.label if act else f"at Stripe: {self.life.moments[before.moment + 1].label}")
            step = self.parents[before]
        return "\n".join(f"  {n}. {label}" for n, label in enumerate(reversed(steps), 1))

    @cached_property
    def first(self) -> Node:
        state = self._state(self.behaviour.state_of(self.life.begun))
        told = frozenset(one for _, before, after in self.life.begun_by for one in told_once(before, after))
        return Node(0, 0, 0, state, self.tolds.number(told, told))

    def _ordered(self, nodes: Iterable[Node]) -> Iterator[Node]:
        """The nodes of one rank, and those that calls make of them: each one before what is made of it."""
        found: list[Node] = []
        seen: set[Node] = set()

        def visit(node: Node) -> None:
            seen.add(node)
            for _, after in self._calls(node):
                if after not in seen:
                    visit(after)
            found.append(node)

        for node in nodes:
            if node not in seen:
                visit(node)
        return reversed(found)

    def edges(self, node: Node) -> Iterator[tuple[Act | None, Node]]:
        """What may happen now, and where it leads. None: Stripe goes on."""
        moments = self.life.moments
        if node.moment + 1 < len(moments):
            yield None, node._replace(moment=node.moment + 1)
        for n in range(moments[node.moment].events):
            bit = 1 << n
            if node.accepted & bit:
                continue
            for act in self.deliveries[n]:
                leaf, after = self._done(node, act, ignored=bool(node.ignored & bit))
                match leaf.taken:
                    case Taken.CLOSED:
                        after = after._replace(accepted=node.accepted | bit, ignored=node.ignored & ~bit)
                    case Taken.IGNORED:
                        after = after._replace(ignored=node.ignored | bit)
                yield act, after
        yield from self._calls(node)

    def _calls(self, node: Node) -> Iterator[tuple[Act, Node]]:
        for act in [*self.calls, *([self.sweep] if self._is_due(node.state) else [])]:
            yield act, self._done(node, act)[1]

    def _done(self, node: Node, act: Act, *, ignored: bool = False) -> tuple[Leaf, Node]:
        leaf = self._leaves.get((node.state, -1, act, ignored)) or self._leaves.get(
            (node.state, node.moment, act, ignored)
        )
        if leaf is None:
            moment = self.life.moments[node.moment]
            leaf = self.behaviour.outcome(act, self.states.all[node.state], moment, ignored=ignored)
            self._leaves[node.state, node.moment if leaf.asked else -1, act, ignored] = leaf
        told = self.tolds.all[node.told]
        twice = told.intersection(leaf.told) or len(set(leaf.told)) < len(leaf.told)
        if leaf.wrong or twice:
            what = [*leaf.wrong, *(f"told twice: {one}" for one in leaf.told if twice)]
            raise Wrong("\n".join([*what, self.way(node), f"  then: {act.label}"]))
        if not leaf.written:
            return leaf, node
        now = told.union(leaf.told)
        return leaf, node._replace(state=self._written(node.state, leaf), told=self.tolds.number(now, now))

    def _written(self, state: int, leaf: Leaf) -> int:
        change = (state, leaf.written)
        if change not in self._after:
            self._after[change] = self._state({**self.states.all[state], **dict(leaf.written)})
        return self._after[change]

    def _state(self, state: State) -> int:
        return self.states.number(state, frozenset(state.items()))

    def _is_due(self, state: int) -> bool:
        number = self.states.all[state].get(Key(_PARTITION, "TENANT"))
        return number is not None and "importDue" in self.behaviour.values[number]

    # -- what must be so

    def _check(self, node: Node) -> None:
        """At each node. When Stripe rests and everything has arrived, the table must be as Stripe is."""
        pending = ((1 << self.life.moments[node.moment].events) - 1) & ~(node.accepted | node.ignored)
        expected = self._expected[node.moment]
        arrived = not pending and expected is not None and not self._is_due(node.state)
        asked = (node.state, node.moment if arrived else -1, node.told if arrived else self._access[node.moment])
        if asked in self._checked:
            return
        self._checked.add(asked)
        held = self._held(node.state)
        wrong = []
        if held.get(TENANT, {}).get("status") == "ACTIVE" and not self._access[node.moment]:
            wrong.append("the tenant is ACTIVE, and Stripe never had a reason for it")
        if arrived and expected is not None:
            wrong += differences(held, expected, older=self.life.both_shapes)
            due = {one for key, item in held.items() for one in due_once(key, item)}
            wrong += [f"announced {one} without a reason" for one in self.tolds.all[node.told] - due]
            wrong += [f"never announced {one}" for one in due - self.tolds.all[node.told]]
        if wrong:
            raise Wrong("\n".join([*wrong, self.way(node)]))

    def _end(self, node: Node) -> str:
        everything = (1 << len(self.life.events)) - 1
        if (node.accepted | node.ignored) != everything or self._is_due(node.state):
            raise Wrong(f"Something is never accepted, or stays due:\n{self.way(node)}")
        held = {
            key: {name: value for name, value in item.items() if name not in _OF_THE_WAY}
            for key, item in self._held(node.state).items()
        }
        return json.dumps(held, sort_keys=True, indent=1)

    def _held(self, state: int) -> dict[str, items.Item]:
        """Everything of the tenant's, by id."""
        found = [self.behaviour.values[n] for key, n in self.states.all[state].items() if key.PK == _PARTITION]
        loaded = map(items.load, found)
        return {item["SK"].partition("#")[2] or TENANT: item for item in loaded}
