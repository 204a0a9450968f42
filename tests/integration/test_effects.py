"""What each event does to the record, through the real handler, in the orders in which Stripe may deliver them."""

import copy
import itertools
import json
import random
from typing import Any

import pytest

from billing.domain.entities import CheckoutPayment, InvoiceStatus, PaymentStatus, TenantStatus
from billing.domain.order import content
from billing.table import keys
from billing.table.records import RecordStatus
from billing.table.store import Table
from billing.webhook.effects import EFFECTS
from local.stripe import billing as happenings
from local.stripe.store import Object
from local.template import ROOT
from tests.world import CUSTOMER, PLAN, TENANT, World

SAMPLES = sorted((ROOT / "events" / "stripe").rglob("*.json"))


def fetches(world: World) -> list[str]:
    kinds = ("/v1/subscriptions/", "/v1/invoices/", "/v1/payment_intents/")
    return [path for method, path in world.stripe.calls if method == "GET" and path.startswith(kinds)]


def state(world: World) -> list[dict[str, Any]]:
    """The account's content, whatever led to it."""
    tenant = world.tenant()
    subscriptions = world.subscriptions()
    partition = world.table._client.query(
        TableName=world.table._name,
        KeyConditionExpression="PK = :pk",
        ExpressionAttributeValues={":pk": {"S": f"TENANT#{TENANT}"}},
    )["Items"]
    rest = [(world.invoice(i["SK"]["S"][8:]) or world.payment(i["SK"]["S"][8:])) for i in partition]
    return [content(thing) for thing in (tenant, *subscriptions, *rest) if thing]


def only_subscription(world: World) -> Any:
    [subscription] = world.subscriptions()
    return subscription


def first_subscription(world: World) -> Object:
    subscription: Object = world.stripe.store.all("subscription")[-1]
    return subscription


def at(event: Object, seconds: int) -> Object:
    """The event as if it had happened that much later."""
    return {**copy.deepcopy(event), "id": f"{event['id']}_{seconds}", "created": event["created"] + seconds}


@pytest.fixture
def bought(world: World) -> list[Object]:
    """The events of a first subscription by card, undelivered, in Stripe's order."""
    world.plan()
    world.subscribe()
    return world.new_events()


# -- every sample


