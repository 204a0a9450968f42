"""Checks what becomes due by time alone, and that a newly linked customer's objects are brought in."""

from dataclasses import replace
from typing import Any

import pytest
import stripe

from billing import clock
from billing.adapters.table.store import Table
from billing.domain import due
from billing.domain.entities import Invoice, Payment, Tenant
from billing.domain.statuses import InvoiceStatus, PaymentStatus, TenantStatus
from local.stripe.api import checkout as api_checkout
from local.stripe.engine import checkout, invoices, payments, periods, subscriptions
from local.stripe.engine.cards import BANK
from local.stripe.engine.store import Object
from tests.integration.support import OUTAGE, only_subscription, state
from tests.world import PRICE, TENANT, World

YESTERDAY, TOMORROW = (clock.iso(clock.seconds() + days * 86400) for days in (-1, 1))


def sweep(world: World) -> dict[str, Any]:
    return world.run("sweep_due_items", {})


def own(world: World, due_date: str, **more: Any) -> Invoice:
    values: dict[str, Any] = {"status": InvoiceStatus.PENDING, "currency": "usd", "amount_due": 900} | more
    invoice = Invoice(tenant_id=TENANT, invoice_id=f"inv-{due_date[:10]}", due_date=due_date, **values)
    world.table.write([invoice])
    return invoice


def status(world: World, invoice: Invoice) -> InvoiceStatus:
    found = world.invoice(invoice.invoice_id)
    assert found
    return found.status


def test_own_invoices_become_overdue_once(world: World) -> None:
    late, early = own(world, YESTERDAY), own(world, TOMORROW)
    assert sweep(world) == {"due": 1, "overdue": 1, "imported": 0, "failed": 0, "complete": True}
    assert (status(world, late), status(world, early)) == (InvoiceStatus.OVERDUE, InvoiceStatus.PENDING)
    revision = world.invoice(late.invoice_id).revision  # type: ignore[union-attr]
    assert sweep(world)["due"] == 0
    assert world.invoice(late.invoice_id).revision == revision  # type: ignore[union-attr]


@pytest.mark.parametrize("settled", [InvoiceStatus.PAID, InvoiceStatus.VOID, InvoiceStatus.UNCOLLECTIBLE])
def test_a_closed_invoice_is_not_due(world: World, settled: InvoiceStatus) -> None:
    invoice = own(world, YESTERDAY)
    world.table.write([replace(invoice, status=settled, revision=1)])
    assert sweep(world)["due"] == 0
    assert status(world, invoice) is settled


def test_stripes_invoice_becomes_overdue_and_is_no_drift(world: World) -> None:
    world.plan()
    world.subscribe()
    store = world.stripe.store
    subscription = store.all("subscription")[0]
    draft = invoices.create_draft(store, subscription["customer"], "manual", subscription, due_date=store.now() + 30)
    invoices.finalize(store, draft)
    world.deliver_new()
    invoice = world.invoice(draft["id"])
    assert invoice
    draft["due_date"] -= 3600
    world.table.write([replace(invoice, due_date=clock.iso(draft["due_date"]))])
    assert world.run("reconcile_stripe", {"dryRun": True})["differing"] == {}
    assert sweep(world)["overdue"] == 1
    assert status(world, invoice) is InvoiceStatus.OVERDUE
    assert world.run("reconcile_stripe", {"dryRun": True})["differing"] == {}


