"""Judges a tenant's table and the stream of its changes, when a history is over.

The rules come from `docs/`. `model.py` says what the table must hold in the end, and `announced.py` what each write
owes.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any, Final

from jsonschema import Draft202012Validator

from billing.adapters.table import keys
from billing.announce import publisher
from local.stripe.engine.store import Object, Store
from tests.torture import announced, model
from tests.torture.announced import Item
from tests.torture.harness import Harness

FINAL: Final = {
    "SUBSCRIPTION": {"canceled", "incomplete_expired"},
    "INVOICE": {"PAID", "VOID"},
    "PAYMENT": {"SUCCEEDED"},
}
NEVER_FALLS: Final = ("amountPaid", "amountRefundFailed", "amountOverpaid")
NEVER_CHANGES: Final = ("tenantId", "createdAt", "stripeSubscriptionId", "stripeInvoiceId")
STAGES: Final = (None, "pending", "failed", "settled")
CLOSED: Final = ("PROCESSED", "STALE", "IGNORED")
_VALIDATORS: Final = {version: Draft202012Validator(schema) for version, schema in announced.SCHEMAS.items()}


# -- the table


def differences(account: dict[str, Item], expected: model.Expected) -> list[str]:
    """Compares what the table has of a tenant with the model."""
    lines = [f"{key} is only in the table" for key in sorted(account.keys() - expected.keys())]
    lines += [f"{key} is only at Stripe" for key in sorted(expected.keys() - account.keys())]
    for key in account.keys() & expected.keys():
        item = account[key]
        if item.get("stripeCustomerId") not in expected[key].get("_customers", {item.get("stripeCustomerId")}):
            lines.append(f"{key}.stripeCustomerId is {item.get('stripeCustomerId')}")
        for name, value in expected[key].items():
            found = bool(item.get("trialNotice")) if name == "_noticed" else item.get(name)
            if (name == "_noticed" or not name.startswith("_")) and not _same(name, found, value):
                lines.append(f"{key}.{name} is {found} in the table and {value} at Stripe")
    return lines


def _same(name: str, found: Any, value: Any) -> bool:
    """The order of items means nothing, and an item may say more than the model."""
    if name != "items" or not found or not value:
        return bool(found == value)
    known = [{field: one.get(field) for field in value[0]} for one in found]
    return sorted(map(str, known)) == sorted(map(str, value))


def judge_table(harness: Harness, tenant_id: str, expected: model.Expected) -> None:
    account = harness.account(tenant_id)
    found = differences(account, expected)
    assert not found, found
    judge_list(account, tenant_id)


def judge_list(account: dict[str, Item], tenant_id: str) -> None:
    """The tenant lists each of its subscriptions that has not ended, and of the others the one that decides if none is
    left: the newest of those that ever began. Each with its revision.
    """
    tenant = account.get(tenant_id)
    if tenant is None or tenant.get("listedAt") != tenant["revision"]:
        return
    held = {key: item for key, item in account.items() if item["SK"].startswith("SUBSCRIPTION#")}
    listed = {one["subscriptionId"]: one["revision"] for one in tenant.get("subscriptions", [])}
    live = {key for key, item in held.items() if item["status"] not in FINAL["SUBSCRIPTION"]}
    ended = [item for key, item in held.items() if key not in live]
    began = [item for item in ended if item["status"] == "canceled"] or ended
    last = {max((item["startedAt"], item["SK"].removeprefix("SUBSCRIPTION#")) for item in began)[1]} if began else set()
    assert listed == {key: held[key]["revision"] for key in live | last}, (listed, live, last)


def judge_records(harness: Harness, delivered: Iterable[Object]) -> None:
    """Every event that was delivered has a closed record."""
    events = {event["id"]: event["type"] for event in delivered}
    records = harness.world.table.read(keys.event(event_id) for event_id in events)
    statuses = {item["eventId"]: item["status"] for item in records.values()}
    for event_id, kind in events.items():
        assert statuses.get(event_id) in CLOSED, (kind, statuses.get(event_id))


# -- the stream


class Judge:
    """Sees the changes of one tenant in their order. Each record of the stream begins where the one before it ended."""

    def __init__(self, tenant_id: str) -> None:
        self.tenant_id = tenant_id
        self.items: dict[str, Item] = {}
        self.told: Counter[str] = Counter()  # ids of announcements
        self.types: Counter[tuple[str, str]] = Counter()  # type and id of the entity
        self.periods: Counter[tuple[str, ...]] = Counter()
        self.access: set[str] = set()  # the subscriptions that gave access at any time
        self._writer: tuple[Any, ...] = ()

    def see(self, before: Item, after: Item) -> None:
        item = after or before
        if item["PK"] != f"TENANT#{self.tenant_id}":
            return
        assert after, "an item was deleted"
        assert before == self.items.get(item["SK"], {}), "the stream repeats or omits a change"
        assert after["revision"] == before.get("revision", 0) + 1, "a revision is missing"
        writer = (after.get("eventId"), after["updatedAt"])
        if writer != self._writer:
            self.end_of_transaction()
        self._writer = writer
        self.items[item["SK"]] = after
        judge_change(item["SK"].split("#")[0], before, after)
        for version in announced.VERSIONS:
            found = judge_announcements(before, after, version)
        for one in found:  # of the present version
            self._count(one, item["SK"])

    def end(self, store: Store) -> None:
        """What the changes must have been in all, after the last one."""
        self.end_of_transaction()
        assert not [one for one, count in self.told.items() if count > 1], "two announcements have the same id"
        assert not [one for one, count in self.periods.items() if count > 1], "a period was renewed twice"
        for sort_key, item in self.items.items():
            for kind, happened in announced_once(sort_key, item).items():
                assert self.types[kind, sort_key] == happened, (kind, sort_key)
        for one in store.all("subscription"):
            if model.waiting(store, one) and "checkoutAttempt" in one["metadata"]:
                assert one["id"] not in self.access, f"an unpaid checkout gave access: {one['id']}"

    def end_of_transaction(self) -> None:
        """After each transaction the tenant's status follows from its subscriptions, as the table has them."""
        tenant = self.items.get("TENANT")
        if not tenant:
            return
        known = {key.split("#")[1]: _known(one) for key, one in self.items.items() if key.startswith("SUBSCRIPTION#")}
        status, current = model.meaning(known)
        found = tenant["status"], tenant.get("currentSubscriptionId")
        assert found == (status, current), ("the tenant's status does not follow", found, (status, current), known)
        for key, fields in known.items():
            assert fields["duplicate"] == model.is_duplicate(key, fields, current), ("duplicate", key, current, known)
        if status == "ACTIVE" and current:
            self.access.add(current)

    def _count(self, one: dict[str, Any], entity: str) -> None:
        self.told[one["id"]] += 1
        self.types[one["type"], entity] += 1
        if one["type"] == "subscription.renewed":
            to = one["to"]
            self.periods[one["subscriptionId"], to.get("periodStart", ""), to.get("periodEnd", "")] += 1


