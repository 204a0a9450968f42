"""Every order of one history, as a graph whose equal states are merged.

A node is: how far Stripe is, which events were accepted, what the table holds, and what was announced once. From it
Stripe goes on, or an event that was made is delivered, or somebody calls the platform. So a path from the first node to
a last one is one order of all that happens, and the graph has all of them. Where two orders lead to the same state,
what follows is the same, and it is looked at once.

A delivery of an event whose record is closed leads back to its own node (`behaviour.py` checks that it reads nothing
but the record). So each order stands also for all orders that have any duplicates in addition.
"""

from collections.abc import Iterator
from functools import cached_property, partial
from typing import Any, Final, NamedTuple

from billing.adapters.table import items
from billing.adapters.table.keys import Key
from local.stripe.engine.store import Object
from tests.orders.behaviour import Act, Behaviour, Leaf, State, Taken, told_once
from tests.orders.life import TENANT, Gaps, History, Life
from tests.orders.stage import Stage

_PARTITION: Final = f"TENANT#{TENANT}"

type Told = frozenset[tuple[str, str]]


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


class Edge(NamedTuple):
    """What may happen, and where it leads. `act` is None: Stripe goes on. `wrong`: what must not happen."""

    act: Act | None
    after: Node
    wrong: tuple[str, ...] = ()


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
        self._leaves: dict[tuple[int, int, Act, bool], Leaf] = {}
        self._after: dict[tuple[int, tuple[tuple[Key, int], ...]], int] = {}

    def _deliveries(self, event: Object, older: Object | None) -> list[Act]:
        """The event, or the same event in an older shape: whichever comes first closes the record."""
        name = f"deliver event {self.life.events.index(event) + 1}, {event['type']}"
        deliver = self.life.stage.world.deliver
        made = [Act(name, partial(deliver, event), event)]
        return made + ([Act(f"{name} in the older shape", partial(deliver, older), older)] if older else [])

    @cached_property
    def first(self) -> Node:
        state = self._state(self.behaviour.state_of(self.life.begun))
        told = frozenset(one for _, before, after in self.life.begun_by for one in told_once(before, after))
        return Node(0, 0, 0, state, self.tolds.number(told, told))

    def edges(self, node: Node) -> Iterator[Edge]:
        moments = self.life.moments
        if node.moment + 1 < len(moments):
            yield Edge(None, node._replace(moment=node.moment + 1))
        for n in range(moments[node.moment].events):
            bit = 1 << n
            if node.accepted & bit:
                continue
            for act in self.deliveries[n]:
                leaf, edge = self._done(node, act, ignored=bool(node.ignored & bit))
                after = edge.after
                match leaf.taken:
                    case Taken.CLOSED:
                        after = after._replace(accepted=node.accepted | bit, ignored=node.ignored & ~bit)
                    case Taken.IGNORED:
                        after = after._replace(ignored=node.ignored | bit)
                yield edge._replace(after=after)
        yield from self.calls_from(node)

    def calls_from(self, node: Node) -> Iterator[Edge]:
        for act in [*self.calls, *([self.sweep] if self.is_due(node.state) else [])]:
            yield self._done(node, act)[1]

    def _done(self, node: Node, act: Act, *, ignored: bool = False) -> tuple[Leaf, Edge]:
        leaf = self._leaf(node, act, ignored=ignored)
        if not leaf.written:
            return leaf, Edge(act, node)
        told = self.tolds.all[node.told]
        twice = [one for n, one in enumerate(leaf.told) if one in told or one in leaf.told[:n]]
        now = told.union(leaf.told)
        after = node._replace(state=self._written(node.state, leaf), told=self.tolds.number(now, now))
        return leaf, Edge(act, after, (*leaf.wrong, *(f"announced twice: {one}" for one in twice)))

    def _leaf(self, node: Node, act: Act, *, ignored: bool) -> Leaf:
        """Remembered by the state, and where Stripe is asked, by the moment."""
        known = self._leaves.get((node.state, -1, act, ignored))
        known = known or self._leaves.get((node.state, node.moment, act, ignored))
        if known is None:
            moment = self.life.moments[node.moment]
            known = self.behaviour.outcome(act, self.states.all[node.state], moment, ignored=ignored)
            self._leaves[node.state, node.moment if known.asked else -1, act, ignored] = known
        return known

    def _written(self, state: int, leaf: Leaf) -> int:
        change = (state, leaf.written)
        if change not in self._after:
            self._after[change] = self._state({**self.states.all[state], **dict(leaf.written)})
        return self._after[change]

    def _state(self, state: State) -> int:
        return self.states.number(state, frozenset(state.items()))

    def is_due(self, state: int) -> bool:
        number = self.states.all[state].get(Key(_PARTITION, "TENANT"))
        return number is not None and "importDue" in self.behaviour.values[number]

    def held(self, state: int) -> dict[str, items.Item]:
        """Everything of the tenant's, by id."""
        found = [self.behaviour.values[n] for key, n in self.states.all[state].items() if key.PK == _PARTITION]
        loaded = map(items.load, found)
        return {item["SK"].partition("#")[2] or TENANT: item for item in loaded}
