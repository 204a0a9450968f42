"""What the platform does with an event, as a function of what it reads.

The same code that reads the same values does the same. So an event is run once for each combination of values that its
code reads (items of the table, answers of Stripe), and the outcome is remembered as a leaf of a tree: each node of the
tree is one reading, each branch one value. In another state of the table the tree is walked down. Only where no branch
fits, the real handler runs.

A state of the table is kept in a canonical form. It is without

- `revision`: each write compares it with the one that was read, and here nobody else writes in between;
- `createdAt`, `updatedAt`, `eventId`: they tell of the write, and no decision reads them;
- the changing part of an invoice's addresses: Stripe makes it anew at each reading (`domain/entities.py`, `ADDRESSES`);
- the event's records, except what the next delivery does: nothing (the record is closed), or the work (it is not there,
  `RECEIVED`, `FAILED` or `IGNORED`).

`walk.py` shows that nothing of this matters: it delivers the events to a table with all of it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from billing.adapters.table import items, keys
from billing.adapters.table.keys import Key
from billing.announce import publisher
from local.stripe.engine.store import Object
from tests.orders.memory import Raw, Read, found_by
from tests.orders.stage import Moment, Stage
from tests.torture import announced, judge

type _Judged = tuple[list[tuple[str, str]], list[str]]
type State = Mapping[Key, int]  # for each item its number in `Behaviour.values`

_OF_THE_WRITE: Final = frozenset({"revision", "createdAt", "updatedAt", "eventId"})
_ADDRESSES: Final = ("hostedUrl", "pdf")
_OPEN: Final = ("RECEIVED", "FAILED")
# What is told once of each entity, however the events come. `subscription.renewed` is told of an invoice.
ONCE: Final = frozenset(
    {
        *("subscription.created", "subscription.canceled", "subscription.renewed"),
        *("invoice.created", "invoice.paid", "invoice.voided", "payment.succeeded"),
    }
)


class Taken(Enum):
    """What an event's record says after a delivery."""

    OPEN = "open"  # not applied: Stripe delivers it again
    IGNORED = "ignored"  # accepted, and it changed nothing; another delivery may apply it
    CLOSED = "closed"


@dataclass(frozen=True, eq=False)
class Act:
    """What may happen to the platform: the delivery of an event, or another call (`event` is None)."""

    label: str
    call: Callable[[], Any]
    event: Object | None = None


@dataclass(frozen=True)
class Leaf:
    """`written` maps each written item to its new value. `told`: announcements of ONCE, as (type, id of the entity).

    `wrong`: what must not happen at all. `asked`: Stripe was asked.
    """

    written: tuple[tuple[Key, int], ...]
    taken: Taken
    told: tuple[tuple[str, str], ...]
    wrong: tuple[str, ...]
    asked: bool


@dataclass
class _Node:
    read: Read
    branches: dict[Any, "_Node | Leaf"] = field(default_factory=dict)


