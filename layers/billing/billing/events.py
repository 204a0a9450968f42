"""For operators: what became of Stripe's events, and one of them once more."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from billing.errors import BadRequest, EventExpired, EventNotFound, StripeNotFound
from billing.observability import logger
from billing.parameters import ListStripeEvents, OneStripeEvent
from billing.table import history, items
from billing.table.history import Past
from billing.table.records import RecordStatus
from billing.table.store import Table
from billing.webhook.inbox import Inbox, Receipt
from billing.webhook.payloads import parse_event

if TYPE_CHECKING:
    from billing.stripe_api import StripeApi  # just one of three functions has a use for it, and it costs 200 ms

_SHOWN: Final = (
    "eventId eventType status reason error attempts objectId tenantId apiVersion livemode stripeCreatedAt receivedAt "
    "processedAt lastSeenAt"
).split()
_BY_RECONCILIATION: Final = "what events can no longer repair, reconciliation does."


def search(table: Table, wanted: ListStripeEvents) -> dict[str, Any]:
    """`{"events": [event…], "cursor": "…"}`, newest first; no cursor when nothing follows.

    For admins. The failed ones by when they were last seen, a tenant's by when they were first received. Raises
    `BadRequest`.
    """
    found, cursor = table.page(_asked_for(wanted), wanted.limit, wanted.cursor)
    return {"events": [_shown(item) for item in found]} | ({"cursor": cursor} if cursor else {})


def _asked_for(wanted: ListStripeEvents) -> Past:
    if wanted.tenant_id:
        return history.tenant_events(wanted.tenant_id, wanted.status)
    if wanted.status == RecordStatus.FAILED:
        return history.failed_events()
    raise BadRequest("Give status=FAILED, or a tenantId with any status or none.")


def show(table: Table, wanted: OneStripeEvent) -> dict[str, Any]:
    """The record of one event. For admins. Raises `EventNotFound`."""
    record = table.record(wanted.event_id)
    if record is None:
        raise EventNotFound("There is no record of this event; a replay fetches it from Stripe.")
    return _shown(items.attributes(record))


def replay(table: Table, stripe: "StripeApi", wanted: OneStripeEvent, *, livemode: bool) -> dict[str, Any]:
    """`{eventId, status, reason?, duplicate}` after the event went the way of a delivery once more.

    For admins. Whether it is applied is for its record to say, as with any delivery: at most once. `livemode` is the
    mode of our own API key. Raises `EventNotFound`, `EventExpired`, Stripe's failures, and what kept the event from
    being applied, its record then FAILED.
    """
    event = parse_event(_fetched(table, stripe, wanted.event_id))
    logger.append_keys(event_id=event.id, event_type=event.type)
    receipt = Inbox(table, stripe.fetch, livemode=livemode).receive(event)
    logger.info("event replayed", extra={"record": receipt.record.status, "duplicate": receipt.duplicate})
    return _answer(receipt)


def _fetched(table: Table, stripe: "StripeApi", event_id: str) -> bytes:
    try:
        return stripe.event(event_id)
    except StripeNotFound as error:
        if table.record(event_id):
            gone = "Stripe, which keeps events for 30 days, does not have this one any more"
            raise EventExpired(f"{gone}; {_BY_RECONCILIATION}") from error
        unknown = "Neither we nor Stripe have this event; Stripe keeps events for 30 days"
        raise EventNotFound(f"{unknown}, and {_BY_RECONCILIATION}") from error


def _answer(receipt: Receipt) -> dict[str, Any]:
    record = receipt.record
    answer = {"eventId": record.event_id, "status": record.status, "duplicate": receipt.duplicate}
    return answer | ({"reason": record.reason} if record.reason else {})


def _shown(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: item[name] for name in _SHOWN if name in item}
