"""What changed in a tenant's billing, when, and by which event: one item a write, made from the table's stream."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from billing.domain.caller import Caller
from billing.table import history, keys
from billing.table.items import Item
from billing.table.store import Table

if TYPE_CHECKING:
    from billing.parameters import GetTenantHistory  # the stream's function has no use for pydantic

RETENTION_DAYS: Final = 400

_BOOKKEEPING: Final = frozenset("revision createdAt updatedAt snapshotFrom snapshotAt eventId hostedUrl pdf".split())
_NO_CHANGES: Final = _BOOKKEEPING.union(keys.Key._fields)
_SHOWN: Final = "at entity entityId revision changes eventId".split()


def change(before: Item, after: Item) -> Item | None:
    """The history's item of one write, made of its two images alone: a record that comes twice adds nothing.

    `before` is {} for an entity that is new. None when nothing but bookkeeping changed, or when the item is not a
    tenant's entity. A deletion (`after` is {}) is none either: nothing of ours deletes an entity.
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


def page(table: Table, caller: Caller, wanted: "GetTenantHistory") -> dict[str, Any]:
    """`{"history": [{at, entity, entityId, revision, changes, eventId?}…], "cursor": "…"}`, newest first.

    `changes` is field -> `{from?, to?}`: without `from` the field was not there before, without `to` it is not now. No
    cursor when nothing follows. Raises `Forbidden`, `BadRequest`.
    """
    caller.act_for(wanted.tenant_id)
    found, cursor = table.page(history.changes(wanted.tenant_id), wanted.limit, wanted.cursor)
    shown = [{name: item[name] for name in _SHOWN if name in item} for item in found]
    return {"history": shown} | ({"cursor": cursor} if cursor else {})


def _changes(before: Item, after: Item) -> dict[str, Item]:
    names = sorted((before.keys() | after.keys()) - _NO_CHANGES)
    return {name: _step(name, before, after) for name in names if _value(name, before) != _value(name, after)}


def _step(name: str, before: Item, after: Item) -> Item:
    return {side: image[name] for side, image in (("from", before), ("to", after)) if name in image}


def _value(name: str, image: Item) -> tuple[Any, ...]:
    """In a tuple, so that an absent field differs from every value."""
    return (image[name],) if name in image else ()


def _expiry(at: str) -> int:
    """Unix seconds, from the write's own time and not from now: the same item whenever it is made."""
    return int((datetime.fromisoformat(at) + timedelta(days=RETENTION_DAYS)).timestamp())
