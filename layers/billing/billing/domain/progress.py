"""How far reconciliation has come. It is stored as one item of the table."""

from dataclasses import dataclass, replace
from enum import StrEnum

from billing.domain.entities import Entity, Identity, Kind


class Phase(StrEnum):
    """What a run works on, in this order. A checkout says whether its subscription waits for money, and an invoice is
    linked to payments that the table has. So these come first.
    """

    EVENTS = "events"
    CHECKOUTS = "checkouts"
    SUBSCRIPTIONS = "subscriptions"
    PAYMENTS = "payments"
    OPEN_INVOICES = "open-invoices"
    INVOICES = "invoices"
    DONE = ""

    @classmethod
    def _missing_(cls, _: object) -> "Phase":
        """A phase that another version stored and this one does not know: the run begins anew."""
        return cls.DONE


@dataclass(frozen=True, kw_only=True)
class Span:
    """A part of a list that is still to be compared: what was created from second `since` to second `until` (None: to
    the present). Lists begin with the newest object. `cursor`: the object after which the part goes on.
    """

    since: int = 0
    until: int | None = None
    cursor: str = ""

    def cut(self, seconds: int) -> "tuple[Span, ...]":
        """The span of its last `seconds`, with the cursor, and the span of what is older. The whole one if it is not
        longer than that, or has no end.
        """
        if self.until is None or not 0 < seconds < self.until - self.since:
            return (self,)
        edge = self.until - seconds
        return replace(self, since=edge + 1), Span(since=self.since, until=edge)


@dataclass(frozen=True, kw_only=True)
class Progress(Entity):
    """Times in whole numbers are Unix seconds. If two runs work at once, only one can write the next revision.

    `phase` is DONE between runs.
    `cursor`: for events, the second from which they must still be read.
    `spans`: what is left of the phase's list of objects. () before its first page.
    `began_at`: when the run began or was resumed. It reads all events up to this second, and perhaps newer ones.
    `held_at`: when the oldest event that could not be applied was created.
    `objects_since`: PaymentIntents and invoices that were created since then are compared.
    `objects_failed`: at least one object could not be compared, for a reason that may pass.
    `resume_phase`: where the run continues, with the `spans`, after it has read the newest events.
    `events_since`: the next run reads events that were created since two hours before this second.
    `completed_at`: when the last complete run ended.
    """

    kind = Kind.PROGRESS
    phase: Phase = Phase.DONE
    cursor: str = ""
    began_at: int = 0
    objects_since: int = 0
    objects_failed: bool = False
    resume_phase: Phase = Phase.DONE
    spans: tuple[Span, ...] = ()
    held_at: int | None = None
    events_since: int | None = None
    completed_at: str | None = None

    @property
    def identity(self) -> Identity:
        return Identity(self.kind, "")
