"""Which of two states of one Stripe object is the later one, when deliveries come in any order.

Stripe's times are whole seconds. A payload was true in one second, a fetched state at some moment while the request
ran. An entity holds the interval of its state. A payload from after this interval is newer. One from before it is
older. For one within it only Stripe can say, so Stripe is asked.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import Enum, auto
from functools import cache
from typing import Any, Literal

from billing.domain.entities import ADDRESSES, BOOKKEEPING, Replica, completed

type Payload = Mapping[str, Any]
type FetchedKind = Literal["subscription", "invoice", "payment_intent", "charge"]


@dataclass(frozen=True)
class Snapshot:
    """An object of Stripe's (its JSON) and the interval in which it was true, `since` to `until` (ISO 8601)."""

    object: Payload
    since: str
    until: str


class Verdict(Enum):
    APPLY = auto()
    STALE = auto()
    FETCH = auto()


def content(entity: object) -> dict[str, Any]:
    """What an entity says about billing: its fields without bookkeeping and without addresses."""
    kind: Any = type(entity)
    return {name: getattr(entity, name) for name in _about_billing(kind)}


@cache
def _about_billing(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if field.name not in BOOKKEEPING | ADDRESSES)


def compare[R: Replica](current: R, incoming: R, *, fetched: bool) -> Verdict:
    """Whether `incoming` replaces `current`.

    A state that was fetched after `current` was read is the later one: the write needs the revision that was read
    before the fetch, so it fails if somebody wrote meanwhile. A final state (`terminal`) has no successor. So it
    replaces every state that is not final, whatever the dates are. Only another final state can replace it.
    """
    if current.terminal and not incoming.terminal:
        return Verdict.STALE
    if fetched or (incoming.terminal and not current.terminal):
        return Verdict.APPLY
    if incoming.snapshot_at > current.snapshot_at:
        return Verdict.APPLY
    if incoming.snapshot_at < current.snapshot_from or content(incoming) == content(completed(current, incoming)):
        return Verdict.STALE
    return Verdict.FETCH


def as_next_state[R: Replica](current: R, incoming: R) -> R:
    """`incoming` as the next state of the item that holds `current`. The dates of its snapshot never move back."""
    return replace(
        incoming,
        revision=current.revision,
        created_at=current.created_at,
        snapshot_from=max(current.snapshot_from, incoming.snapshot_from),
        snapshot_at=max(current.snapshot_at, incoming.snapshot_at),
    )