def judge_announcements(before: Item, after: Item, version: Any) -> list[dict[str, Any]]:
    """Judges what one write announces. Returns it, as a consumer gets it."""
    made = publisher.announcements_of(before, after, version)
    found = [publisher.detail(one, after, version) for one in made]
    again = [publisher.detail(one, after, version) for one in publisher.announcements_of(before, after, version)]
    assert again == found, "the stream repeats a record, and another announcement follows"
    owed = announced.owed(before, after, version)
    types = sorted(one["type"] for one in found)
    assert types == sorted(owed), (version, "announced", types, "owed", sorted(owed), _changes(before, after))
    for one in found:
        _judge_detail(one, after, version)
        _judge_payload(one, owed[one["type"]], before, after, version)
    return found


def _changes(before: Item, after: Item) -> dict[str, Any]:
    return {
        name: (before.get(name), after.get(name)) for name in {*before, *after} if before.get(name) != after.get(name)
    }


def _known(item: Item) -> dict[str, Any]:
    order = item.get("startedAt", ""), item["stripeSubscriptionId"]
    return {**item, "_order": order, "_waits": item.get("checkoutPayment") in ("pending", "failed")}


def judge_change(kind: str, before: Item, after: Item) -> None:
    final = before.get("status") in FINAL.get(kind, ())
    assert not (final and after["status"] != before["status"]), ("a final state was left", before, after)
    for name in NEVER_FALLS:
        assert after.get(name, 0) >= before.get(name, 0), f"{name} became smaller"
    for name in NEVER_CHANGES:
        assert name not in before or before[name] == after.get(name), f"{name} changed"
    back = before.get("amountRefunded", 0) - after.get("amountRefunded", 0)
    failed = after.get("amountRefundFailed", 0) - before.get("amountRefundFailed", 0)
    assert back <= max(0, failed), "a refund disappeared, and none failed"
    stages = STAGES.index(before.get("checkoutPayment")), STAGES.index(after.get("checkoutPayment"))
    assert stages[0] <= stages[1], "a checkout's payment moved back"
    if kind == "INVOICE" and after["status"] == "PAID":
        assert after["amountRemaining"] == 0, "something remains of a paid invoice"
    if kind == "PAYMENT":
        assert after.get("amountRefunded", 0) <= after["amount"], "more went back than came"


