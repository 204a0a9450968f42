"""Checks how a tenant subscribes: by card, by bank debit, with a trial, and twice."""

import copy
import json
import random
from typing import Any

import pytest

from billing.adapters.table.store import Table
from billing.domain.statuses import CheckoutPayment, InvoiceStatus, PaymentStatus, TenantStatus
from local.stripe.api import checkout as api_checkout
from local.stripe.engine import checkout, collecting, invoices, periods, subscriptions
from local.stripe.engine.store import Object
from local.template import ROOT
from tests.integration.support import AS_NOW, SAMPLES, at, fetches, first_subscription, only_subscription, state
from tests.world import PLAN, TENANT, World


@pytest.mark.parametrize("path", SAMPLES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_sample_is_applied(world: World, path: Any) -> None:
    world.plan()
    for other in AS_NOW:
        world.stripe.store.add(json.loads(other.read_text())["data"]["object"])
    answer = world.deliver(json.loads(path.read_text()))
    unknown = path.stem == "checkout.session.expired"  # of a session that this table never opened
    assert (answer.status, answer.body["status"]) == (200, "STALE" if unknown else "PROCESSED")


def test_a_first_subscription(world: World, bought: list[Object]) -> None:
    assert [world.deliver(event).status for event in bought] == [200] * len(bought)
    tenant, subscription = world.tenant(), only_subscription(world)
    assert tenant
    assert (tenant.status, tenant.current_subscription_id) == (
        TenantStatus.ACTIVE,
        subscription.stripe_subscription_id,
    )
    assert tenant.checkout
    assert tenant.checkout.session_id == ""
    assert (subscription.status, subscription.plan_id, subscription.quantity) == ("active", PLAN, 1)
    assert subscription.current_period_start < subscription.current_period_end
    [invoice] = world.stripe.store.all("invoice")
    recorded = world.invoice(invoice["id"])
    assert recorded
    assert (recorded.status, recorded.amount_paid, recorded.amount_remaining) == (InvoiceStatus.PAID, 4900, 0)
    assert recorded.stripe_subscription_id == subscription.stripe_subscription_id
    assert recorded.hosted_url
    [intent] = world.stripe.store.all("payment_intent")
    payment = world.payment(intent["id"])
    assert payment
    assert (payment.status, payment.amount, payment.currency) == (PaymentStatus.SUCCEEDED, 4900, "usd")
    assert payment.stripe_charge_id == intent["latest_charge"]
    assert payment.invoice_id == invoice["id"]
    assert recorded.stripe_payment_intent_id == intent["id"]


def test_any_order_of_a_first_subscription_ends_alike(world: World, bought: list[Object]) -> None:
    """Tries the rotations and their reverses.

    All possible orders would take too long, because the test resets the table before each one.
    """
    outcomes = []
    client, name = world.dynamodb, world.table.name
    tenant_before = client.get_item(TableName=name, Key=_key(TENANT))["Item"]
    for shift in range(len(bought)):
        for order in (bought[shift:] + bought[:shift], (bought[shift:] + bought[:shift])[::-1]):
            for item in client.scan(TableName=name)["Items"]:
                if item["PK"]["S"].startswith(("EVENT#", "TENANT#", "STRIPE#in_")):
                    client.delete_item(TableName=name, Key={"PK": item["PK"], "SK": item["SK"]})
            client.put_item(TableName=name, Item=tenant_before)
            assert {world.deliver(event).status for event in order} == {200}
            outcomes.append(state(world))
    assert len(outcomes[0]) == 4
    assert all(outcome == outcomes[0] for outcome in outcomes)


def _key(tenant: str) -> Any:
    return {"PK": {"S": f"TENANT#{tenant}"}, "SK": {"S": "TENANT"}}


def test_events_of_one_change_fetch_rarely(world: World, bought: list[Object]) -> None:
    for event in bought:
        world.deliver(event)
    assert len(fetches(world)) <= 1  # checkout.session.completed comes first and holds only the id of its subscription


def test_a_trial_needs_no_payment(world: World) -> None:
    world.plan(trial_days=14)
    world.subscribe()
    world.deliver_new()
    subscription = only_subscription(world)
    assert (subscription.status, subscription.checkout_payment) == ("trialing", CheckoutPayment.SETTLED)
    assert subscription.trial_end
    tenant = world.tenant()
    assert tenant
    assert tenant.status is TenantStatus.ACTIVE


@pytest.mark.parametrize("order", [1, -1])
def test_a_bank_debit_gives_access_when_it_is_paid(world: World, order: int) -> None:
    world.plan()
    session = world.subscribe("processing")
    for event in world.new_events()[::order]:
        world.deliver(event)
    tenant = world.tenant()
    assert tenant
    assert tenant.status is TenantStatus.PENDING
    checkout.settle_checkout(world.stripe.store, session, paid=True)
    for event in world.new_events()[::order]:
        assert world.deliver(event).status == 200
    tenant = world.tenant()
    assert tenant
    assert tenant.status is TenantStatus.ACTIVE


def test_a_failed_bank_debit_leaves_the_tenant_inactive_until_its_invoice_is_paid(world: World) -> None:
    world.plan()
    session = world.subscribe("processing")
    world.deliver_new()
    checkout.settle_checkout(world.stripe.store, session, paid=False)
    world.deliver_new()
    tenant = world.tenant()
    assert tenant
    assert tenant.status is TenantStatus.PENDING
    assert only_subscription(world).checkout_payment is CheckoutPayment.FAILED
    collecting.pay_invoice(world.stripe.store, world.stripe.store.all("invoice")[0], "pm_card_visa")
    world.deliver_new()
    tenant = world.tenant()
    assert tenant
    assert tenant.status is TenantStatus.ACTIVE


def active_after(world: World, events: list[Object], shuffle: int) -> None:
    """Delivers the events in the order that this seed gives; 0 keeps their own order."""
    if shuffle:
        random.Random(shuffle).shuffle(events)
    for event in events:
        assert world.deliver(event).status == 200
    tenant = world.tenant()
    assert tenant
    assert tenant.status is TenantStatus.ACTIVE


@pytest.mark.parametrize("spacing", [0, 5])
@pytest.mark.parametrize("shuffle", range(6))
def test_a_failed_debit_paid_after_all_ends_alike_in_any_order(world: World, shuffle: int, spacing: int) -> None:
    world.plan()
    session = world.subscribe("processing")
    checkout.settle_checkout(world.stripe.store, session, paid=False)
    collecting.pay_invoice(world.stripe.store, world.stripe.store.all("invoice")[0], "pm_card_visa")
    events = [at(event, index * spacing) for index, event in enumerate(world.new_events())]
    active_after(world, events, shuffle)
    assert only_subscription(world).checkout_payment is CheckoutPayment.SETTLED


@pytest.mark.parametrize("first", ["invoice_payment.paid", "invoice.payment_failed"])
def test_a_debit_is_settled_by_whatever_says_first_that_its_invoice_is_paid(world: World, first: str) -> None:
    world.plan()
    session = world.subscribe("processing")
    checkout.settle_checkout(world.stripe.store, session, paid=False)
    collecting.pay_invoice(world.stripe.store, world.stripe.store.all("invoice")[0], "pm_card_visa")
    events = world.new_events()
    last = ("invoice.paid", "invoice.payment_succeeded")
    # `sorted` is stable, so the other events keep Stripe's order.
    order = sorted(events, key=lambda e: (e["type"] in last, e["type"] == first))
    for event in order:
        assert world.deliver(event).status == 200
    tenant = world.tenant()
    assert tenant
    assert tenant.status is TenantStatus.ACTIVE


@pytest.mark.parametrize("slower", ["checkout.session.completed", "invoice.paid"])
def test_a_checkout_and_its_payment_at_the_same_moment(
    world: World, monkeypatch: pytest.MonkeyPatch, slower: str
) -> None:
    """The slower invocation reads the account before the faster one commits."""
    world.plan()
    world.subscribe("processing")
    completed = next(e for e in world.new_events() if e["type"] == "checkout.session.completed")
    collecting.answer_intent(world.stripe.store, world.stripe.store.all("payment_intent")[0], paid=True)
    paid = next(e for e in world.new_events() if e["type"] == "invoice.paid")
    events = {e["type"]: e for e in (completed, paid)}
    faster = next(kind for kind in events if kind != slower)
    commit = Table.commit
    pending = [events[faster]]

    def committed(self: Table, *arguments: Any) -> None:
        if pending:
            assert world.deliver(pending.pop()).status == 200
        commit(self, *arguments)

    monkeypatch.setattr(Table, "commit", committed)
    assert world.deliver(events[slower]).status == 200
    tenant = world.tenant()
    assert tenant
    assert tenant.status is TenantStatus.ACTIVE


def test_a_part_of_an_invoice_is_recorded(active: World) -> None:
    invoice = periods.renew(active.stripe.store, first_subscription(active), "pm_card_chargeCustomerFail")
    for event in active.new_events():
        active.deliver(event)
    payment = invoices.payment_of(active.stripe.store, invoice)
    assert payment
    invoice |= {"amount_paid": 2000, "amount_remaining": 2900, "attempt_count": 0}
    part = {**payment, "id": "inpay_part", "status": "paid", "amount_paid": 2000}
    assert active.deliver(active.stripe.store.emit("invoice_payment.paid", part)).body["status"] == "PROCESSED"
    recorded = active.invoice(invoice["id"])
    assert recorded
    assert (recorded.status, recorded.amount_paid) == (InvoiceStatus.PARTIALLY_PAID, 2000)


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_of_several_payments_of_an_invoice_does_not_matter(active: World, order: int) -> None:
    invoice = active.stripe.store.all("invoice")[0]
    payment = invoices.payment_of(active.stripe.store, invoice)
    assert payment
    known = payment["payment"]["payment_intent"]
    several = ["pi_!", "pi_~", known]
    for index, intent in enumerate(several[::order]):
        paid = {**payment, "id": f"inpay_{index}", "payment": {"type": "payment_intent", "payment_intent": intent}}
        active.deliver(active.stripe.store.emit("invoice_payment.paid", paid))
    recorded = active.invoice(invoice["id"])
    assert recorded
    assert recorded.stripe_payment_intent_id == "pi_!"


@pytest.mark.parametrize("order", [1, -1])
def test_before_basil_a_payment_finds_its_invoice_in_any_order(world: World, order: int) -> None:
    world.plan()
    for other in AS_NOW:
        world.stripe.store.add(json.loads(other.read_text())["data"]["object"])
    folder = ROOT / "events" / "stripe" / "pre-basil"
    invoice = json.loads((folder / "invoice.paid.json").read_text())
    intent = json.loads((folder / "payment_intent.succeeded.json").read_text())
    intent["data"]["object"] |= {"invoice": invoice["data"]["object"]["id"], "metadata": {"tenantId": "7c9e6679"}}
    invoice["data"]["object"]["payment_intent"] = intent["data"]["object"]["id"]
    for event in [invoice, intent][::order]:
        assert world.deliver(event).body["status"] == "PROCESSED"
    payment = world.payment(intent["data"]["object"]["id"], "7c9e6679")
    assert payment
    assert payment.invoice_id == invoice["data"]["object"]["id"]


def test_a_lost_session_of_the_same_attempt_does_not_forget_the_open_one(world: World) -> None:
    world.plan()
    world.checkout()
    [session] = world.stripe.store.all("checkout.session")
    lost = {**session, "id": "cs_test_lost", "status": "expired"}
    lost = {name: value for name, value in lost.items() if not name.startswith("_")}
    world.deliver(world.stripe.store.emit("checkout.session.expired", lost))
    tenant = world.tenant()
    assert tenant
    assert tenant.checkout
    assert tenant.checkout.session_id == session["id"]


def test_an_expired_session_is_forgotten(world: World) -> None:
    world.plan()
    world.checkout()
    checkout.expire_checkout(world.stripe.store, world.stripe.store.all("checkout.session")[0])
    world.deliver_new()
    tenant = world.tenant()
    assert tenant
    assert tenant.checkout
    assert (tenant.checkout.session_id, tenant.checkout.plan_id, tenant.checkout.attempt) == ("", "", 1)


def test_an_expired_session_of_yesterday_does_not_forget_todays(world: World) -> None:
    world.plan()
    world.checkout()
    checkout.expire_checkout(world.stripe.store, world.stripe.store.all("checkout.session")[0])
    old = world.new_events()
    world.checkout()
    world.deliver(old[0])
    tenant = world.tenant()
    assert tenant
    assert tenant.checkout
    assert tenant.checkout.session_id


def test_a_checkout_that_is_no_subscription_is_ignored(world: World, bought: list[Object]) -> None:
    event = copy.deepcopy(next(e for e in bought if e["type"] == "checkout.session.completed"))
    event["data"]["object"] |= {"mode": "payment", "subscription": None}
    assert world.deliver(event).body["status"] == "IGNORED"


def test_a_second_live_subscription_is_kept_and_flagged(world: World, bought: list[Object]) -> None:
    for event in bought:
        world.deliver(event)
    price = world.stripe.store.get("price", "price_pro")
    customer = world.stripe.store.all("customer")[0]["id"]
    first = only_subscription(world)
    second = subscriptions.create_subscription(world.stripe.store, customer, price, {}, 0)
    second["created"] += 5
    world.deliver(at(world.stripe.store.emit("customer.subscription.created", second), 5))
    flags = {s.stripe_subscription_id: s.duplicate for s in world.subscriptions()}
    assert flags == {first.stripe_subscription_id: False, second["id"]: True}
    subscriptions.cancel_subscription(world.stripe.store, first_subscription(world))
    for event in world.new_events():
        world.deliver(at(event, 10))
    tenant = world.tenant()
    assert tenant
    assert (tenant.status, tenant.current_subscription_id) == (TenantStatus.ACTIVE, second["id"])
    assert not any(s.duplicate for s in world.subscriptions())


def test_two_checkouts_both_paid_are_both_kept_and_one_is_flagged(world: World) -> None:
    """Somebody creates the second session at Stripe, because our endpoint opens no second one."""
    world.plan()
    first = world.subscribe()
    form = {"mode": "subscription", "customer": first["customer"], "line_items": [{"price": "price_pro"}]}
    form |= {"metadata": first["metadata"], "subscription_data": {"metadata": first["metadata"]}}
    second = api_checkout.create_session(world.stripe.store, form, "")
    checkout.complete_checkout(world.stripe.store, second, "pm_card_visa")
    assert {answer.status for answer in world.deliver_new()} == {200}
    kept = {s.stripe_subscription_id: (s.status, s.duplicate) for s in world.subscriptions()}
    tenant = world.tenant()
    assert tenant
    current = tenant.current_subscription_id
    assert set(kept) == {first["subscription"], second["subscription"]}
    assert {key: ("active", key != current) for key in kept} == kept


@pytest.mark.parametrize("shuffle", range(6))
def test_a_failed_debit_does_not_wait_after_its_invoice_is_voided(world: World, shuffle: int) -> None:
    """When somebody voids the first invoice, no payment is due. Then Stripe's status alone decides about access."""
    world.plan()
    session = world.subscribe("processing")
    store = world.stripe.store
    checkout.settle_checkout(store, session, paid=False)
    invoices.close_invoice(store, store.all("invoice")[0], "void")
    subscriptions.set_status(store, store.all("subscription")[0], "active")
    events = [at(event, index) for index, event in enumerate(world.new_events())]
    active_after(world, events, shuffle)