@pytest.mark.parametrize("path", SAMPLES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_sample_is_applied(world: World, path: Any) -> None:
    world.plan()
    for other in SAMPLES:
        world.stripe.store.add(json.loads(other.read_text())["data"]["object"])
    answer = world.deliver(json.loads(path.read_text()))
    expired = path.stem == "checkout.session.expired"  # of a session that this table never opened
    assert (answer.status, answer.body["status"]) == (200, "STALE" if expired else "PROCESSED")


# -- a new subscription


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
    """Every order is too many for a test that makes a table each: the rotations, and their reverses."""
    outcomes = []
    client, name = world.table._client, world.table._name
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
    assert len(fetches(world)) <= 1  # checkout.session.completed came first, and names its subscription only


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
    happenings.settle_checkout(world.stripe.store, session, "paid")
    for event in world.new_events()[::order]:
        assert world.deliver(event).status == 200
    tenant = world.tenant()
    assert tenant
    assert tenant.status is TenantStatus.ACTIVE


def test_a_failed_bank_debit_leaves_the_tenant_inactive_until_its_invoice_is_paid(world: World) -> None:
    world.plan()
    session = world.subscribe("processing")
    world.deliver_new()
    happenings.settle_checkout(world.stripe.store, session, "failed")
    world.deliver_new()
    tenant = world.tenant()
    assert tenant
    assert tenant.status is TenantStatus.PENDING
    assert only_subscription(world).checkout_payment is CheckoutPayment.FAILED
    happenings.pay_invoice(world.stripe.store, world.stripe.store.all("invoice")[0], "pm_card_visa")
    world.deliver_new()
    tenant = world.tenant()
    assert tenant
    assert tenant.status is TenantStatus.ACTIVE


@pytest.mark.parametrize("spacing", [0, 5])
@pytest.mark.parametrize("shuffle", range(6))
def test_a_failed_debit_paid_after_all_ends_alike_in_any_order(world: World, shuffle: int, spacing: int) -> None:
    world.plan()
    session = world.subscribe("processing")
    happenings.settle_checkout(world.stripe.store, session, "failed")
    happenings.pay_invoice(world.stripe.store, world.stripe.store.all("invoice")[0], "pm_card_visa")
    events = [at(event, index * spacing) for index, event in enumerate(world.new_events())]
    if shuffle:
        random.Random(shuffle).shuffle(events)
    for event in events:
        assert world.deliver(event).status == 200
    tenant = world.tenant()
    assert tenant
    assert tenant.status is TenantStatus.ACTIVE
    assert only_subscription(world).checkout_payment is CheckoutPayment.SETTLED


@pytest.mark.parametrize("first", ["invoice_payment.paid", "invoice.payment_failed"])
def test_a_debit_is_settled_by_whatever_says_first_that_its_invoice_is_paid(world: World, first: str) -> None:
    world.plan()
    session = world.subscribe("processing")
    happenings.settle_checkout(world.stripe.store, session, "failed")
    happenings.pay_invoice(world.stripe.store, world.stripe.store.all("invoice")[0], "pm_card_visa")
    events = world.new_events()
    last = ("invoice.paid", "invoice.payment_succeeded")
    # A sort is stable: the rest keeps Stripe's order.
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
    """The slower of the two has read the account before the faster one commits."""
    world.plan()
    world.subscribe("processing")
    completed, *_ = world.new_events()
    happenings.pay_invoice(world.stripe.store, world.stripe.store.all("invoice")[0], "pm_card_visa")
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
    invoice = happenings.renew(active.stripe.store, first_subscription(active), "failed")
    for event in active.new_events():
        active.deliver(event)
    payment = happenings.payment_of(active.stripe.store, invoice)
    assert payment
    invoice |= {"amount_paid": 2000, "amount_remaining": 2900, "attempt_count": 0}
    part = {**payment, "id": "inpay_part", "status": "paid", "amount_paid": 2000}
    assert active.deliver(active.stripe.store.emit("invoice_payment.paid", part)).body["status"] == "PROCESSED"
    recorded = active.invoice(invoice["id"])
    assert recorded
    assert (recorded.status, recorded.amount_paid) == (InvoiceStatus.PARTIALLY_PAID, 2000)


@pytest.mark.parametrize("order", [1, -1])
def test_of_several_payments_of_an_invoice_the_same_one_stands(active: World, order: int) -> None:
    invoice = active.stripe.store.all("invoice")[0]
    payment = happenings.payment_of(active.stripe.store, invoice)
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
    for other in SAMPLES:
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
    happenings.expire_checkout(world.stripe.store, world.stripe.store.all("checkout.session")[0])
    world.deliver_new()
    tenant = world.tenant()
    assert tenant
    assert tenant.checkout
    assert (tenant.checkout.session_id, tenant.checkout.plan_id, tenant.checkout.attempt) == ("", "", 1)


def test_an_expired_session_of_yesterday_does_not_forget_todays(world: World) -> None:
    world.plan()
    world.checkout()
    happenings.expire_checkout(world.stripe.store, world.stripe.store.all("checkout.session")[0])
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
    second = happenings.create_subscription(world.stripe.store, customer, price, {}, 0)
    second["created"] += 5
    world.deliver(at(world.stripe.store.emit("customer.subscription.created", second), 5))
    flags = {s.stripe_subscription_id: s.duplicate for s in world.subscriptions()}
    assert flags == {first.stripe_subscription_id: False, second["id"]: True}
    happenings.cancel_subscription(world.stripe.store, first_subscription(world))
    for event in world.new_events():
        world.deliver(at(event, 10))
    tenant = world.tenant()
    assert tenant
    assert (tenant.status, tenant.current_subscription_id) == (TenantStatus.ACTIVE, second["id"])
    assert not any(s.duplicate for s in world.subscriptions())


# -- changes of a subscription


@pytest.fixture
def active(world: World, bought: list[Object]) -> World:
    for event in bought:
        world.deliver(event)
    return world


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("past_due", TenantStatus.ACTIVE),
        ("unpaid", TenantStatus.SUSPENDED),
        ("paused", TenantStatus.SUSPENDED),
        ("incomplete", TenantStatus.SUSPENDED),
        ("canceled", TenantStatus.CANCELED),
        ("incomplete_expired", TenantStatus.CANCELED),
    ],
)
def test_the_tenant_follows_its_subscription(active: World, status: str, expected: TenantStatus) -> None:
    subscription = first_subscription(active)
    subscription["status"] = status
    active.deliver(at(active.stripe.store.emit("customer.subscription.updated", subscription), 10))
    tenant = active.tenant()
    assert tenant
    assert tenant.status is expected


