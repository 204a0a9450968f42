"""Checks a table as the version before wrote it: read by this version, migrated, and rolled back."""

import pytest

from billing import bootstrap
from billing.adapters.table import items
from billing.announce import changes
from billing.announce import publisher as publish
from billing.domain.entities import SCHEMA, Invoice, Payment, Subscription
from billing.operate.migration import Migration
from local.stripe.engine import payments, periods
from tests.integration.support import OUTAGE, first_subscription, only_subscription, own_invoice
from tests.world import TENANT, World

ADDED = {kind.kind: {items.camel(name) for name in kind.added} for kind in (Subscription, Invoice, Payment)}


def entities(world: World) -> list[items.Item]:
    found = map(items.load, world.dynamodb.scan(TableName=world.table.name)["Items"])
    return [item for item in found if item["PK"].startswith("TENANT#")]


def put(world: World, item: items.Item) -> None:
    world.dynamodb.put_item(TableName=world.table.name, Item=items.dump(item))


def as_before(item: items.Item) -> items.Item:
    """The item as a version wrote it that knew nothing of the new fields."""
    added = ADDED.get(item["SK"].partition("#")[0], set())
    return {name: value for name, value in item.items() if name not in {"schema", "subscriptions", "listedAt", *added}}


@pytest.fixture
def old(world: World) -> World:
    """A subscription with a disputed payment, and an own invoice, as the last version wrote them."""
    world.plan()
    world.subscribe()
    payments.dispute(world.stripe.store, world.stripe.store.all("charge")[0])
    world.deliver_new()
    world.run("reconcile_stripe", {})
    own_invoice(world)
    for item in entities(world):
        put(world, as_before(item))
    return world


def migrate(world: World, *, dry_run: bool = False) -> tuple[bool, Migration, list[str]]:
    said: list[str] = []
    migration = Migration(world.table, bootstrap.decider(), dry_run)
    return migration.run(said.append), migration, said


def announced(before: list[items.Item], after: list[items.Item]) -> list[str]:
    now = {item["SK"]: item for item in after}
    return [one.type for item in before for one in publish.announcements_of(item, now[item["SK"]])]


def test_what_an_old_item_lacks_is_no_drift(old: World) -> None:
    report = old.run("reconcile_stripe", {"dryRun": True})
    assert (report["differing"], report["unresolved"]) == ({}, [])


def test_the_first_event_after_the_deployment_announces_only_what_happened(old: World) -> None:
    before = entities(old)
    periods.renew(old.stripe.store, first_subscription(old))
    old.deliver_new()
    after = entities(old)
    known = {item["SK"] for item in before}
    told = set(announced(before, [item for item in after if item["SK"] in known]))
    assert told <= {"subscription.renewed"}
    now = {item["SK"]: item for item in after}
    for item in before:
        made = changes.change(item, now[item["SK"]])
        added = ADDED.get(item["SK"].partition("#")[0], set())
        assert not made or not made["changes"].keys() & {*added, "schema"}
    assert only_subscription(old).schema == SCHEMA


def test_a_migration_fills_the_new_fields_and_announces_nothing(old: World) -> None:
    before = entities(old)
    done, migration, said = migrate(old)
    assert (done, migration.migrated, migration.failed) == (True, 5, 0)
    assert said == ["5 old items: 5 migrated, 0 gone at Stripe, 0 failed"]
    after = entities(old)
    assert announced(before, after) == []
    assert only_subscription(old).items
    [recorded] = [old.payment(i["id"]) for i in old.stripe.store.all("payment_intent", status="succeeded")]
    assert recorded
    assert recorded.dispute_status == "needs_response"
    own = old.invoice("inv-001")
    assert own
    assert (own.total, own.schema) == (25000, SCHEMA)
    assert old.run("reconcile_stripe", {"dryRun": True})["differing"] == {}
    assert migrate(old)[1].seen == 0
    tenant, subscription = old.tenant(), only_subscription(old)
    assert tenant
    assert tenant.knows_subscriptions
    assert [(one.subscription_id, one.revision) for one in tenant.subscriptions] == [
        (subscription.stripe_subscription_id, subscription.revision)
    ]


def test_a_dry_run_writes_nothing(old: World) -> None:
    before = entities(old)
    done, _, said = migrate(old, dry_run=True)
    assert (done, said) == (False, ["5 old items: 5 would be migrated, 0 gone at Stripe, 0 failed"])
    assert entities(old) == before


def test_a_migration_that_failed_is_begun_again(old: World) -> None:
    old.stripe.fail(500, OUTAGE, 0, "/v1/invoices")
    done, migration, _ = migrate(old)
    assert (done, migration.failed) == (False, 1)
    old.stripe.failures.clear()
    done, migration, _ = migrate(old)
    assert (done, migration.seen) == (True, 1)


def test_what_is_gone_at_stripe_stays_as_it_is(old: World) -> None:
    old.stripe.store.delete(old.stripe.store.all("subscription")[0])
    done, migration, _ = migrate(old)
    assert (done, migration.gone) == (True, 1)


def test_what_another_version_wrote_survives_our_writes(world: World) -> None:
    """During a deployment, and after a roll-back, two versions write the same items."""
    world.plan()
    world.subscribe()
    world.deliver_new()
    for item in entities(world):
        put(world, item | {"ofTheNextVersion": {"deep": [1, "two"]}})
    periods.renew(world.stripe.store, first_subscription(world))
    world.deliver_new()
    for item in entities(world):
        if item["SK"].startswith(("TENANT", "SUBSCRIPTION")):
            assert item["ofTheNextVersion"] == {"deep": [1, "two"]}, item


def test_a_roll_back_makes_an_item_old_again(old: World) -> None:
    """The version before drops what it does not know, the mark among it. So the next migration finds the item."""
    migrate(old)
    [item] = [item for item in entities(old) if item["SK"].startswith("SUBSCRIPTION")]
    put(old, as_before(item) | {"revision": item["revision"] + 1})
    assert old.run("reconcile_stripe", {"dryRun": True})["differing"] == {}
    assert migrate(old)[1].migrated == 1


def test_the_event_of_an_item_is_not_kept(world: World) -> None:
    """`eventId` names the event of the last write, or nothing."""
    world.plan()
    world.subscribe()
    world.deliver_new()
    for item in entities(world):
        if item["SK"].startswith("SUBSCRIPTION"):
            put(world, as_before(item))
    migrate(world)
    [item] = [item for item in entities(world) if item["SK"].startswith("SUBSCRIPTION")]
    assert "eventId" not in item


def test_the_tenant_decides_whose_object_it_is(old: World) -> None:
    """The object is read for the tenant whose item it is, whatever its metadata says by now."""
    first_subscription(old)["metadata"] = {"tenantId": "other"}
    migrate(old)
    assert only_subscription(old).items
    assert old.tenant("other") is None
    assert old.tenant(TENANT)


def test_a_payment_that_succeeded_unnoticed_pays_its_own_invoice(old: World) -> None:
    """The migration is the first to see it. Its event comes later, and counts nothing twice."""
    intent = old.stripe.store.all("payment_intent")[0]
    assert intent["metadata"]["invoiceId"] == "inv-001"
    payments.fail_intent(old.stripe.store, intent)
    old.deliver_new()
    for item in entities(old):
        put(old, as_before(item))
    payments.charge(old.stripe.store, intent)
    late = old.new_events()
    assert migrate(old)[0]
    for event in late:
        old.deliver(event)
    own = old.invoice("inv-001")
    assert own
    assert (own.status, own.amount_paid) == ("PAID", 25000)
