"""Pages of the past, newest first: event records by index, the changes of a tenant's entities; and their cursors.

A cursor is base64url of `[position…, check]`: the key of the page's last item without its partition, and a checksum
over query and position. The check is no secret and keeps nobody out. It need not: the partition always comes from the
query, which the caller was allowed, so an invented cursor is a position within what the caller may read anyway.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from billing.errors import BadRequest
from billing.table import items, keys

_CHECK_CHARACTERS: Final = 16


@dataclass(frozen=True)
class Past:
    """One partition of the table (`index` None) or of an index, and the attributes that make a position in it.

    `only`: attribute -> value that the items must have.
    """

    partition: str
    value: str
    position: tuple[str, ...]
    index: str | None = None
    only: Mapping[str, str] = field(default_factory=dict)

    def query(self, limit: int) -> dict[str, Any]:
        """Query's parameters. One item more than wanted says whether more follow; a filter counts after the limit."""
        names = {"#partition": self.partition} | {f"#{name}": name for name in self.only}
        values = {":value": self.value} | {f":{name}": value for name, value in self.only.items()}
        query = {
            "KeyConditionExpression": "#partition = :value",
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": items.dump(values),
            "ScanIndexForward": False,
        }
        wanted = " AND ".join(f"#{name} = :{name}" for name in self.only)
        query |= {"FilterExpression": wanted} if wanted else {"Limit": limit + 1}
        return query | ({"IndexName": self.index} if self.index else {"ConsistentRead": True})

    def cursor(self, item: items.Item) -> str:
        """Of what follows `item`, or the item of which it is the key."""
        position = [item[name] for name in self.position]
        packed = json.dumps([*position, self._check(position)], separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(packed).decode().rstrip("=")

    def start(self, cursor: str | None) -> items.Item:
        """The key after which to go on, {} for the first page. Raises `BadRequest`."""
        if cursor is None:
            return {}
        *position, check = _unpack(cursor) or [""]
        if len(position) != len(self.position) or check != self._check(position):
            raise BadRequest("cursor: is none of this query's; begin without one.")
        return {self.partition: self.value} | dict(zip(self.position, position, strict=True))

    def _check(self, position: list[str]) -> str:
        query = [self.index, self.partition, self.value, sorted(self.only.items()), position]
        return sha256(json.dumps(query).encode()).hexdigest()[:_CHECK_CHARACTERS]


def failed_events() -> Past:
    return Past("failedStatus", "FAILED", ("lastSeenAt", *keys.Key._fields), keys.FAILED_INDEX)


def tenant_events(tenant_id: str, status: str | None = None) -> Past:
    """Those that the tenant's id was written on when they were applied or failed; `status`: just these."""
    only = {"status": status} if status else {}
    return Past("tenantEvents", tenant_id, ("receivedAt", *keys.Key._fields), keys.TENANT_EVENTS_INDEX, only)


def changes(tenant_id: str) -> Past:
    return Past("PK", keys.history(tenant_id), ("SK",))


def _unpack(cursor: str) -> list[str]:
    """The texts in a cursor, none empty and each one that DynamoDB takes; [] when it is no cursor at all."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        unpacked = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        texts = [text for text in unpacked if isinstance(text, str) and text.encode()]
    except (ValueError, TypeError, RecursionError):
        return []
    return texts if len(texts) == len(unpacked) else []
