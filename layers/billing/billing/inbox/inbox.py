"""Takes an event in: record it, apply it, close the record. It counts once, however often it comes.

write the record (RECEIVED, if new) ── a crash here: the next delivery finds RECEIVED and continues
          │
read the account, decide ◄───────┐
          │                      │ RevisionConflict: somebody else wrote meanwhile, so nothing of ours was written
one transaction: the entities ───┘
on their revisions + the record PROCESSED ── a crash here: the next delivery finds PROCESSED and answers 200
          │
         200
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from billing import clock, deadline, retry
from billing.domain.ids import is_tenant_id
from billing.domain.records import Record, RecordStatus
from billing.errors import Contention, RecordDone, RevisionConflict, StripeNotFound, Unreadable, Unresolved
from billing.observability import logger
from billing.replica import payloads
from billing.replica.decide import Decider, Decision
from billing.replica.effects import EFFECTS
from billing.replica.effects.outcome import Outcome, ignored
from billing.replica.reading import maybe_text
from billing.replica.stripe_event import Event

OTHER_MODE: Final = "another mode than ours"
CONNECTED: Final = "of a connected account"  # its objects are not ours, whatever tenant their metadata names
_WAITS: Final = retry.growing(0.05, tries=5)


@dataclass(frozen=True)
class Receipt:
    """The event's record after this delivery. `duplicate`: another delivery had closed it."""

    record: Record
    duplicate: bool = False


@dataclass(frozen=True)
class Inbox:
    """`livemode` says which mode our own API key has now."""

    decider: Decider
    livemode: Callable[[], bool]

    def receive(self, event: Event) -> Receipt:
        """Raises what kept the event from being applied. A record that was stored before is then marked as FAILED."""
        record = record_of(event)
        refusal = self._refusal(event)
        if refusal:
            record = replace(record, status=refusal.status, reason=refusal.reason)
        earlier = self.decider.table.open_record(record)
        if earlier and (earlier.done or (refusal and earlier.status is RecordStatus.IGNORED)):
            return Receipt(earlier, duplicate=True)
        if refusal and earlier is None:
            return Receipt(record)
        try:
            return self._apply(event, record, refusal)
        except Exception as error:
            self._mark_failed(record, error)
            raise

    def _refusal(self, event: Event) -> Outcome | None:
        if event.type not in EFFECTS:
            return ignored("unhandled type")
        if event.account:
            return ignored(CONNECTED)
        return ignored(OTHER_MODE) if event.livemode != self.livemode() else None

    def _apply(self, event: Event, record: Record, refusal: Outcome | None) -> Receipt:
        for _ in retry.rounds(_WAITS, reserve=deadline.RESERVE_SECONDS, jitter=True):
            decision = Decision(None, refusal) if refusal else self._decide(event)
            outcome = decision.outcome
            record = replace(record, status=outcome.status, reason=outcome.reason, tenant_id=decision.tenant_id)
            try:
                self._close(record, decision)
            except RevisionConflict:
                continue
            except RecordDone:
                return self._closed_by_another(record)
            return Receipt(record)
        raise Contention("Other deliveries changed the same records; Stripe delivers this one again.")

    def _decide(self, event: Event) -> Decision:
        try:
            return self.decider.decide(event, EFFECTS[event.type])
        except StripeNotFound as error:
            raise Unresolved(str(error)) from error

    def _close(self, record: Record, decision: Decision) -> None:
        outcome = decision.outcome
        table = self.decider.table
        if outcome.entities:
            outcome = self.decider.in_one_transaction(decision)
            table.commit(record, outcome.entities, outcome.pointers, outcome.unchanged)
        else:
            table.close_record(record)

    def _closed_by_another(self, record: Record) -> Receipt:
        stored = self.decider.table.record(record.event_id)
        if stored and stored.done:
            return Receipt(stored, duplicate=True)
        raise Contention("The event's record disappeared; Stripe delivers the event again.")

    def _mark_failed(self, record: Record, error: Exception) -> None:
        """If this fails too, nothing is lost: the answer is still an error, and Stripe delivers the event again."""
        said = f"{type(error).__name__}: {error}"[:500].encode(errors="backslashreplace").decode()
        try:
            self.decider.table.fail_record(record, said)
        except Exception:  # noqa: BLE001 - it must not replace the failure that is being reported
            logger.exception("could not mark the record as failed", extra={"event_id": record.event_id})


def record_of(event: Event) -> Record:
    """The record with which an event begins."""
    try:
        hint = payloads.tenant_hint(event.object)
        object_id = maybe_text(event.object, "id")
    except Unreadable:  # the record says so when the event cannot be applied
        hint = object_id = None
    return Record(
        event_id=event.id,
        event_type=event.type,
        status=RecordStatus.RECEIVED,
        livemode=event.livemode,
        api_version=event.api_version,
        object_id=object_id,
        tenant_id=hint if is_tenant_id(hint) else None,
        stripe_created_at=event.snapshot.until,
        received_at=clock.now(),
    )
