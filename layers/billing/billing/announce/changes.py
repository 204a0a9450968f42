"""The history: one item for each write that changed a tenant's entity, made from the table's stream."""

from datetime import datetime, timedelta
from typing import Any, Final

from billing.adapters.table import items, keys
from billing.adapters.table.items import Item
from billing.domain.entities import SCHEMA, Invoice, Payment, Subscription

RETENTION_DAYS: Final = 400

_ADDED: Final[dict[str, frozenset[str]]] = {
    one.kind: frozenset(map(items.camel, one.added)) for one in (Subscription, Invoice, Payment)
}
_NO_CHANGES: Final = items.BOOKKEEPING | items.ADDRESSES | items.OF_THE_TABLE


def change(before: Item, after: Item) -> Item | None:
    """The history's item of one write. It is made of the two images alone, so a repeated record adds nothing.

    `before` is {} for a new entity. None if the write changed only bookkeeping, the event's
    id or the addresses of an invoice, or if the item is not an entity
    of a tenant. Also None for a deletion (`after` is {}), because our code deletes no entity.
    """
    tenant_id = keys.tenant_of(after.get("PK", ""))
    changes = _changes(before, after)
    if tenant_id is None or not changes or not {"revision", "updatedAt"} <= after.keys():
        return None
    entity, _, entity_id = after["SK"].partition("#")
    item = {
        **keys.change(tenant_id, after["updatedAt"], after["SK"], after["revision"])._asdict(),
        "at": after["updatedAt"],
        "entity": entity,
        "entityId": entity_id or tenant_id,
        "revision": after["revision"],
        "changes": changes,
        "expiresAt": _expiry(after["updatedAt"]),
    }
    return item | ({"eventId": after["eventId"]} if "eventId" in after else {})


def _changes(before: Item, after: Item) -> dict[str, Item]:
    names = sorted((before.keys() | after.keys()) - _NO_CHANGES - _not_known(before))
    return {name: _step(name, before, after) for name in names if _value(name, before) != _value(name, after)}


def _not_known(before: Item) -> frozenset[str]:
    """The attributes that the item lacked for its age. That they are there now is no change."""
    if not before or before.get("schema", 1) >= SCHEMA:
        return frozenset()
    return _ADDED.get(str(before.get("SK")).partition("#")[0], frozenset())


def _step(name: str, before: Item, after: Item) -> Item:
    return {side: image[name] for side, image in (("from", before), ("to", after)) if name in image}


def _value(name: str, image: Item) -> tuple[Any, ...]:
    """The value in a tuple, or an empty tuple for a missing field. So a missing field differs from every value."""
    return (image[name],) if name in image else ()


def _expiry(at: str) -> int:
    """Unix seconds. It depends on the time of the write and not on now, so the item is always the same."""
    return int((datetime.fromisoformat(at) + timedelta(days=RETENTION_DAYS)).timestamp())