def test_somebody_pays_at_this_moment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The item of the index is older than the table: the write needs the revision that was read."""
    invoice = own(world, YESTERDAY)
    listed = [*world.table.due(due.shard_of(invoice), clock.now())]
    world.table.write([replace(invoice, status=InvoiceStatus.PAID, revision=1)])
    monkeypatch.setattr(Table, "due", lambda *_: iter(listed))
    assert sweep(world)["overdue"] == 0
    assert status(world, invoice) is InvoiceStatus.PAID


def test_the_shards_hold_everything() -> None:
    found = {due.shard_of(Tenant(tenant_id=f"t{number}")) for number in range(200)}
    assert found == set(due.SHARDS)


# -- a customer that is older than its link


def foreign_life(world: World) -> Object:
    """A customer of a Payment Link: a subscription with a renewal and a refund, all of them before any link."""
    world.plan()
    store = world.stripe.store
    customer = store.create("customer", id="cus_link", metadata={"tenantId": TENANT})
    made = subscriptions.create_subscription(store, customer["id"], store.get("price", PRICE), {})
    saved = payments.payment_method(store, "pm_card_visa", customer["id"])
    made["default_payment_method"] = saved["id"]
    periods.begin(store, made)
    periods.renew(store, made)
    payments.refund(store, store.all("charge")[0], 100)
    return made


def test_linking_brings_in_what_came_before(world: World) -> None:
    made = foreign_life(world)
    ignored = {answer.body["status"] for answer in world.deliver_new()} - {"PROCESSED"}
    assert ignored <= {"IGNORED"}
    assert world.checkout(extra={"customerId": "cus_link"}).status == 409  # it subscribes already
    store = world.stripe.store
    assert sweep(world)["imported"] == 1
    assert only_subscription(world).stripe_subscription_id == made["id"]
    for invoice in store.all("invoice"):
        assert world.invoice(invoice["id"]).status is InvoiceStatus.PAID  # type: ignore[union-attr]
    newest = world.payment(store.all("payment_intent")[0]["id"])
    assert newest
    assert (newest.amount_refunded, newest.invoice_id) == (100, store.all("invoice")[0]["id"])
    assert sweep(world)["due"] == 0
    before = state(world)
    assert world.run("reconcile_stripe", {})["differing"] == {}
    assert state(world) == before


def test_a_subscription_that_names_its_tenant_brings_in_its_customers_rest(world: World) -> None:
    made = foreign_life(world)
    world.new_events()  # all of them are lost, also to Stripe
    made["metadata"] = {"tenantId": TENANT}
    world.deliver(world.stripe.store.emit("customer.subscription.updated", made))
    assert world.stripe.store.all("invoice")
    assert sweep(world)["imported"] == 1
    assert {i["id"] for i in world.stripe.store.all("invoice") if world.invoice(i["id"])} == {
        i["id"] for i in world.stripe.store.all("invoice")
    }


def test_what_stripe_does_not_answer_is_tried_again(world: World) -> None:
    foreign_life(world)
    world.new_events()
    world.checkout(extra={"customerId": "cus_link"})
    world.stripe.fail(500, OUTAGE, 0, "/v1/payment_intents")
    assert sweep(world)["failed"] == 1
    world.stripe.failures.clear()
    assert sweep(world) | {"due": 1} == {"due": 1, "overdue": 0, "imported": 1, "failed": 0, "complete": True}
    tenant = world.tenant()
    assert tenant
    assert tenant.import_due is None


def test_an_object_that_no_second_try_mends_does_not_hold_up_the_others(world: World) -> None:
    """The table has a final state that Stripe does not have. Reconciliation reports it."""
    foreign_life(world)
    store = world.stripe.store
    failed = payments.create_intent(store, 900, "usd", customer="cus_link")
    payments.fail_intent(store, failed)
    known: dict[str, Any] = {"status": PaymentStatus.SUCCEEDED, "amount": 900, "currency": "usd"}
    world.table.write([Payment(tenant_id=TENANT, stripe_payment_intent_id=failed["id"], **known)])
    world.new_events()
    world.checkout(extra={"customerId": "cus_link"})
    late = own(world, YESTERDAY)
    assert sweep(world) == {"due": 2, "overdue": 1, "imported": 1, "failed": 0, "complete": True}
    assert status(world, late) is InvoiceStatus.OVERDUE
    assert world.invoice(store.all("invoice")[0]["id"])
    assert sweep(world)["due"] == 0


def test_a_new_customer_has_nothing_to_bring_in(world: World) -> None:
    world.plan()
    world.checkout()
    assert sweep(world)["due"] == 0


def test_an_ignored_event_is_taken_in_when_its_owner_is_known(world: World) -> None:
    """The notice of a trial's end is in no object. Only its event tells."""
    world.plan()
    store = world.stripe.store
    store.create("customer", id="cus_link")
    made = subscriptions.create_subscription(store, "cus_link", store.get("price", PRICE), {}, trial_days=2)
    subscriptions.tell_created(store, made)
    events = [*reversed(store.all("event"))]
    for event in events:
        assert world.deliver(event).body["status"] == "IGNORED"
    world.customer(customer_id="cus_link2")
    tenant = world.tenant()
    assert tenant
    store.get("customer", "cus_link")["metadata"] = {"tenantId": TENANT}
    made["metadata"] = {"tenantId": TENANT}
    world.deliver(store.emit("customer.subscription.updated", made))
    report = world.run("reconcile_stripe", {})
    assert report["missed"] == len(events)
    assert only_subscription(world).trial_notice == only_subscription(world).trial_end
    assert world.run("reconcile_stripe", {})["missed"] == 0


