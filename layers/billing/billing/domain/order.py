"""Which of two states of one Stripe object is the later one, when deliveries come in any order.

Stripe's times are whole seconds, so a payload is dated to a second, and a fetched state to the seconds that the
request took. A payload after the interval that an entity holds is newer, one before it older, and one inside it
ambiguous: only Stripe can tell, so it is asked.
"""

from dataclasses import fields, replace
from enum import Enum, auto
from typing import Any

from billing.domain.entities import Replica

BOOKKEEPING = frozenset({"revision", "created_at", "updated_at", "snapshot_from", "snapshot_at"})
PASSING = frozenset({"hosted_url", "pdf"})  # addresses that Stripe makes anew each time that an invoice is read


class Verdict(Enum):
    APPLY = auto()
    STALE = auto()
    FETCH = auto()


def content(entity: object) -> dict[str, Any]:
    """What an entity says, without the fields that say how it got there, and those that mean nothing new."""
    return {f.name: getattr(entity, f.name) for f in fields(entity) if f.name not in BOOKKEEPING | PASSING}  # type: ignore[arg-type]


def compare[R: Replica](current: R, incoming: R, *, fetched: bool) -> Verdict:
    """Whether `incoming` replaces `current`.

    A state fetched from Stripe after `current` was read is the later one by construction; the write on the revision
    that was read before the fetch proves it. A final state has no successor, so it needs no date to win, and none
    that is dated later undoes it.
    """
    if current.terminal and not incoming.terminal:
        return Verdict.STALE
    if fetched or (incoming.terminal and not current.terminal):
        return Verdict.APPLY
    if incoming.snapshot_at > current.snapshot_at:
        return Verdict.APPLY
    if incoming.snapshot_at < current.snapshot_from or content(incoming) == content(current):
        return Verdict.STALE
    return Verdict.FETCH


def succeed[R: Replica](current: R, incoming: R) -> R:
    """`incoming` as the next state of `current`'s item; the dates of a snapshot never move back."""
    return replace(
        incoming,
        revision=current.revision,
        created_at=current.created_at,
        snapshot_from=max(current.snapshot_from, incoming.snapshot_from),
        snapshot_at=max(current.snapshot_at, incoming.snapshot_at),
    )