def _judge_detail(one: dict[str, Any], after: Item, version: str) -> None:
    """What is true of every announcement: its schema, the entity, the time, and Stripe's event."""
    errors = [error.message[:200] for error in _VALIDATORS[version].iter_errors(one)]
    assert not errors, (one["type"], errors)
    kind = after["SK"].split("#")[0]
    wanted = {"tenantId": after["tenantId"], "time": after["updatedAt"], "stripeEventId": after.get("eventId")}
    if kind != "TENANT":
        wanted[announced.NAMES[kind]] = after["SK"].split("#", 1)[1]
    if kind == "INVOICE" and version == "2":
        wanted["subscriptionId"] = after.get("stripeSubscriptionId")
    for name, value in wanted.items():
        assert one.get(name) == value, (one["type"], name, one.get(name), value)


def _judge_payload(one: dict[str, Any], owed: tuple[Item, Item], before: Item, after: Item, version: str) -> None:
    """Version 2 has each field of its schema that has a value. Version 1 and `.updated` do not promise every field."""
    found = one["from"], one["to"]
    if version == "2" and not one["type"].endswith(".updated"):
        assert found == owed, (one["type"], found, owed)
        return
    for side, wanted in zip(found, owed, strict=True):
        assert side.items() <= wanted.items(), (one["type"], side, wanted)
    if version == "2":
        missing = [name for name in announced.untold(before, after) if found[0].get(name) == found[1].get(name)]
        assert not missing, (one["type"], missing)


def announced_once(sort_key: str, item: Item) -> dict[str, bool]:
    """Takes an item in its last state. Tells for each announcement whether it was due once (True) or never (False)."""
    status = item.get("status")
    match sort_key.split("#", maxsplit=1)[0]:
        case "SUBSCRIPTION":
            return {"subscription.created": True, "subscription.canceled": status in announced.ENDED}
        case "INVOICE":
            paid = {"invoice.created": True, "invoice.paid": status == "PAID", "invoice.voided": status == "VOID"}
            return paid | {"subscription.renewed": status == "PAID" and announced.is_period(item)}
        case "PAYMENT":
            return {"payment.succeeded": status == "SUCCEEDED"}
    return {}


def judge_stream(changes: Iterable[tuple[Item, Item]], store: Store, tenants: Collection[str]) -> dict[str, Judge]:
    """Judges the changes of these tenants, in their order. Returns the judge of each tenant."""
    judges = {tenant_id: Judge(tenant_id) for tenant_id in tenants}
    for before, after in changes:
        partition = (after or before)["PK"]
        if partition.startswith("TENANT#") and partition[7:] in judges:
            judges[partition[7:]].see(before, after)
    for judge in judges.values():
        judge.end(store)
    return judges
