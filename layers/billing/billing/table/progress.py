"""How far reconciliation came, as it stands in the table under `RECONCILIATION`."""

from dataclasses import dataclass

from billing.domain.entities import Entity


@dataclass(frozen=True, kw_only=True)
class Progress(Entity):
    """Seconds are Unix. Written on its revision like any entity: of two runs at once, one goes on and one ends.

    `phase` is "" between runs. `cursor`: the second from which events are still to be seen, or the object after which
    a list goes on. `began_at`: the second up to which this run's events reach; `held_at`: the oldest event that it
    could not apply. `objects_since`: the second from which it compares PaymentIntents and invoices; `objects_failed`:
    one of them could not be compared. `resume_phase`, `resume_cursor`: where objects are gone on with after the events
    that came meanwhile. `events_since`: the second from which the next run sees events; `completed_at`: the last
    complete run's end.
    """

    phase: str = ""
    cursor: str = ""
    began_at: int = 0
    objects_since: int = 0
    objects_failed: bool = False
    resume_phase: str = ""
    resume_cursor: str = ""
    held_at: int | None = None
    events_since: int | None = None
    completed_at: str | None = None
