"""What can be read in pages, newest first: event records (by index) and a tenant's changes. And the pages' cursors.

A cursor is base64url of `[position…, check]`. The position is the key of the page's last item without its partition.
The check is a checksum over query and position. It is not a secret and gives no protection, and none is needed: the
partition always comes from the query, which the caller is allowed to make. So an invented cursor only points into
what the caller may read anyway.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from billing.adapters.table import items, keys
from billing.errors import BadRequest

_CHECK_CHARACTERS: Final = 16


@dataclass(frozen=True)
class Pages:
    """One partition of the table (`index` is None) or of an index. `only`: the filter, from an attribute to the value
    that it must have.

    `position`: the names of the attributes that make up a cursor's position.
    """

    partition: str
    value: str
    position: tuple[str, ...]
    index: str | None = None
    only: Mapping[str, str] = field(default_factory=dict)

    def query(self, limit: int) -> dict[str, Any]:
        """Query's parameters. It asks for one item more than the page holds, to know whether another page follows.

        With a filter it has no limit, because DynamoDB would apply the limit before the filter.
        """
        names = {"#partition": self.partition} | {f"#{name}": name for name in self.only}
        values = {":value": self.value} | {f":{name}": value for name, value in self.only.items()}
        query = {
            "KeyConditionExpression": "#partition = :value",
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": items.dump(values),
            "ScanIndexForward": False,
        }
        conditions = " AND ".join(f"#{name} = :{name}" for name in self.only)
        query |= {"FilterExpression": conditions} if conditions else {"Limit": limit + 1}
        return query | ({"IndexName": self.index} if self.index else {"ConsistentRead": True})

    def cursor(self, item: items.Item) -> str:
        """The cursor of what follows `item`, or the item that has this key."""
        position = [item[name] for name in self.position]
        packed = json.dumps([*position, self.check(position)], separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(packed).decode().rstrip("=")

    def start(self, cursor: str | None) -> items.Item:
        """The key after which the page begins, {} for the first page. Raises `BadRequest`."""
        if cursor is None:
            return {}
        *position, check = _unpack(cursor) or [""]
        if len(position) != len(self.position) or check != self.check(position):
            raise BadRequest("cursor: does not belong to this query; leave it out to begin with the first page.")
        return {self.partition: self.value} | dict(zip(self.position, position, strict=True))

    def check(self, position: list[str]) -> str:
        query = [self.index, self.partition, self.value, sorted(self.only.items()), position]
        return sha256(json.dumps(query).encode()).hexdigest()[:_CHECK_CHARACTERS]


def failed_events() -> Pages:
    return Pages("failedStatus", "FAILED", ("lastSeenAt", *keys.Key._fields), keys.FAILED_INDEX)


def tenant_events(tenant_id: str, status: str | None = None) -> Pages:
    """The records of a tenant's events, with that status or any. An event is listed once it was applied or failed."""
    only = {"status": status} if status else {}
    return Pages("tenantEvents", tenant_id, ("receivedAt", *keys.Key._fields), keys.TENANT_EVENTS_INDEX, only)


def changes(tenant_id: str) -> Pages:
    return Pages("PK", keys.history(tenant_id), ("SK",))


def _unpack(cursor: str) -> list[str]:
    """The texts in a cursor, each of them not empty and valid UTF-8. [] if it is no cursor at all."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        unpacked = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        texts = [text for text in unpacked if isinstance(text, str) and text.encode()]
    except (ValueError, TypeError, RecursionError):
        return []
    return texts if len(texts) == len(unpacked) else []