def test_the_plan_follows_the_price_not_the_metadata(active: World) -> None:
    active.plan("plan-big", "price_big")
    subscription = first_subscription(active)
    subscription["items"]["data"][0]["price"] = active.stripe.store.get("price", "price_big")
    active.deliver(at(active.stripe.store.emit("customer.subscription.updated", subscription), 10))
    assert (only_subscription(active).plan_id, only_subscription(active).stripe_price_id) == ("plan-big", "price_big")


def test_a_price_of_no_plan_of_ours(active: World) -> None:
    active.price("price_other")
    subscription = first_subscription(active)
    subscription["items"]["data"][0]["price"] = active.stripe.store.get("price", "price_other")
    active.deliver(at(active.stripe.store.emit("customer.subscription.updated", subscription), 10))
    assert (only_subscription(active).plan_id, only_subscription(active).stripe_price_id) == (None, "price_other")


@pytest.mark.parametrize("flag", [True, False])
def test_both_ways_to_cancel_at_the_end_of_the_period(active: World, flag: bool) -> None:
    subscription = first_subscription(active)
    end = subscription["items"]["data"][0]["current_period_end"]
    subscription |= {"cancel_at_period_end": flag, "cancel_at": end}
    active.deliver(at(active.stripe.store.emit("customer.subscription.updated", subscription), 10))
    recorded = only_subscription(active)
    assert recorded.cancel_at == recorded.current_period_end
    assert recorded.cancel_at_period_end is flag


def test_an_older_snapshot_changes_nothing(active: World) -> None:
    subscription = first_subscription(active)
    event = active.stripe.store.emit("customer.subscription.updated", subscription | {"status": "past_due"})
    before = active.subscriptions(), active.tenant()
    answer = active.deliver(at(event, -60))
    assert answer.body["status"] == "STALE"
    stored = active.table.record(f"{event['id']}_-60")
    assert stored
    assert stored.status is RecordStatus.STALE
    assert (active.subscriptions(), active.tenant()) == before
    assert only_subscription(active).status == "active"


def test_two_of_one_second_are_decided_by_stripe(active: World) -> None:
    subscription = first_subscription(active)
    held = only_subscription(active)
    asked = len(fetches(active))
    subscription["items"]["data"][0]["quantity"] = 7
    event = active.stripe.store.emit("customer.subscription.updated", subscription)
    event = {**event, "created": _seconds(held.snapshot_at)}
    subscription["items"]["data"][0]["quantity"] = 9  # what Stripe says when it is asked
    assert active.deliver(event).body["status"] == "PROCESSED"
    assert only_subscription(active).quantity == 9
    assert len(fetches(active)) == asked + 1


def _seconds(iso: str) -> int:
    from datetime import datetime  # noqa: PLC0415

    return int(datetime.fromisoformat(iso).timestamp())


