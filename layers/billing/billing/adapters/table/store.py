"""The one table: consistent reads, and transactions in which every item must have the revision that was read."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import batched
from typing import Any

from billing import clock, retry
from billing.adapters.aws import failures
from billing.adapters.aws.json_api import DYNAMODB, AwsError, JsonApi
from billing.adapters.table import items, keys
from billing.adapters.table.keys import Key
from billing.adapters.table.pages import Pages
from billing.domain import due, tenancy
from billing.domain.entities import Entity, Invoice, Plan, Subscription, Tenant
from billing.domain.invoicing import is_first
from billing.domain.records import OPEN, RETENTION_SECONDS, Record
from billing.domain.writes import OwnInvoiceId, Pointer, StripeId, Unchanged
from billing.errors import Contention, RecordDone, RevisionConflict

type Write = dict[str, dict[str, Any]]  # one of a transaction, as DynamoDB takes it

_BATCH = 100  # BatchGetItem's limit
MAX_WRITES = 100  # TransactWriteItems' limit
_WRITE_BATCH = 25  # BatchWriteItem's limit
_WAITS = retry.growing(0.05, tries=6)  # before each round for the items that a throttled table left out
_PAGE_READS = 5  # what one call may read to fill a filtered page: 1 MB each, together some 10,000 records
_OPEN_VALUES = {f":{status.lower()}": status for status in sorted(OPEN)}
STILL_OPEN = f"#status IN ({', '.join(_OPEN_VALUES)})"
# DynamoDB's names of errors
_CONDITION = "ConditionalCheckFailedException"
_CONFLICT = "TransactionConflictException"
_LOST_RACE = {"ConditionalCheckFailed", "TransactionConflict"}


class Table:
    """Every read is strongly consistent, except a page of an index. Times come from this machine's clock. No write
    depends on them, but the order of the history and the expiry of items do.

    Every method raises `AwsUnavailable` when DynamoDB does not answer or is throttled.
    """

    def __init__(self, api: JsonApi, name: str) -> None:
        self.api = api
        self.name = name

    # -- reading

    def read(self, these: Iterable[Key]) -> dict[Key, items.Item]:
        """The items that exist. Each of them is consistent, but two of them may come from two moments."""
        found: dict[Key, items.Item] = {}
        for batch in batched(dict.fromkeys(these), _BATCH, strict=False):
            for raw in self._read_batch([items.dump(key._asdict()) for key in batch]):
                item = items.load(raw)
                found[Key(item["PK"], item["SK"])] = item
        return found

    def _read_batch(self, pending: list[Any]) -> list[items.RawItem]:
        found: list[items.RawItem] = []
        for _ in retry.rounds(_WAITS):
            asked = {self.name: {"Keys": pending, "ConsistentRead": True}}
            answer = self._call("BatchGetItem", RequestItems=asked)
            found += answer["Responses"].get(self.name, [])
            pending = answer["UnprocessedKeys"].get(self.name, {}).get("Keys", [])
            if not pending:
                return found
        raise failures.unavailable(DYNAMODB.title, "unprocessed items")

    def get[E: Entity](self, kind: type[E], key: Key) -> E | None:
        raw = self._call("GetItem", TableName=self.name, Key=items.dump(key._asdict()), ConsistentRead=True)
        return items.entity(kind, items.load(raw["Item"])) if "Item" in raw else None

    def plan(self, plan_id: str) -> Plan | None:
        return self.get(Plan, keys.plan(plan_id))

    def tenant(self, tenant_id: str) -> Tenant | None:
        return self.get(Tenant, keys.tenant(tenant_id))

    def owner(self, *ids: StripeId | OwnInvoiceId) -> str | None:
        """The tenant that owns the first of these ids whose owner is recorded."""
        pointers = [keys.pointer(one) for one in ids]
        found = self.read(pointers)
        return next((found[key]["tenantId"] for key in pointers if "tenantId" in found.get(key, {})), None)

    def plan_of(self, price_id: str) -> str | None:
        """The id of the plan to which a price of Stripe belongs."""
        key = keys.stripe_pointer(price_id)
        plan_id: str | None = self.read([key]).get(key, {}).get("planId")
        return plan_id

    def subscriptions(self, tenant_id: str, these: Collection[str] | None = None) -> list[Subscription]:
        """Subscriptions of a tenant: those with the given ids, or every one, also the ended ones.

        Call it after the tenant was read, never before. Every change of a subscription also writes its tenant. So if a
        write on the tenant's revision succeeds, what was read is complete and current.
        """
        if these is not None:
            found = self.read(keys.subscription(tenant_id, one) for one in these)
            return [items.entity(Subscription, item) for item in found.values()]
        return [items.entity(Subscription, item) for item in self._beginning(keys.subscriptions(tenant_id))]

    def first_invoices(self, tenant_id: str, subscription_id: str) -> list[Invoice]:
        """The invoice of the first period of this subscription, if the table has it. Reads all of the tenant's."""
        found = (items.entity(Invoice, item) for item in self._beginning(keys.invoices(tenant_id)))
        return [one for one in found if one.stripe_subscription_id == subscription_id and is_first(one)]

    def due(self, shard: str, until: str) -> Iterator[Entity]:
        """What has been due in this shard of the index since `until` or longer, the longest first, as the table has it.

        The index follows the table within moments, so what it names may have been done already.
        """
        query = {
            "TableName": self.name,
            "IndexName": keys.DUE_INDEX,
            "KeyConditionExpression": "dueShard = :shard AND dueAt <= :until",
            "ExpressionAttributeValues": items.dump({":shard": shard, ":until": until}),
        }
        for page in self._pages("Query", query):
            named = [Key(item["PK"], item["SK"]) for item in page]
            found = self.read(named)
            for key in named:
                if key in found:
                    yield items.entity(Tenant if Tenant.kind == key.SK else Invoice, found[key])

    def tenants_items(self) -> Iterator[items.Item]:
        """All items of all tenants, by a scan. For a migration: it reads the whole table, slowly and in no order."""
        scan = {
            "TableName": self.name,
            "FilterExpression": "begins_with(PK, :tenant)",
            "ExpressionAttributeValues": items.dump({":tenant": keys.TENANT}),
        }
        for page in self._pages("Scan", scan):
            yield from page

    def _beginning(self, key: Key) -> Iterator[items.Item]:
        """The items of a partition whose sort keys begin so."""
        query = {
            "TableName": self.name,
            "ConsistentRead": True,
            "KeyConditionExpression": "PK = :pk AND begins_with(SK, :sk)",
            "ExpressionAttributeValues": items.dump({":pk": key.PK, ":sk": key.SK}),
        }
        for page in self._pages("Query", query):
            yield from page

    def _pages(self, operation: str, asked: dict[str, Any]) -> Iterator[list[items.Item]]:
        while True:
            answer = self._call(operation, **asked)
            yield [items.load(raw) for raw in answer["Items"]]
            if "LastEvaluatedKey" not in answer:
                return
            asked = {**asked, "ExclusiveStartKey": answer["LastEvaluatedKey"]}

    # -- writing

    def write(
        self, entities: Sequence[Entity], pointers: Sequence[Pointer] = (), unchanged: Sequence[Unchanged] = ()
    ) -> None:
        """Writes everything or nothing. Each entity must still have the revision that was read.

        Raises `RevisionConflict`.
        """
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
        close = {"Update": self._closing(record)}
        puts = [*self._puts(entities, record.event_id), *map(self._put_pointer, pointers)]
        self._transact([close, *puts, *map(self._check, unchanged)], closes=True)

    def unlink_customer(self, tenant_id: str, customer_id: str | None) -> None:
        """Stripe does not have this customer of the tenant any more. Its pointer stays. Raises `RevisionConflict`."""
        tenant = self.tenant(tenant_id)
        if not (tenant and customer_id):
            return
        after = tenancy.without_customer(tenant, customer_id, self.subscriptions(tenant_id))
        if after != tenant:
            self.write([after])

    def count(self, key: Key, limit: int, *, expires_at: int) -> bool:
        """Adds one to the counter at this key. False if it has reached `limit` already; then nothing is added."""
        try:
            self._call(
                "UpdateItem",
                TableName=self.name,
                Key=items.dump(key._asdict()),
                UpdateExpression="SET expiresAt = :expires ADD callCount :one",
                ConditionExpression="attribute_not_exists(callCount) OR callCount < :limit",
                ExpressionAttributeValues=items.dump({":expires": expires_at, ":one": 1, ":limit": limit}),
            )
        except AwsError as error:
            if error.code != _CONDITION:
                raise
            return False
        return True

    # -- event records

    def open_record(self, record: Record) -> Record | None:
        """Writes the record and returns None if the event is new. Otherwise returns the record that is there."""
        item = items.attributes(record) | keys.event(record.event_id)._asdict()
        item["expiresAt"] = clock.seconds() + RETENTION_SECONDS
        try:
            self._call(
                "PutItem",
                TableName=self.name,
                Item=items.dump(item),
                ConditionExpression="attribute_not_exists(PK)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except AwsError as error:
            if error.code == _CONDITION:
                return items.entity(Record, items.load(error.answer["Item"]))
            if error.code == _CONFLICT:
                raise Contention("Another delivery of the event is being applied.") from error
            raise
        return None

    def record(self, event_id: str) -> Record | None:
        key = keys.event(event_id)
        found = self.read([key]).get(key)
        return items.entity(Record, found) if found else None

    def close_record(self, record: Record) -> None:
        """Closes the record of an event that changes nothing. Raises `RecordDone`."""
        self._update_open(self._closing(record))

    def fail_record(self, record: Record, error: str) -> None:
        """Marks the record as FAILED, for operators to see. The next delivery tries again. Raises `RecordDone`."""
        now = clock.now()
        self._update_open(
            {
                "TableName": self.name,
                "Key": items.dump(keys.event(record.event_id)._asdict()),
                "UpdateExpression": "SET #status = :failed, #error = :error, lastSeenAt = :now, failedStatus = :failed"
                + (", tenantId = :tenant, tenantEvents = :tenant" if record.tenant_id else "")
                + " ADD attempts :one",
                "ConditionExpression": STILL_OPEN,
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
            "TableName": self.name,
            "Key": items.dump(keys.event(record.event_id)._asdict()),
            "UpdateExpression": "SET "
            + ", ".join(f"{sets[name]} = {name}" for name in present)
            + indexed
            + " REMOVE failedStatus, #error"
            + ("" if record.reason else ", reason"),
            "ConditionExpression": STILL_OPEN,
            "ExpressionAttributeNames": {"#status": "status", "#error": "error"},
            "ExpressionAttributeValues": items.dump(present | _OPEN_VALUES),
        }

    def _update_open(self, update: dict[str, Any]) -> None:
        try:
            self._call("UpdateItem", **update)
        except AwsError as error:
            if error.code == _CONDITION:
                raise RecordDone from error
            if error.code == _CONFLICT:
                raise RevisionConflict from error
            raise

    def _puts(self, entities: Sequence[Entity], event_id: str) -> Iterable[Write]:
        now = clock.now()
        for entity in entities:
            item = items.attributes(entity) | keys.of(entity.identity)._asdict()
            item |= {"revision": entity.revision + 1, "createdAt": entity.created_at or now, "updatedAt": now}
            if event_id:
                item["eventId"] = event_id
            if isinstance(entity, Tenant) and entity.knows_subscriptions:
                item["listedAt"] = item["revision"]
            at = due.due_at(entity)
            if at:
                item |= {"dueShard": due.shard_of(entity), "dueAt": at}
            put: dict[str, Any] = {
                "TableName": self.name,
                "Item": items.dump(item),
                **on_revision(entity.revision),
            }
            yield {"Put": put}

    def _check(self, item: Unchanged) -> Write:
        check: dict[str, Any] = {
            "TableName": self.name,
            "Key": items.dump(keys.of(item.identity)._asdict()),
            **on_revision(item.revision),
        }
        return {"ConditionCheck": check}

    def _put_pointer(self, pointer: Pointer) -> Write:
        name, owner = ("planId", pointer.plan_id) if pointer.plan_id else ("tenantId", pointer.tenant_id)
        return {
            "Put": {
                "TableName": self.name,
                "Item": items.dump(keys.pointer(pointer)._asdict() | {name: owner}),
                "ConditionExpression": "attribute_not_exists(PK) OR #owner = :owner",
                "ExpressionAttributeNames": {"#owner": name},
                "ExpressionAttributeValues": items.dump({":owner": owner}),
            }
        }

    def _transact(self, writes: Sequence[Write], *, closes: bool = False) -> None:
        try:
            self._call("TransactWriteItems", TransactItems=writes)
        except AwsError as error:
            reasons = [reason.get("Code") for reason in error.answer.get("CancellationReasons", ())]
            if closes and reasons[:1] == ["ConditionalCheckFailed"]:
                raise RecordDone from error
            if _LOST_RACE.intersection(reasons):
                raise RevisionConflict from error
            raise

    def _call(self, operation: str, **parameters: Any) -> Any:
        """Every call of DynamoDB goes through here."""
        return self.api.call(operation, parameters)

    # -- pages

    def page(self, pages: Pages, limit: int, cursor: str | None) -> tuple[list[items.Item], str | None]:
        """At most `limit` items, newest first, and the cursor of the next page (None: there is none).

        An index follows the table within moments. A page of a filtered query may hold fewer items than `limit`, or
        none, and have a cursor all the same: one call reads only so much of the table.

        Raises `BadRequest` for a cursor that does not belong to this query.
        """
        query = pages.query(limit) | {"TableName": self.name}
        after = pages.start(cursor)
        found: list[items.Item] = []
        for _ in range(_PAGE_READS):
            query |= {"ExclusiveStartKey": items.dump(after)} if after else {}
            answer = self._call("Query", **query)
            found += map(items.load, answer["Items"])
            after = items.load(answer.get("LastEvaluatedKey", {}))
            if len(found) > limit or not after:
                break
        if len(found) > limit:
            return found[:limit], pages.cursor(found[limit - 1])
        return found, pages.cursor(after) if after else None

    def remember(self, changes: Iterable[items.Item]) -> None:
        """Writes items of the history, any number of them. Writing one again changes nothing."""
        by_key = {(change["PK"], change["SK"]): change for change in changes}  # a batch must not name a key twice
        puts = [{"PutRequest": {"Item": items.dump(change)}} for change in by_key.values()]
        for batch in batched(puts, _WRITE_BATCH, strict=False):
            self._put_batch([*batch])

    def _put_batch(self, puts: list[Any]) -> None:
        for _ in retry.rounds(_WAITS):
            answer = self._call("BatchWriteItem", RequestItems={self.name: puts})
            puts = answer["UnprocessedItems"].get(self.name, [])
            if not puts:
                return
        raise failures.unavailable(DYNAMODB.title, "unprocessed items")


def on_revision(revision: int) -> dict[str, Any]:
    """The condition that an item has this revision. 0: that there is no such item."""
    if not revision:
        return {"ConditionExpression": "attribute_not_exists(PK)"}
    values = items.dump({":read": revision})
    return {"ConditionExpression": "revision = :read", "ExpressionAttributeValues": values}
