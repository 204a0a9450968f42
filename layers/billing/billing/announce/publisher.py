"""From the table's stream to announcements on the bus, and to the tenant's history.

Each write of an entity is one record of the stream, which comes at least once. What it announces follows from the two
images alone, and the ids are always the same. So a consumer that ignores ids it has already seen handles each
announcement once.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import batched
from typing import Any, Final

from aws_lambda_powertools.metrics import MetricUnit

from billing.adapters.bus import AT_ONCE, Bus
from billing.adapters.table import items, keys
from billing.adapters.table.store import Table
from billing.announce import changes
from billing.domain import announcements
from billing.domain.announcements import LATEST, Announcement, Version
from billing.domain.entities import OF_A_TENANT, Kind
from billing.edge.stream import Failed, Record, together
from billing.observability import logger, metrics

_ID_NAMES: Final = {
    Kind.TENANT: "tenantId",
    Kind.SUBSCRIPTION: "subscriptionId",
    Kind.INVOICE: "invoiceId",
    Kind.PAYMENT: "paymentIntentId",
}
_PART: Final = 25  # records: their history goes into one call, because BatchWriteItem takes as many items


class NotPublished(Exception):
    """The bus did not accept an announcement."""


@dataclass(eq=False)
class _Write:
    """One record of the stream, and what it owes: an item of the history, and announcements."""

    record: Record
    key: tuple[str, str] = ("", "")  # of the item that was written
    change: items.Item | None = None
    details: list[dict[str, Any]] = field(default_factory=list)
    error: Exception | None = None


type _Owed = tuple[_Write, dict[str, Any]]


@dataclass(frozen=True)
class Publisher:
    """`version`: which announcements consumers get, see `docs/announcements.md`."""

    table: Table
    bus: Bus
    version: Version = LATEST

    def publish(self, records: Sequence[Record]) -> Iterator[Failed[Record]]:
        """Publishes records of the stream (with both images). Yields those that failed, with what kept each from it.

        A record is published when its item of the history and then all of its announcements were accepted. If AWS is
        slow, the time ends after a part of the records. So each part is done before the next one begins.

        A deletion announces nothing, and so does an item that is not a tenant's (a plan, the record of an event).
        """
        for part in batched(records, _PART, strict=False):
            writes = [self._read(record) for record in part]
            for write, error in together(self._remember, [one for one in writes if one.change]):
                write.error = error
            for batch in _batches([(one, detail) for one in writes if not one.error for detail in one.details]):
                for (write, _), error in together(self._put, batch):
                    write.error = error
            for write in writes:
                if write.error:
                    yield write.record, write.error
                else:
                    _note(write.details)

    def _read(self, record: Record) -> _Write:
        write = _Write(record)
        try:
            images = record["dynamodb"]
            before, after = items.load(images.get("OldImage", {})), items.load(images.get("NewImage", {}))
            write.key = after.get("PK", ""), after.get("SK", "")
            write.change = changes.change(before, after)
            write.details = [detail(one, after, self.version) for one in announcements_of(before, after, self.version)]
        except Exception as error:  # noqa: BLE001 - a record that cannot be read must not stop the others
            write.error = error
        return write

    def _remember(self, writes: Sequence[_Write]) -> tuple[()]:
        self.table.remember(one.change for one in writes if one.change)
        return ()

    def _put(self, owed: Sequence[_Owed]) -> list[Failed[_Owed]]:
        refused = self.bus.put([(each["type"], each) for _, each in owed])
        return [(owed[place], NotPublished(f"EventBridge refused it: {code}")) for place, code in refused.items()]


def _batches(owed: Iterable[_Owed]) -> Iterator[list[_Owed]]:
    """What goes over the bus in one call each: never announcements of two writes of one item.

    The bus may refuse the first of them for a moment and take the second.
    """
    batch: list[_Owed] = []
    for write, each in owed:
        if len(batch) == AT_ONCE or any(one is not write and one.key == write.key for one, _ in batch):
            yield batch
            batch = []
        batch.append((write, each))
    if batch:
        yield batch


def _note(details: Iterable[dict[str, Any]]) -> None:
    for each in details:
        logger.info("announced", extra={"announcement": each["type"], "announcement_id": each["id"]})
        metrics.add_metric("Announced", MetricUnit.Count, 1)


def announcements_of(before: items.Item, after: items.Item, version: Version = LATEST) -> list[Announcement]:
    entity = OF_A_TENANT.get(after.get("SK", "").split("#")[0])
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
