"""The one table: consistent reads, and transactions in which every item is written on the revision that was read."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from billing import clock
from billing.domain.entities import Entity, Plan, Subscription, Tenant
from billing.errors import Contention, RecordDone, RevisionConflict
from billing.table import items, keys
from billing.table.history import Past
from billing.table.keys import Key
from billing.table.records import OPEN, RETENTION_SECONDS, Record, RecordStatus

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

_BATCH = 100  # BatchGetItem's limit
_BATCH_TRIES = 6  # for what a throttled table leaves out
_BATCH_BACKOFF_SECONDS = 0.05
_WRITE_BATCH = 25  # BatchWriteItem's limit
_PAGE_READS = 5  # of 1 MB each, some 10,000 records: what one call may read to fill a filtered page
_OPEN_VALUES = {f":{status.lower()}": status for status in sorted(OPEN)}
_STILL_OPEN = f"#status IN ({', '.join(_OPEN_VALUES)})"
_LOST_RACE = {"ConditionalCheckFailed", "TransactionConflict"}


@dataclass(frozen=True)
class Pointer:
    """Names the owner of an id. Never changes hands: a write that would make it do so is a `RevisionConflict`."""

    key: Key
    tenant_id: str | None = None
    plan_id: str | None = None


@dataclass(frozen=True)
class Unchanged:
    """An item that was read and is not written, but must still be as it was (revision 0: not there) at the commit."""

    key: Key
    revision: int


class Table:
    """Every read is strongly consistent. Times come from this machine's clock and decide nothing."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._client = client
        self._name = name

    # -- reading

    def read(self, wanted: Iterable[Key]) -> dict[Key, items.Item]:
        """The items that exist, in one round trip (each is consistent by itself, the set is no snapshot)."""
        pending: list[Any] = [items.dump(key._asdict()) for key in dict.fromkeys(wanted)]
        found: dict[Key, items.Item] = {}
        refused = 0
        while pending and refused < _BATCH_TRIES:
            time.sleep(_BATCH_BACKOFF_SECONDS * refused)
            answer = self._client.batch_get_item(
                RequestItems={self._name: {"Keys": pending[:_BATCH], "ConsistentRead": True}}
            )
            left = answer["UnprocessedKeys"].get(self._name)
            refused = refused + 1 if left else 0
            pending = [*pending[_BATCH:], *(left["Keys"] if left else [])]
            for raw in answer["Responses"].get(self._name, []):
                item = items.load(raw)
                found[Key(item["PK"], item["SK"])] = item
        if pending:
            raise Contention("The table is throttled; try again.", retry_after=1)
        return found

    def get[E: Entity](self, kind: type[E], key: Key) -> E | None:
        raw = self._client.get_item(TableName=self._name, Key=items.dump(key._asdict()), ConsistentRead=True)
        return items.entity(kind, items.load(raw["Item"])) if "Item" in raw else None

    def plan(self, plan_id: str) -> Plan | None:
        return self.get(Plan, keys.plan(plan_id))

    def tenant(self, tenant_id: str) -> Tenant | None:
        return self.get(Tenant, keys.tenant(tenant_id))

    def owner(self, key: Key) -> str | None:
        """The tenant that a pointer names."""
        found = self.read([key]).get(key)
        return found.get("tenantId") if found else None

    def subscriptions(self, tenant_id: str) -> list[Subscription]:
        """Every subscription of a tenant, ended ones too.

        Call it after the tenant was read, never before: every change of a subscription also writes its tenant, so a
        write on the tenant's revision proves that this list was complete and current.
        """
        partition, prefix = keys.subscriptions(tenant_id)
        pages = self._client.get_paginator("query").paginate(
            TableName=self._name,
            ConsistentRead=True,
            KeyConditionExpression="PK = :pk AND begins_with(SK, :sk)",
            ExpressionAttributeValues=items.dump({":pk": partition, ":sk": prefix}),
        )
        return [items.entity(Subscription, items.load(raw)) for page in pages for raw in page["Items"]]

    # -- writing

    def write(
        self, entities: Sequence[Entity], pointers: Sequence[Pointer] = (), unchanged: Sequence[Unchanged] = ()
    ) -> None:
        """All or nothing, each entity on its revision. Raises `RevisionConflict`."""
        puts = [*self._puts(entities, ""), *map(self._put_pointer, pointers)]
        self._transact([*puts, *map(self._check, unchanged)])

    def commit(
        self,
        record: Record,
        entities: Sequence[Entity],
        pointers: Sequence[Pointer] = (),
        unchanged: Sequence[Unchanged] = (),
    ) -> None:
        """Closes the record and writes what its event changed, in one transaction.

        Raises `RecordDone` when another delivery closed it, `RevisionConflict` when an entity was written meanwhile.
        """
        close: TransactWriteItemTypeDef = {"Update": self._closing(record)}  # type: ignore[typeddict-item]
        puts = [*self._puts(entities, record.event_id), *map(self._put_pointer, pointers)]
        self._transact([close, *puts, *map(self._check, unchanged)], closes=True)

    # -- event records

    def open_record(self, record: Record) -> Record | None:
        """Writes the record if the event is new (None), else returns the one that is there."""
        item = items.attributes(record) | keys.event(record.event_id)._asdict()
        item["expiresAt"] = clock.seconds() + RETENTION_SECONDS
        try:
            self._client.put_item(
                TableName=self._name,
                Item=items.dump(item),
                ConditionExpression="attribute_not_exists(PK)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self._client.exceptions.ConditionalCheckFailedException as error:
            return _record(items.load(error.response["Item"]))  # type: ignore[typeddict-item]
        except self._client.exceptions.TransactionConflictException as error:
            raise Contention("Another delivery of the event is being applied.") from error
        return None

    def record(self, event_id: str) -> Record | None:
        key = keys.event(event_id)
        found = self.read([key]).get(key)
        return _record(found) if found else None

    def close_record(self, record: Record) -> None:
        """For an event that changes nothing. Raises `RecordDone`."""
        self._update_open(self._closing(record))

    def fail_record(self, record: Record, error: str) -> None:
        """Marks the record for an operator to see; the next delivery tries again. Raises `RecordDone`."""
        now = clock.now()
        self._update_open(
            {
                "TableName": self._name,
                "Key": items.dump(keys.event(record.event_id)._asdict()),
                "UpdateExpression": "SET #status = :failed, #error = :error, lastSeenAt = :now, failedStatus = :failed"
                + (", tenantId = :tenant, tenantEvents = :tenant" if record.tenant_id else "")
                + " ADD attempts :one",
                "ConditionExpression": _STILL_OPEN,
                "ExpressionAttributeNames": {"#status": "status", "#error": "error"},
                "ExpressionAttributeValues": items.dump(
                    {**_OPEN_VALUES, ":error": error, ":now": now, ":one": 1}
                    | ({":tenant": record.tenant_id} if record.tenant_id else {})
                ),
            }
        )

    # -- how

    def _closing(self, record: Record) -> dict[str, Any]:
        values = {":status": record.status, ":now": clock.now(), ":reason": record.reason, ":tenant": record.tenant_id}
        present = {name: value for name, value in values.items() if value is not None}
        sets = {":status": "#status", ":now": "processedAt", ":reason": "reason", ":tenant": "tenantId"}
        indexed = ", tenantEvents = :tenant" if record.tenant_id else ""
        return {
            "TableName": self._name,
            "Key": items.dump(keys.event(record.event_id)._asdict()),
            "UpdateExpression": "SET "
            + ", ".join(f"{sets[name]} = {name}" for name in present)
            + indexed
            + " REMOVE failedStatus, #error"
            + ("" if record.reason else ", reason"),
            "ConditionExpression": _STILL_OPEN,
            "ExpressionAttributeNames": {"#status": "status", "#error": "error"},
            "ExpressionAttributeValues": items.dump(present | _OPEN_VALUES),
        }

    def _update_open(self, update: dict[str, Any]) -> None:
        try:
            self._client.update_item(**update)
        except self._client.exceptions.ConditionalCheckFailedException as error:
            raise RecordDone from error
        except self._client.exceptions.TransactionConflictException as error:
            raise RevisionConflict from error

    def _puts(self, entities: Sequence[Entity], event_id: str) -> Iterable["TransactWriteItemTypeDef"]:
        now = clock.now()
        for entity in entities:
            item = items.attributes(entity) | keys.of(entity)._asdict()
            item |= {"revision": entity.revision + 1, "createdAt": entity.created_at or now, "updatedAt": now}
            if event_id:
                item["eventId"] = event_id
            put: dict[str, Any] = {
                "TableName": self._name,
                "Item": items.dump(item),
                **_on_revision(entity.revision),
            }
            yield {"Put": put}  # type: ignore[typeddict-item]

    def _check(self, item: Unchanged) -> "TransactWriteItemTypeDef":
        check: dict[str, Any] = {
            "TableName": self._name,
            "Key": items.dump(item.key._asdict()),
            **_on_revision(item.revision),
        }
        return {"ConditionCheck": check}  # type: ignore[typeddict-item]

    def _put_pointer(self, pointer: Pointer) -> "TransactWriteItemTypeDef":
        name, owner = ("planId", pointer.plan_id) if pointer.plan_id else ("tenantId", pointer.tenant_id)
        return {
            "Put": {
                "TableName": self._name,
                "Item": items.dump(pointer.key._asdict() | {name: owner}),
                "ConditionExpression": "attribute_not_exists(PK) OR #owner = :owner",
                "ExpressionAttributeNames": {"#owner": name},
                "ExpressionAttributeValues": items.dump({":owner": owner}),
            }
        }

    def _transact(self, writes: Sequence["TransactWriteItemTypeDef"], *, closes: bool = False) -> None:
        try:
            self._client.transact_write_items(TransactItems=writes)
        except self._client.exceptions.TransactionCanceledException as error:
            reasons = [reason.get("Code") for reason in error.response["CancellationReasons"]]
            if closes and reasons[0] == "ConditionalCheckFailed":
                raise RecordDone from error
            if _LOST_RACE.intersection(reasons):
                raise RevisionConflict from error
            raise

    # -- the past

    def page(self, past: Past, limit: int, cursor: str | None) -> tuple[list[items.Item], str | None]:
        """At most `limit` items, newest first, and the cursor of what follows (None: nothing does).

        An index follows the table within moments. A query with a filter may give a page with fewer items, or none,
        and a cursor: it read as much as one call may.

        Raises `BadRequest` for a cursor that is none of this query's.
        """
        query = past.query(limit) | {"TableName": self._name}
        after = past.start(cursor)
        found: list[items.Item] = []
        for _ in range(_PAGE_READS):
            query |= {"ExclusiveStartKey": items.dump(after)} if after else {}
            answer = self._client.query(**query)
            found += map(items.load, answer["Items"])
            after = items.load(answer.get("LastEvaluatedKey", {}))
            if len(found) > limit or not after:
                break
        if len(found) > limit:
            return found[:limit], past.cursor(found[limit - 1])
        return found, past.cursor(after) if after else None

    def remember(self, changes: Iterable[items.Item]) -> None:
        """Puts items of `billing.history`, any number; once more is the same. Raises `Contention` when throttled."""
        by_key = {(change["PK"], change["SK"]): change for change in changes}  # a batch must not name a key twice
        puts = [{"PutRequest": {"Item": items.dump(change)}} for change in by_key.values()]
        for start in range(0, len(puts), _WRITE_BATCH):
            self._put_batch(puts[start : start + _WRITE_BATCH])

    def _put_batch(self, puts: list[Any]) -> None:
        for attempt in range(_BATCH_TRIES):
            time.sleep(_BATCH_BACKOFF_SECONDS * attempt)
            answer = self._client.batch_write_item(RequestItems={self._name: puts})
            puts = answer["UnprocessedItems"].get(self._name, [])
            if not puts:
                return
        raise Contention("The table is throttled; try again.", retry_after=1)


def _on_revision(revision: int) -> dict[str, Any]:
    """The condition that an item stands at a revision; 0: that there is none."""
    if not revision:
        return {"ConditionExpression": "attribute_not_exists(PK)"}
    values = items.dump({":read": revision})
    return {"ConditionExpression": "revision = :read", "ExpressionAttributeValues": values}


def _record(item: items.Item) -> Record:
    values = items.values_of(Record, item)
    values["status"] = RecordStatus(values["status"])
    return Record(**values)
