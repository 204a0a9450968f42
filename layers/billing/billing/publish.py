"""The table's stream -> domain events on the bus, and the tenant's history.

Every write of an entity is one stream record, told at least once. What it announces is derived from the two images
alone, with ids that do not change: a consumer that forgets equal ids hears each announcement once.
"""

from collections.abc import Mapping
from typing import Any, Final

from aws_lambda_powertools.metrics import MetricUnit

from billing import history
from billing.bus import Bus
from billing.domain import announcements
from billing.domain.announcements import VERSION, Announcement
from billing.domain.entities import Entity, Invoice, Payment, Subscription, Tenant
from billing.observability import logger, metrics
from billing.table import items, keys
from billing.table.store import Table

_KINDS: Final[Mapping[str, type[Entity]]] = {
    "TENANT": Tenant,
    "SUBSCRIPTION": Subscription,
    "INVOICE": Invoice,
    "PAYMENT": Payment,
}
_ID_NAMES: Final = {
    "tenant": "tenantId",
    "subscription": "subscriptionId",
    "invoice": "invoiceId",
    "payment": "paymentIntentId",
}


def publish(table: Table, bus: Bus, record: Mapping[str, Any]) -> None:
    """One stream record, as Lambda hands it over (both images). Raises what kept it from being published.

    An item that is no tenant's (a plan, an event's record) and a deletion announce nothing.
    """
    change = record["dynamodb"]
    before, after = items.load(change.get("OldImage", {})), items.load(change.get("NewImage", {}))
    remembered = history.change(before, after)
    if remembered:
        table.remember([remembered])
    told = [detail(said, after) for said in announcements_of(before, after)]
    bus.put([(said["type"], said) for said in told])
    for said in told:
        logger.info("announced", extra={"announcement": said["type"], "announcement_id": said["id"]})
        metrics.add_metric("Announced", MetricUnit.Count, 1)


def announcements_of(before: items.Item, after: items.Item) -> list[Announcement]:
    kind = _KINDS.get(after.get("SK", "").split("#")[0])
    if kind is None or keys.tenant_of(after["PK"]) is None:
        return []
    return announcements.of(items.entity(kind, before) if before else None, items.entity(kind, after))


def detail(said: Announcement, item: items.Item) -> dict[str, Any]:
    """The announcement as consumers get it: `docs/schemas/announcement.v1.json`."""
    ids = {"tenantId": said.tenant_id, _ID_NAMES[said.type.split(".")[0]]: said.entity_id}
    told = {
        "version": VERSION,
        "id": said.id,
        "type": said.type,
        "time": said.time,
        **ids,
        "from": _camel(said.before),
        "to": _camel(said.after),
    }
    return told | ({"stripeEventId": item["eventId"]} if "eventId" in item else {})


def _camel(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {items.camel(name): value for name, value in fields.items()}