class Behaviour:
    """`runs` counts the runs of the real handlers."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.values: list[Raw] = []
        self.runs = 0
        self._numbers: dict[str, int] = {}
        self._trees: dict[tuple[Act, bool], _Node | Leaf] = {}
        self._judgements: dict[tuple[int | None, int], _Judged] = {}
        self._duplicates: set[tuple[Act, str]] = set()
        self._records: dict[tuple[str, Taken], Raw] = {}

    def state_of(self, raw: Mapping[Key, Raw]) -> State:
        return {key: self._number(item) for key, item in raw.items() if _is_kept(key)}

    def outcome(self, act: Act, state: State, moment: Moment, *, ignored: bool = False) -> Leaf:
        """`ignored`: an earlier delivery of the event was ignored."""
        tree = (act, ignored)
        node = self._trees.get(tree)
        while isinstance(node, _Node):
            node = node.branches.get(self._observed(node.read, state, moment))
        if node is None:
            leaf, reads = self._run(act, state, moment, ignored=ignored)
            self._grow(tree, reads, leaf)
            return leaf
        return node

    # -- one run

    def _run(self, act: Act, state: State, moment: Moment, *, ignored: bool) -> tuple[Leaf, dict[Read, Any]]:
        self.runs += 1
        raw = {key: self.values[number] for key, number in state.items()}
        if act.event and ignored:
            raw[keys.event(act.event["id"])] = self._records[act.event["id"], Taken.IGNORED]
        self.stage.moment = moment
        memory = self.stage.memory
        memory.begin(raw)
        answer = act.call()
        reads, writes = memory.reads, memory.writes
        taken = self._taken(act.event, answer) if act.event else Taken.OPEN
        closed = memory.items[keys.event(act.event["id"])] if act.event and taken is Taken.CLOSED else None
        if closed and (act, closed["status"]["S"]) not in self._duplicates:
            self._duplicates.add((act, closed["status"]["S"]))
            self._check_duplicate(act)
        own = keys.event(act.event["id"]).PK if act.event else ""
        assert not [read for read in reads if read[1].startswith("EVENT#") and read[1] != own], "another event's record"
        seen = {read: self._seen(read, found) for read, found in reads.items() if _matters(read)}
        kept = [(key, before, after) for key, before, after in writes if _is_kept(key)]
        leaf = Leaf(
            written=tuple({key: self._number(after) for key, _, after in kept}.items()),
            taken=taken,
            told=tuple(one for _, before, after in kept for one in self._judged(before, after)[0]),
            wrong=tuple(one for _, before, after in kept for one in self._judged(before, after)[1]),
            asked=any(read[0] == "stripe" for read in seen),
        )
        return leaf, seen

    def _judged(self, before: Raw | None, after: Raw) -> _Judged:
        """What a write announces once, and what is wrong with it. Many runs make the same writes."""
        write = (self._number(before) if before else None, self._number(after))
        if write not in self._judgements:
            self._judgements[write] = told_once(before, after), _wrong(before, after)
        return self._judgements[write]

    def _taken(self, event: Object, answer: Any) -> Taken:
        record = self.stage.memory.items.get(keys.event(event["id"]))
        status = record["status"]["S"] if record else "RECEIVED"
        taken = Taken.OPEN if status in _OPEN else Taken.IGNORED if status == "IGNORED" else Taken.CLOSED
        assert answer.status != 500, answer
        assert (answer.status == 200) == (taken is not Taken.OPEN), (answer, status)
        if record:
            self._records[event["id"], taken] = record
        return taken

    def _check_duplicate(self, act: Act) -> None:
        """Another delivery reads the closed record, and nothing else: so it does nothing in any state of the table."""
        memory = self.stage.memory
        memory.begin(memory.items)
        answer = act.call()
        assert act.event, "a duplicate is of an event"
        assert (answer.status, answer.body["duplicate"]) == (200, True), answer
        assert [*memory.reads] == [("item", *keys.event(act.event["id"]))], memory.reads
        assert not memory.writes, memory.writes

    # -- the tree

    def _grow(self, tree: tuple[Act, bool], reads: Mapping[Read, Any], leaf: Leaf) -> None:
        place: dict[Any, Any] = self._trees
        branch: Any = tree
        for read, seen in reads.items():
            node = place.setdefault(branch, _Node(read))
            assert node.read == read, "the same values lead to the same next reading"
            place, branch = node.branches, seen
        assert branch not in place, "a run that was known"
        place[branch] = leaf

    def _observed(self, read: Read, state: State, moment: Moment) -> Any:
        match read[0]:
            case "item":
                return state.get(Key(read[1], read[2]))
            case "stripe":
                self.stage.moment = moment
                return self.stage.ask(read[1])
        return tuple(state[key] for key in found_by(read, state, self.values.__getitem__))

    def _seen(self, read: Read, found: Any) -> Any:
        """What `_observed` would have said."""
        if read[0] == "stripe":
            return found
        if read[0] == "item":
            return self._number(found) if found else None
        return tuple(map(self._number, found))

    def _number(self, item: Raw) -> int:
        made = canonical(item)
        text = json.dumps(made, sort_keys=True)
        if text not in self._numbers:
            self._numbers[text] = len(self.values)
            self.values.append(made)
        return self._numbers[text]


def canonical(item: Raw) -> Raw:
    kept = {name: value for name, value in item.items() if name not in _OF_THE_WRITE}
    kept |= {name: {"S": kept[name]["S"].split("?s=")[0]} for name in _ADDRESSES if name in kept}
    if "revision" in item:  # any number but none
        kept["revision"] = {"N": "1"}
    if "listedAt" in item:  # with the revisions of `kept`, where the list is true
        kept["listedAt"] = {"N": "1" if item["listedAt"] == item["revision"] else "0"}
    if "subscriptions" in item:
        listed = ({**one["M"], "revision": {"N": "1"}} for one in item["subscriptions"]["L"])
        kept["subscriptions"] = {"L": [{"M": one} for one in listed]}
    return kept


def _is_kept(key: Key) -> bool:
    """Not the records of events, and not the count of a tenant's calls."""
    return not key.PK.startswith(("EVENT#", "CALLS#"))


def _matters(read: Read) -> bool:
    return read[0] == "stripe" or not read[1].startswith(("EVENT#", "CALLS#"))


def told_once(before: Raw | None, after: Raw) -> list[tuple[str, str]]:
    told = publisher.announcements_of(items.load(before or {}), items.load(after))
    return [(one.type, one.entity.id) for one in told if one.type in ONCE]


def _wrong(before: Raw | None, after: Raw) -> list[str]:
    """What the judge of the torture test says of a write and of its announcements."""
    old, new = items.load(before or {}), items.load(after)
    if not new["PK"].startswith("TENANT#"):
        return []
    try:
        judge.judge_change(new["SK"].partition("#")[0], old, new)
        for version in announced.VERSIONS:
            judge.judge_announcements(old, new, version)
    except AssertionError as error:
        return [str(error)]
    return []
