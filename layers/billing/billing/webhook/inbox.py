"""An event's way in: record it, apply it, answer. Delivered any number of times, in any order, it counts once.

put record (RECEIVED, if new) ──── crash here: the next delivery finds RECEIVED and goes on
          │
read account, decide  ◄──────────┐
          │                      │ RevisionConflict: somebody wrote meanwhile; nothing of ours was written
one transaction: entities on ────┘
their revisions + record PROCESSED ─── crash here: the next delivery finds PROCESSED and answers 200
          │
         200
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from billing import clock, deadline
from billing.domain.ids import is_id
from billing.errors import Contention, RecordDone, RevisionConflict, StripeNotFound, Unresolved
from billing.observability import logger
from billing.table.records import Record, RecordStatus
from billing.table.store import Table
from billing.webhook import account as accounts
from billing.webhook import payloads
from billing.webhook.account import Account
from billing.webhook.effects import EFFECTS, Effect, Fetch, Outcome, ignored
from billing.webhook.payloads import Event, Snapshot

type Fetcher = Callable[[str, str], tuple[dict[str, Any], str, str]]

MAX_TRIES: Final = 5
OTHER_MODE: Final = "another mode than ours"
_BACKOFF_SECONDS: Final = 0.05
_LEADS_TO_OWNER: Final = ("customer", "metadata", "parent", "subscription_details", "payment_intent")


@dataclass(frozen=True)
class Receipt:
    """How the event's record stands after this delivery; `duplicate`: another delivery had closed it."""

    record: Record
    duplicate: bool = False


class Inbox:
    """`fetch(kind, id)` reads one object from Stripe; `livemode` is the mode of our own API key."""

    def __init__(self, table: Table, fetch: Fetcher, *, livemode: bool) -> None:
        self._table = table
        self._fetch = fetch
        self._livemode = livemode

    def receive(self, event: Event) -> Receipt:
        """Raises what kept the event from being applied, after marking its record FAILED."""
        record = _record_of(event)
        refusal = self._refusal(event)
        if refusal:
            record = replace(record, status=refusal.status, reason=refusal.reason)
        earlier = self._table.open_record(record)
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
        return ignored(OTHER_MODE) if event.livemode != self._livemode else None

    def _apply(self, event: Event, record: Record, refusal: Outcome | None) -> Receipt:
        for attempt in range(MAX_TRIES):
            if attempt and deadline.is_near():
                break
            time.sleep(random.uniform(0, _BACKOFF_SECONDS * attempt))
            tenant_id, outcome = (None, refusal) if refusal else self._decide(event)
            record = replace(record, status=outcome.status, reason=outcome.reason, tenant_id=tenant_id)
            try:
                self._close(record, outcome)
            except RevisionConflict:
                continue
            except RecordDone:
                return self._closed_by_another(record)
            return Receipt(record)
        raise Contention("Other deliveries changed the same records; Stripe delivers this one again.")

    def _decide(self, event: Event) -> tuple[str | None, Outcome]:
        account = accounts.load(self._table, event.object) or self._load_by_another(event)
        if account is None:
            return None, ignored("no tenant of ours")
        effect = EFFECTS[event.type]
        answer = effect(event, account, None)
        if isinstance(answer, Fetch):
            answer = self._decide_by_stripe(event, account, effect, answer)
        return account.tenant.tenant_id, answer

    def _load_by_another(self, event: Event) -> Account | None:
        """What names no customer, names an object that does: Stripe says whose that is.

        An invoice payment names its invoice (which may be on record), a refund or a dispute its charge.
        """
        match event.object.get("object"):
            case "invoice_payment":
                wanted = Fetch("invoice", payloads.invoice_payment(event.object).invoice_id)
            case "refund" | "dispute" if payloads.charge_of(event.object):
                wanted = Fetch("charge", payloads.charge_of(event.object) or "")
            case _:
                return None
        other, _, _ = self._ask(wanted)
        owner = {name: other.get(name) for name in _LEADS_TO_OWNER if other.get(name)}
        return accounts.load(self._table, {**event.object, **owner})

    def _decide_by_stripe(self, event: Event, account: Account, effect: Effect, wanted: Fetch) -> Outcome:
        """The account was read before Stripe is asked: writing on its revisions proves that the answer is newer."""
        thing, since, until = self._ask(wanted)
        if wanted.kind == "subscription":
            account = accounts.with_plan_of(self._table, account, payloads.price_of(thing))
        answer = effect(event, account, Snapshot(thing, since, until, fetched=True))
        assert isinstance(answer, Outcome), "an effect asks Stripe once"
        return answer

    def _ask(self, wanted: Fetch) -> tuple[dict[str, Any], str, str]:
        logger.info("fetching from Stripe", extra={"kind": wanted.kind, "object_id": wanted.object_id})
        try:
            return self._fetch(wanted.kind, wanted.object_id)
        except StripeNotFound as error:
            raise Unresolved(f"Stripe has no {wanted.kind} {wanted.object_id}.") from error

    def _close(self, record: Record, outcome: Outcome) -> None:
        if outcome.entities:
            self._table.commit(record, outcome.entities, outcome.pointers, outcome.unchanged)
        else:
            self._table.close_record(record)

    def _closed_by_another(self, record: Record) -> Receipt:
        stored = self._table.record(record.event_id)
        if stored and stored.done:
            return Receipt(stored, duplicate=True)
        raise Contention("The event's record disappeared; Stripe delivers the event again.")

    def _mark_failed(self, record: Record, error: Exception) -> None:
        """Best effort: whether or not this succeeds, the answer is a 5xx and the record is not closed."""
        try:
            self._table.fail_record(record, f"{type(error).__name__}: {error}"[:500])
        except Exception:  # noqa: BLE001 - the failure that is being reported must not be replaced by this one
            logger.exception("could not mark the record as failed", extra={"event_id": record.event_id})


def _record_of(event: Event) -> Record:
    hint = payloads.tenant_hint(event.object)
    return Record(
        event_id=event.id,
        event_type=event.type,
        status=RecordStatus.RECEIVED,
        livemode=event.livemode,
        api_version=event.api_version,
        object_id=event.object.get("id"),
        tenant_id=hint if is_id(hint) else None,
        stripe_created_at=event.snapshot.until,
        received_at=clock.now(),
    )
