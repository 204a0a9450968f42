"""For operators: what became of Stripe's events, and how to apply one of them again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from billing.adapters.table import items, pages
from billing.adapters.table.pages import Pages
from billing.adapters.table.store import Table
from billing.domain.records import RecordStatus
from billing.edge.parameters.operate import ListStripeEvents, OneStripeEvent
from billing.errors import BadRequest, EventExpired, EventNotFound, StripeNotFound
from billing.inbox.inbox import Inbox, Receipt
from billing.observability import logger
from billing.replica.stripe_event import parse_event

if TYPE_CHECKING:
    from billing.adapters.stripe_api import StripeApi  # only one of three functions needs it, and it costs 200 ms

_SHOWN: Final = (
    "eventId eventType status reason error attempts objectId tenantId apiVersion livemode stripeCreatedAt receivedAt "
    "processedAt lastSeenAt"
).split()
_BY_RECONCILIATION: Final = "reconciliation compares Stripe's objects and repairs the table without events."


@dataclass(frozen=True)
class EventRecords:
    table: Table

    def search(self, request: ListStripeEvents) -> dict[str, Any]:
        """`{"events": [event…], "cursor": "…"}`, newest first. The last page has no cursor.

        For admins. FAILED events are ordered by when they came last, a tenant's events by when they came first. Raises
        `BadRequest`.
        """
        found, cursor = self.table.page(_pages(request), request.limit, request.cursor)
        return {"events": [_shown(item) for item in found]} | ({"cursor": cursor} if cursor else {})

    def show(self, request: OneStripeEvent) -> dict[str, Any]:
        """The record of one event. For admins. Raises `EventNotFound`."""
        record = self.table.record(request.event_id)
        if record is None:
            raise EventNotFound("There is no record of this event; a replay fetches it from Stripe.")
        return _shown(items.attributes(record))


@dataclass(frozen=True)
class Replay:
    table: Table
    stripe: "StripeApi"
    inbox: Inbox

    def replay(self, request: OneStripeEvent) -> dict[str, Any]:
        """Fetches the event from Stripe and takes it in like a delivery: `{eventId, status, reason?, duplicate}`.

        For admins. As for every delivery, the event's record decides whether it is applied: at most once. Raises
        `EventNotFound`, `EventExpired`, Stripe's failures, and what kept the event from being applied (its record is
        then FAILED).
        """
        event = parse_event(self._fetched(request.event_id))
        logger.append_keys(event_id=event.id, event_type=event.type)
        receipt = self.inbox.receive(event)
        logger.info("event replayed", extra={"record": receipt.record.status, "duplicate": receipt.duplicate})
        return _answer(receipt)

    def _fetched(self, event_id: str) -> bytes:
        try:
            return self.stripe.event(event_id)
        except StripeNotFound as error:
            if self.table.record(event_id):
                gone = "Stripe keeps events for 30 days and does not have this one any more"
                raise EventExpired(f"{gone}; {_BY_RECONCILIATION}") from error
            unknown = "Neither we nor Stripe have this event; Stripe keeps events for 30 days"
            raise EventNotFound(f"{unknown}, and {_BY_RECONCILIATION}") from error


def _pages(request: ListStripeEvents) -> Pages:
    if request.tenant_id:
        return pages.tenant_events(request.tenant_id, request.status)
    if request.status == RecordStatus.FAILED:
        return pages.failed_events()
    raise BadRequest("Give status=FAILED, or a tenantId with any status or none.")


def _answer(receipt: Receipt) -> dict[str, Any]:
    record = receipt.record
    answer = {"eventId": record.event_id, "status": record.status, "duplicate": receipt.duplicate}
    return answer | ({"reason": record.reason} if record.reason else {})


def _shown(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: item[name] for name in _SHOWN if name in item}
