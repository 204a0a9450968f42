"""What an effect answers: what must be written, or which object of Stripe's it must know first."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from billing.domain.entities import Entity, Replica
from billing.domain.order import FetchedKind, Snapshot, Verdict, as_next_state, compare
from billing.domain.records import RecordStatus
from billing.domain.writes import Pointer, Unchanged
from billing.replica.account import Account
from billing.replica.stripe_event import Event


@dataclass(frozen=True)
class Outcome:
    """`status` and `reason` are for the event's record. The rest is written with it, in one transaction."""

    status: RecordStatus
    reason: str | None = None
    entities: tuple[Entity, ...] = ()
    pointers: tuple[Pointer, ...] = ()
    unchanged: tuple[Unchanged, ...] = ()


@dataclass(frozen=True)
class Fetch:
    """The effect must know how this object is at Stripe now."""

    kind: FetchedKind
    object_id: str


type Answer = Outcome | Fetch
# The last argument is Stripe's present state of one object; None: nobody has asked Stripe yet.
type Effect = Callable[[Event, Account, Snapshot | None], Answer]

OUT_OF_DATE: Final = Outcome(RecordStatus.STALE, "the record holds this state or a later one")


def ignored(reason: str) -> Outcome:
    return Outcome(RecordStatus.IGNORED, reason)


def applied(*entities: Entity, pointers: tuple[Pointer, ...] = ()) -> Outcome:
    return Outcome(RecordStatus.PROCESSED, None, entities, pointers)


def verdict[R: Replica](current: R | None, incoming: R, fetched: Snapshot | None) -> Verdict:
    return compare(current, incoming, fetched=fetched is not None) if current else Verdict.APPLY


def next_state[R: Replica](current: R | None, incoming: R) -> R:
    """`incoming` as the next state of the entity."""
    return as_next_state(current, incoming) if current else incoming


def later_state[R: Replica](current: R | None, incoming: R, fetched: Snapshot | None) -> R:
    """`incoming` as the next state, unless the entity holds this state or a later one."""
    if current and verdict(current, incoming, fetched) is not Verdict.APPLY:
        return current
    return next_state(current, incoming)
