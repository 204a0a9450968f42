"""How far reconciliation has come. It is stored as one item of the table."""

from dataclasses import dataclass
from enum import StrEnum

from billing.domain.entities import Entity, Identity, Kind


class Phase(StrEnum):
    """What a run works on, in this order. Payments come before invoices, because they find their invoices' payments."""

    EVENTS = "events"
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
class Progress(Entity):
    """Times in whole numbers are Unix seconds. Of two runs at once, the table's revision lets one go on and ends one.

    `phase` is DONE between runs.
    `cursor`: in the phase of events the second from which events must still be read; in the others the id of the last
    object of the page that was compared last.
    `began_at`: this run reads events up to this second.
    `held_at`: when the oldest event that could not be applied was created.
    `objects_since`: PaymentIntents and invoices that were created since then are compared.
    `objects_failed`: at least one object could not be compared.
    `resume_phase`, `resume_cursor`: where the run continues with objects after it has read the newest events.
    `events_since`: the next run reads events that were created since then.
    `completed_at`: when the last complete run ended.
    """

    kind = Kind.PROGRESS
    phase: Phase = Phase.DONE
    cursor: str = ""
    began_at: int = 0
    objects_since: int = 0
    objects_failed: bool = False
    resume_phase: Phase = Phase.DONE
    resume_cursor: str = ""
    held_at: int | None = None
    events_since: int | None = None
    completed_at: str | None = None

    @property
    def identity(self) -> Identity:
        return Identity(self.kind, "")