def test_a_debit_of_an_unlinked_customer_gives_no_access_in_the_end(world: World) -> None:
    """Its checkout was IGNORED, because nothing of ours was in it."""
    world.plan()
    store = world.stripe.store
    store.create("customer", id="cus_link")
    metadata = {"metadata": {"tenantId": TENANT}}
    form: Object = {"mode": "subscription", "customer": "cus_link", "line_items": [{"price": PRICE}]}
    session = api_checkout.create_session(store, form | {"subscription_data": metadata}, "")
    checkout.complete_checkout(store, session, BANK)
    world.deliver_new()
    sweep(world)
    tenant = world.tenant()
    assert tenant
    assert tenant.status is TenantStatus.PENDING


# -- a checkout whose end was never heard


@pytest.mark.parametrize("outcome", ["paid", "processing"])
def test_a_lost_completion_blocks_nobody(world: World, outcome: str) -> None:
    world.plan()
    world.subscribe(outcome)
    world.stripe.store.forget("event")
    report = world.run("reconcile_stripe", {})
    assert report["repaired"]
    tenant = world.tenant()
    assert tenant
    assert tenant.checkout
    assert not tenant.checkout.plan_id
    assert tenant.status == ("ACTIVE" if outcome == "paid" else "PENDING")
    assert world.run("reconcile_stripe", {"dryRun": True})["differing"] == {}


def test_an_expired_session_whose_event_was_lost(world: World) -> None:
    world.plan()
    url = world.checkout().body["sessionUrl"]
    session = world.stripe.store.get("checkout.session", url.rsplit("/", 1)[1])
    checkout.expire_checkout(world.stripe.store, session)
    world.stripe.store.forget("event")
    assert world.run("reconcile_stripe", {})["differing"] == {"tenant.checkout": 1}


def test_the_next_checkout_applies_a_lost_completion(world: World) -> None:
    world.plan()
    world.subscribe()
    world.stripe.store.forget("event")
    subscriptions.cancel_subscription(world.stripe.store, world.stripe.store.all("subscription")[0])
    world.stripe.store.forget("event")
    assert world.checkout().status == 200


def test_a_refused_debit_that_is_rebuilt_gives_no_access(world: World) -> None:
    world.plan()
    session = world.subscribe("processing")
    checkout.settle_checkout(world.stripe.store, session, paid=False)
    world.stripe.store.forget("event")
    subscriptions.set_status(world.stripe.store, world.stripe.store.all("subscription")[0], "active")
    world.stripe.store.forget("event")
    key = {"PK": {"S": f"TENANT#{TENANT}"}, "SK": {"S": "TENANT"}}
    world.dynamodb.delete_item(TableName=world.table.name, Key=key)
    world.run("reconcile_stripe", {})
    tenant = world.tenant()
    assert tenant
    assert tenant.status is TenantStatus.PENDING


def test_a_customer_that_was_deleted_before_it_was_known_is_not_the_tenants(world: World) -> None:
    """Its deletion was IGNORED. A late event of its subscription, which names the tenant, makes it known."""
    made = foreign_life(world)
    world.new_events()
    made["metadata"] = {"tenantId": TENANT}
    told = world.stripe.store.emit("customer.subscription.updated", made)
    world.stripe.store.get("customer", "cus_link")["metadata"] = {}
    api = stripe.StripeClient(world.stripe.api_key, base_addresses={"api": world.address})
    api.v1.customers.delete("cus_link")
    [deleted] = [event for event in world.new_events() if event["type"] == "customer.deleted"]
    assert world.deliver(deleted).body["status"] == "IGNORED"
    assert world.deliver(told).status == 200
    assert sweep(world)["imported"] == 1
    tenant = world.tenant()
    assert tenant
    assert (tenant.stripe_customer_id, tenant.deleted_customers) == (None, ("cus_link",))