def test_the_same_second_with_the_same_content_asks_nobody(active: World) -> None:
    event = active.stripe.store.emit("customer.subscription.updated", first_subscription(active))
    event = {**event, "created": _seconds(only_subscription(active).snapshot_at)}
    asked = len(fetches(active))
    assert active.deliver(event).body["status"] == "STALE"
    assert len(fetches(active)) == asked


def test_a_fetch_is_written_on_the_revision_read_before_it(active: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between our read and the fetch's write somebody else writes: the fetched state must not go over it."""
    subscription = first_subscription(active)
    subscription["items"]["data"][0]["quantity"] = 7
    event = active.stripe.store.emit("customer.subscription.updated", subscription)
    event = {**event, "created": _seconds(only_subscription(active).snapshot_at)}
    original = type(active.stripe.store).get
    written: list[int] = []

    def get(self: Any, kind: str, object_id: str) -> Object:
        found = copy.deepcopy(original(self, kind, object_id))
        if kind == "subscription" and not written:
            written.append(1)
            newer = copy.deepcopy(found)
            newer["items"]["data"][0]["quantity"] = 8
            original(self, kind, object_id)["items"]["data"][0]["quantity"] = 8
            later = {**event, "id": "evt_later", "created": event["created"] + 60, "data": {"object": newer}}
            assert active.deliver(later).body["status"] == "PROCESSED"
        return found

    monkeypatch.setattr(type(active.stripe.store), "get", get)
    assert active.deliver(event).status == 200
    assert written
    assert only_subscription(active).quantity == 8


def test_a_canceled_subscription_stays_canceled(active: World) -> None:
    subscription = first_subscription(active)
    happenings.cancel_subscription(active.stripe.store, subscription)
    for event in active.new_events():
        active.deliver(at(event, 10))
    assert only_subscription(active).status == "canceled"
    late = active.stripe.store.emit("customer.subscription.updated", subscription | {"status": "active"})
    assert active.deliver(at(late, 20)).body["status"] == "STALE"
    assert only_subscription(active).status == "canceled"


def test_an_update_may_come_before_the_creation(world: World, bought: list[Object]) -> None:
    created = next(e for e in bought if e["type"] == "customer.subscription.created")
    updated = at(created, 3) | {"type": "customer.subscription.updated"}
    updated["data"]["object"]["items"]["data"][0]["quantity"] = 3
    assert world.deliver(updated).body["status"] == "PROCESSED"
    assert world.deliver(created).body["status"] == "STALE"
    assert only_subscription(world).quantity == 3


# -- invoices


def test_a_failed_renewal_and_its_recovery_in_any_order(active: World) -> None:
    subscription = first_subscription(active)
    invoice = happenings.renew(active.stripe.store, subscription, "failed")
    failed = [at(e, 100) for e in active.new_events()]
    for event in failed:
        active.deliver(event)
    recorded = active.invoice(invoice["id"])
    assert recorded
    assert (recorded.status, recorded.attempt_count) == (InvoiceStatus.OVERDUE, 1)
    assert recorded.next_attempt
    assert only_subscription(active).status == "past_due"
    happenings.pay_invoice(active.stripe.store, invoice, "pm_card_visa")
    for event in [at(e, 200) for e in active.new_events()]:
        active.deliver(event)
    late = {**failed[-2], "id": "evt_again", "type": "invoice.payment_failed"}
    late["data"] = next(e for e in failed if e["type"] == "invoice.payment_failed")["data"]
    assert active.deliver(late).body["status"] == "STALE"
    recorded = active.invoice(invoice["id"])
    assert recorded
    assert (recorded.status, recorded.amount_paid, recorded.next_attempt) == (InvoiceStatus.PAID, 4900, None)
    assert only_subscription(active).status == "active"


@pytest.mark.parametrize(("status", "expected"), [("void", "VOID"), ("uncollectible", "UNCOLLECTIBLE")])
def test_closed_invoices(active: World, status: str, expected: str) -> None:
    invoice = happenings.renew(active.stripe.store, first_subscription(active), "failed")
    happenings.close_invoice(active.stripe.store, invoice, status)
    for event in active.new_events():
        active.deliver(event)
    recorded = active.invoice(invoice["id"])
    assert recorded
    assert recorded.status == expected


def test_an_invoice_is_found_by_its_customer_alone(active: World) -> None:
    invoice = copy.deepcopy(active.stripe.store.all("invoice")[0])
    invoice |= {"id": "in_manual", "parent": None, "status": "open", "amount_paid": 0, "amount_remaining": 4900}
    assert active.deliver(active.stripe.store.emit("invoice.finalized", invoice)).body["status"] == "PROCESSED"
    assert active.table.owner(keys.stripe_pointer("in_manual")) == TENANT


def test_a_payment_of_an_unknown_invoice_brings_it_in(world: World, bought: list[Object]) -> None:
    paid = next(e for e in bought if e["type"] == "invoice_payment.paid")
    assert world.deliver(paid).body["status"] == "PROCESSED"
    invoice = world.invoice(paid["data"]["object"]["invoice"])
    assert invoice
    assert invoice.status is InvoiceStatus.PAID
    intent = paid["data"]["object"]["payment"]["payment_intent"]
    payment = world.payment(intent)
    assert payment
    assert (payment.invoice_id, payment.status, payment.amount) == (invoice.invoice_id, PaymentStatus.SUCCEEDED, 4900)


def test_a_payment_of_an_invoice_of_nobody(world: World, bought: list[Object]) -> None:
    paid = next(e for e in bought if e["type"] == "invoice_payment.paid")
    invoice = world.stripe.store.all("invoice")[0]
    invoice |= {"customer": "cus_elsewhere", "parent": None}
    assert world.deliver(paid).body["status"] == "IGNORED"


def test_an_invoice_not_paid_by_a_payment_intent(active: World, bought: list[Object]) -> None:
    event = copy.deepcopy(next(e for e in bought if e["type"] == "invoice_payment.paid"))
    event["id"] = "evt_out_of_band"
    event["data"]["object"]["payment"] = {"type": "out_of_band_payment"}
    assert active.deliver(event).body["status"] == "IGNORED"


# -- payments


def own_invoice(world: World, amount: int = 25000) -> Object:
    """The PaymentIntent of the platform's own invoice `inv-001`."""
    body = {"invoiceId": "inv-001", "amount": amount, "currency": "usd"}
    world.api("POST", f"/tenants/{TENANT}/invoices", admin=True, json=body)
    world.api("POST", "/invoices/inv-001/payment-intent")
    intent: Object = world.stripe.store.all("payment_intent")[0]
    return intent


@pytest.mark.parametrize("order", list(itertools.permutations([0, 1, 2])))
def test_the_own_invoice_is_paid_once_whatever_comes_first(world: World, order: tuple[int, ...]) -> None:
    world.customer()
    intent = own_invoice(world)
    happenings.fail_intent(world.stripe.store, intent, "pm_card_chargeDeclined")
    happenings.confirm_intent(world.stripe.store, intent, "pm_card_visa")
    failed, succeeded = world.new_events()
    events = [failed, succeeded, at(succeeded, 5)]  # two events may tell of one change, at different seconds
    for index in order:
        assert world.deliver(events[index]).status == 200
    invoice, payment = world.invoice("inv-001"), world.payment(intent["id"])
    assert invoice
    assert payment
    assert (invoice.status, invoice.amount_paid) == (InvoiceStatus.PAID, 25000)
    assert (payment.status, payment.invoice_id, payment.failure_code) == (PaymentStatus.SUCCEEDED, "inv-001", None)
    assert payment.stripe_charge_id == intent["latest_charge"]


def test_a_failed_payment_has_its_code_and_message(world: World) -> None:
    world.customer()
    intent = own_invoice(world)
    happenings.fail_intent(world.stripe.store, intent, "pm_card_chargeDeclinedInsufficientFunds")
    world.deliver_new()
    payment, invoice = world.payment(intent["id"]), world.invoice("inv-001")
    assert payment
    assert invoice
    assert (payment.status, payment.failure_code) == (PaymentStatus.FAILED, "insufficient_funds")
    assert payment.failure_message == "Your card was declined."
    assert invoice.status is InvoiceStatus.PENDING


@pytest.mark.parametrize("named", [{"invoiceId": "inv-none"}, {}])
def test_money_for_no_invoice_of_ours_is_recorded_all_the_same(world: World, named: dict[str, str]) -> None:
    world.customer()
    store = world.stripe.store
    intent = happenings.create_intent(store, 500, "usd", customer=CUSTOMER, metadata={"tenantId": TENANT, **named})
    happenings.confirm_intent(store, intent, "pm_card_visa")
    world.deliver_new()
    payment = world.payment(intent["id"])
    assert payment
    assert (payment.amount, payment.invoice_id) == (500, None)


def test_another_currency_pays_nothing(world: World) -> None:
    world.customer()
    intent = own_invoice(world)
    intent["currency"] = "jpy"
    happenings.confirm_intent(world.stripe.store, intent, "pm_card_visa")
    world.deliver_new()
    invoice = world.invoice("inv-001")
    assert invoice
    assert (invoice.status, invoice.amount_paid) == (InvoiceStatus.PENDING, 0)


# -- whose it is


def test_metadata_never_outweighs_the_customer_on_record(active: World) -> None:
    active.customer("victim", "cus_victim")
    subscription = first_subscription(active)
    subscription["metadata"] = {"tenantId": "victim"}
    subscription["status"] = "canceled"
    active.deliver(at(active.stripe.store.emit("customer.subscription.updated", subscription), 10))
    assert active.subscriptions("victim") == []
    assert only_subscription(active).status == "canceled"


def test_an_own_invoice_of_another_tenant_is_not_paid_by_metadata(world: World) -> None:
    world.customer()
    world.customer("victim", "cus_victim")
    own_invoice(world)
    store = world.stripe.store
    metadata = {"tenantId": TENANT, "invoiceId": "inv-001"}
    forged = happenings.create_intent(store, 25000, "usd", customer="cus_victim", metadata=metadata)
    happenings.confirm_intent(store, forged, "pm_card_visa")
    world.deliver_new()
    invoice = world.invoice("inv-001")
    assert invoice
    assert invoice.status is InvoiceStatus.PENDING
    payment = world.payment(forged["id"], "victim")
    assert payment
    assert payment.invoice_id is None


def test_a_subscription_made_by_hand_at_stripe_is_linked_by_its_metadata(world: World) -> None:
    world.plan()
    price = world.stripe.store.get("price", "price_pro")
    made = happenings.create_subscription(world.stripe.store, "cus_hand", price, {"tenantId": "by-hand"}, 0)
    world.deliver(world.stripe.store.emit("customer.subscription.created", made))
    tenant = world.tenant("by-hand")
    assert tenant
    assert (tenant.status, tenant.stripe_customer_id) == (TenantStatus.ACTIVE, "cus_hand")
    assert world.table.owner(keys.stripe_pointer("cus_hand")) == "by-hand"


@pytest.mark.parametrize("hostile", ["", "a b", "x" * 65, "TENANT#1", "é", "a\n"])
def test_metadata_that_is_no_tenant_id_names_nobody(world: World, hostile: str) -> None:
    world.plan()
    price = world.stripe.store.get("price", "price_pro")
    made = happenings.create_subscription(world.stripe.store, "cus_hand", price, {"tenantId": hostile}, 0)
    event = world.stripe.store.emit("customer.subscription.created", made)
    assert world.deliver(event).body["status"] == "IGNORED"


def test_every_core_event_is_handled() -> None:
    core = {
        "checkout.session.completed",
        "invoice.payment_succeeded",
        "invoice.payment_failed",
        "customer.subscription.updated",
        "customer.subscription.deleted",
        "payment_intent.succeeded",
        "payment_intent.payment_failed",
    }
    assert core <= set(EFFECTS)
