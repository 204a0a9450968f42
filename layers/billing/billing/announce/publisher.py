"""From the table's stream to announcements on the bus, and to the tenant's history.

Each write of an entity is one record of the stream, which comes at least once. What it announces follows from the two
images alone, and the ids are always the same. So a consumer that ignores ids it has already seen handles each
announcement once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aws_lambda_powertools.metrics import MetricUnit

from billing.adapters.bus import Bus
from billing.adapters.table import items, keys
from billing.adapters.table.store import Table
from billing.announce import changes
from billing.domain import announcements
from billing.domain.announcements import LATEST, Announcement, Version
from billing.domain.entities import Entity, Invoice, Kind, Payment, Subscription, Tenant
from billing.observability import logger, metrics

_ENTITIES: Final[Mapping[str, type[Entity]]] = {
    entity.kind: entity for entity in (Tenant, Subscription, Invoice, Payment)
}
_ID_NAMES: Final = {
    Kind.TENANT: "tenantId",
    Kind.SUBSCRIPTION: "subscriptionId",
    Kind.INVOICE: "invoiceId",
    Kind.PAYMENT: "paymentIntentId",
}


@dataclass(frozen=True)
class Publisher:
    """`version`: which announcements consumers get, see `docs/announcements.md`."""

    table: Table
    bus: Bus
    version: Version = LATEST

    def publish(self, record: Mapping[str, Any]) -> None:
        """Publishes one record of the stream (with both images). Raises what kept it from being published.

        A deletion announces nothing, and so does an item that is not a tenant's (a plan, the record of an event).
        """
        images = record["dynamodb"]
        before, after = items.load(images.get("OldImage", {})), items.load(images.get("NewImage", {}))
        change = changes.change(before, after)
        if change:
            self.table.remember([change])
        details = [detail(one, after, self.version) for one in announcements_of(before, after, self.version)]
        self.bus.put([(each["type"], each) for each in details])
        for each in details:
            logger.info("announced", extra={"announcement": each["type"], "announcement_id": each["id"]})
            metrics.add_metric("Announced", MetricUnit.Count, 1)


def announcements_of(before: items.Item, after: items.Item, version: Version = LATEST) -> list[Announcement]:
    entity = _ENTITIES.get(after.get("SK", "").split("#")[0])
    if entity is None or keys.tenant_of(after["PK"]) is None:
        return []
    return announcements.of(items.entity(entity, before) if before else None, items.entity(entity, after), version)


def detail(announcement: Announcement, item: items.Item, version: Version = LATEST) -> dict[str, Any]:
    """The announcement as consumers get it. See `docs/schemas`."""
    entity = announcement.entity
    made = {
        "version": version,
        "id": announcement.id,
        "type": announcement.type,
        "time": announcement.time,
        "tenantId": entity.tenant_id,
        _ID_NAMES[entity.kind]: entity.id,
        "from": _camel(announcement.before),
        "to": _camel(announcement.after),
    }
    if version != "1" and entity.kind is Kind.INVOICE and "stripeSubscriptionId" in item:
        made["subscriptionId"] = item["stripeSubscriptionId"]
    if version != "1" and entity.kind is Kind.PAYMENT and "invoiceId" in item:
        made["invoiceId"] = item["invoiceId"]
    return made | ({"stripeEventId": item["eventId"]} if "eventId" in item else {})


def _camel(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {items.camel(name): items.attribute(value) for name, value in fields.items()}
