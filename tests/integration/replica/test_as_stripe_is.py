"""Checks what Stripe really does and a simple model of it leaves out: 3-D Secure at a renewal, several items, a paused
collection, what follows a sale, parts of an invoice paid otherwise. `docs/stand-in.md` names the sources.
"""

import itertools
from typing import Any

import pytest

from billing.domain.entities import Invoice, Payment
from billing.domain.statuses import InvoiceStatus, PaymentStatus, TenantStatus
from local.stripe.engine import checkout, collecting, invoices, lines, payments, periods, subscriptions
from local.stripe.engine.store import Object
from local.stripe.errors import ApiError
from tests.integration.support import at, first_subscription, only_subscription, state
from tests.world import CUSTOMER, PLAN, PRICE, TENANT, World

CONFIRM = "pm_card_authenticationRequired"


def subscribed(world: World, method: str | None = None) -> Object:
    world.plan()
    world.subscribe()
    world.deliver_new()
    subscription = first_subscription(world)
    if method:
        saved = payments.payment_method(world.stripe.store, method, subscription["customer"])
        subscription["default_payment_method"] = saved["id"]
    return subscription


def latest_invoice(world: World) -> Invoice:
    invoice = world.invoice(world.stripe.store.all("invoice")[0]["id"])
    assert invoice
    return invoice


def latest_payment(world: World) -> Payment:
    payment = world.payment(world.stripe.store.all("payment_intent")[0]["id"])
    assert payment
    return payment


def tenant_status(world: World) -> TenantStatus:
    tenant = world.tenant()
    assert tenant
    return tenant.status


# -- 3-D Secure at a renewal


@pytest.mark.parametrize("order", [1, -1])
def test_a_renewal_that_the_customer_must_confirm(world: World, order: int) -> None:
    subscription = subscribed(world, CONFIRM)
    periods.renew(world.stripe.store, subscription)
    for event in world.new_events()[::order]:
        assert world.deliver(event).status == 200
    invoice = latest_invoice(world)
    assert (invoice.status, invoice.action_required) == (InvoiceStatus.PENDING, True)
    assert (latest_payment(world).status, latest_payment(world).action_required) == (PaymentStatus.PROCESSING, True)
    collecting.answer_intent(world.stripe.store, world.stripe.store.all("payment_intent")[0], paid=True)
    for event in world.new_events()[::order]:
        assert world.deliver(event).status == 200
    assert (latest_invoice(world).status, latest_invoice(world).action_required) == (InvoiceStatus.PAID, False)
    assert not latest_payment(world).action_required


def test_a_confirmation_that_fails_is_overdue(world: World) -> None:
    subscription = subscribed(world, CONFIRM)
    periods.renew(world.stripe.store, subscription)
    world.deliver_new()
    collecting.answer_intent(world.stripe.store, world.stripe.store.all("payment_intent")[0], paid=False)
    world.deliver_new()
    invoice = latest_invoice(world)
    assert (invoice.status, invoice.action_required) == (InvoiceStatus.OVERDUE, False)
    assert invoice.failure_code == "payment_intent_authentication_failure"
    assert latest_payment(world).failed_charge_id is None  # nothing was charged


# -- items


@pytest.mark.parametrize("add_on_first", [True, False])
def test_the_item_of_the_plan_decides_wherever_it_stands(world: World, add_on_first: bool) -> None:
    world.plan()
    world.customer()
    world.price("price_addon", 900)
    store = world.stripe.store
    prices = ["price_addon", PRICE] if add_on_first else [PRICE, "price_addon"]
    quantities = {"price_addon": 7, PRICE: 3}
    first, second = prices
    made = subscriptions.create_subscription(
        store, CUSTOMER, store.get("price", first), {"tenantId": TENANT}, quantity=quantities[first]
    )
    end = made["items"]["data"][0]["current_period_end"]
    subscriptions.add_item(store, made, store.get("price", second), quantities[second], end)
    subscriptions.tell_created(store, made)
    world.deliver_new()
    recorded = only_subscription(world)
    assert (recorded.plan_id, recorded.stripe_price_id, recorded.quantity) == (PLAN, PRICE, 3)
    assert [(i.stripe_price_id, i.quantity, i.metered) for i in recorded.items] == [
        ("price_addon", 7, False),
        (PRICE, 3, False),
    ]
    assert all(i.period_end == recorded.current_period_end for i in recorded.items)


def test_a_metered_item(world: World) -> None:
    world.plan()
    world.customer()
    store = world.stripe.store
    made = subscriptions.create_subscription(store, CUSTOMER, store.get("price", PRICE), {"tenantId": TENANT})
    made["items"]["data"][0]["price"] = {**store.get("price", PRICE)}
    made["items"]["data"][0]["price"]["recurring"] = {
        **store.get("price", PRICE)["recurring"],
        "usage_type": "metered",
    }
    del made["items"]["data"][0]["quantity"]
    subscriptions.tell_created(store, made)
    world.deliver_new()
    [item] = only_subscription(world).items
    assert (item.metered, item.quantity) == (True, None)


# -- a paused collection


@pytest.mark.parametrize(
    ("behavior", "expected"),
    [("void", "SUSPENDED"), ("keep_as_draft", "ACTIVE"), ("mark_uncollectible", "ACTIVE")],
)
def test_access_while_the_collection_is_paused(world: World, behavior: str, expected: str) -> None:
    subscription = subscribed(world)
    store = world.stripe.store
    subscriptions.pause_collection(store, subscription, {"behavior": behavior, "resumes_at": store.now() + 86400})
    world.deliver_new()
    paused = only_subscription(world)
    assert (paused.status, paused.pause_behavior) == ("active", behavior)
    assert paused.pause_resumes_at
    assert tenant_status(world) == expected
    assert world.checkout().status == 409
    subscriptions.pause_collection(store, subscription, None)
    world.deliver_new()
    assert (only_subscription(world).pause_behavior, only_subscription(world).pause_resumes_at) == (None, None)
    assert tenant_status(world) == "ACTIVE"


# -- after the sale


def charge_of(world: World) -> Object:
    charge: Object = world.stripe.store.all("charge")[0]
    return charge


def in_every_order(world: World, make: Any, expected: dict[str, Any]) -> None:
    for order in itertools.islice(itertools.permutations(make()), 24):
        for n, event in enumerate(order):
            assert world.deliver(at(event, n)).status == 200
        payment = latest_payment(world)
        assert {name: getattr(payment, name) for name in expected} == expected


@pytest.mark.parametrize(("won", "disputed"), [(True, False), (False, True)])
def test_a_dispute_that_is_decided(world: World, won: bool, disputed: bool) -> None:
    subscribed(world)
    made = payments.dispute(world.stripe.store, charge_of(world))
    world.deliver(world.new_events()[0])
    assert (latest_payment(world).disputed, latest_payment(world).dispute_status) == (True, "needs_response")

    def decide() -> list[Object]:
        if made["status"] == "needs_response":
            payments.close_dispute(world.stripe.store, made, won=won)
        return world.new_events()

    in_every_order(world, decide, {"disputed": disputed, "dispute_status": "won" if won else "lost"})


def test_an_inquiry_is_no_dispute(world: World) -> None:
    subscribed(world)
    made = payments.dispute(world.stripe.store, charge_of(world), inquiry=True)
    world.deliver_new()
    assert (latest_payment(world).disputed, latest_payment(world).dispute_status) == (False, "warning_needs_response")
    payments.escalate_inquiry(world.stripe.store, made)
    world.deliver_new()
    assert (latest_payment(world).disputed, latest_payment(world).dispute_status) == (True, "needs_response")


def test_an_inquiry_that_is_closed(world: World) -> None:
    subscribed(world)
    made = payments.dispute(world.stripe.store, charge_of(world), inquiry=True)
    payments.close_dispute(world.stripe.store, made, won=True)
    world.deliver_new()
    assert (latest_payment(world).disputed, latest_payment(world).dispute_status) == (False, "warning_closed")


def test_a_refund_that_fails(world: World) -> None:
    subscribed(world)
    made = payments.refund(world.stripe.store, charge_of(world), 1000)
    world.deliver_new()
    assert latest_payment(world).amount_refunded == 1000
    payments.fail_refund(world.stripe.store, made, "expired_or_canceled_card")
    world.deliver_new()
    payment = latest_payment(world)
    assert (payment.amount_refunded, payment.amount_refund_failed) == (0, 1000)
    assert payment.refund_failure == "expired_or_canceled_card"


def test_what_was_not_captured_is_no_refund(world: World) -> None:
    world.customer()
    store = world.stripe.store
    intent = payments.create_intent(
        store, 5000, "usd", customer=CUSTOMER, metadata={"tenantId": TENANT}, capture_method="manual"
    )
    collecting.confirm_intent(store, intent, "pm_card_visa")
    assert intent["status"] == "requires_capture"
    payments.capture(store, intent, 3000)
    world.deliver_new()
    assert (latest_payment(world).amount, latest_payment(world).amount_refunded) == (3000, 0)
    assert charge_of(world)["amount_refunded"] == 2000
    payments.refund(store, charge_of(world), 1000)
    world.deliver_new()
    assert latest_payment(world).amount_refunded == 1000
    report = world.run("reconcile_stripe", {"dryRun": True})
    assert report["differing"] == {}


# -- what is paid, and how


def test_a_part_that_was_paid_outside_stripe_counts_at_once(world: World) -> None:
    subscription = subscribed(world)
    store = world.stripe.store
    invoice = invoices.create_invoice(store, subscription, "subscription_cycle")
    world.deliver_new()
    collecting.pay_part(store, invoice, 1900)
    assert [event["type"] for event in store.all("event")] == ["invoice_payment.paid"]
    world.deliver_new()
    recorded = latest_invoice(world)
    assert (recorded.status, recorded.amount_paid, recorded.amount_remaining) == (
        InvoiceStatus.PARTIALLY_PAID,
        1900,
        3000,
    )


def test_more_than_was_due_is_recorded(world: World) -> None:
    subscription = subscribed(world)
    invoice = invoices.create_invoice(world.stripe.store, subscription, "subscription_cycle")
    collecting.pay_part(world.stripe.store, invoice, 6000)
    world.deliver_new()
    assert (latest_invoice(world).status, latest_invoice(world).amount_overpaid) == (InvoiceStatus.PAID, 1100)


def test_an_uncollectible_invoice_is_paid_after_all(world: World) -> None:
    subscription = subscribed(world)
    store = world.stripe.store
    invoice = invoices.create_invoice(store, subscription, "subscription_cycle")
    invoices.close_invoice(store, invoice, "uncollectible")
    world.deliver_new()
    assert latest_invoice(world).status is InvoiceStatus.UNCOLLECTIBLE
    secret = world.api("POST", f"/invoices/{invoice['id']}/payment-intent").body["clientSecret"]
    assert secret == invoices.intent_of(store, invoice)["client_secret"]  # type: ignore[index]
    collecting.pay_invoice(store, invoice, "pm_card_visa")
    world.deliver_new()
    assert latest_invoice(world).status is InvoiceStatus.PAID


def test_what_an_invoice_is_made_of(world: World) -> None:
    subscription = subscribed(world)
    store = world.stripe.store
    store.get("customer", subscription["customer"])["balance"] = -900
    invoice = invoices.create_draft(store, subscription["customer"], "subscription_cycle", subscription)
    invoice |= {
        "total_taxes": [{"amount": 300}, {"amount": 45}],
        "total_discount_amounts": [{"amount": 500, "discount": "di_1"}],
    }
    invoices.finalize(store, invoice)
    world.deliver_new()
    recorded = latest_invoice(world)
    assert (recorded.total, recorded.tax, recorded.discount, recorded.credit_applied) == (4900, 345, 500, 900)
    assert recorded.amount_due == 4900 - 900
    assert recorded.billing_reason == "subscription_cycle"
    assert [(i.stripe_price_id, i.quantity) for i in recorded.items] == [(PRICE, 1)]
    assert (recorded.period_start, recorded.period_end) == (
        only_subscription(world).current_period_start,
        only_subscription(world).current_period_end,
    )


def test_a_payment_names_the_invoice_of_its_order_reference_if_it_is_the_tenants(world: World) -> None:
    subscribed(world)
    intent = world.stripe.store.all("payment_intent")[0]
    invoice_id = world.stripe.store.all("invoice")[0]["id"]
    assert intent["payment_details"]["order_reference"] == invoice_id
    store = world.stripe.store
    known = {
        "customer": CUSTOMER,
        "metadata": {"tenantId": "other"},
        "payment_details": {"order_reference": invoice_id},
    }
    world.customer("other")
    foreign = payments.create_intent(store, 100, "usd", **known)
    payments.charge(store, foreign)
    world.deliver_new()
    payment = world.payment(foreign["id"], "other")
    assert payment
    assert payment.invoice_id is None


# -- a checkout that waits for its money


def debit(world: World) -> Object:
    world.plan()
    return world.subscribe("processing")


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("paid", [True, False])
def test_an_unpaid_debit_never_gives_access(world: World, order: int, paid: bool) -> None:
    """Whatever comes first: the checkout's event, or that of the subscription, which is active at Stripe at once."""
    session = debit(world)
    statuses = set()
    for event in world.new_events()[::order]:
        world.deliver(event)
        if world.tenant():
            statuses.add(tenant_status(world))
    assert statuses == {TenantStatus.PENDING}
    checkout.settle_checkout(world.stripe.store, session, paid=paid)
    for event in world.new_events()[::order]:
        world.deliver(event)
    assert tenant_status(world) == ("ACTIVE" if paid else "PENDING")


def test_a_paid_first_invoice_settles_a_checkout_whose_event_is_lost(world: World) -> None:
    world.plan()
    world.subscribe()
    for event in world.new_events():
        if event["type"] != "checkout.session.completed":
            world.deliver(event)
    assert tenant_status(world) is TenantStatus.ACTIVE


def test_the_subscription_that_somebody_else_made_waits_for_nothing(world: World) -> None:
    world.plan()
    world.customer()
    assert world.checkout().status == 200
    store = world.stripe.store
    made = subscriptions.create_subscription(store, CUSTOMER, store.get("price", PRICE), {"tenantId": TENANT})
    subscriptions.tell_created(store, made)
    world.deliver_new()
    assert tenant_status(world) is TenantStatus.ACTIVE


# -- an order that means nothing


def test_the_end_of_a_trial_and_its_notice_in_both_orders(world: World) -> None:
    world.plan(trial_days=2)
    world.subscribe()
    subscriptions.cancel_subscription(world.stripe.store, first_subscription(world))
    events = world.new_events()
    notice = next(e for e in events if e["type"].endswith("trial_will_end"))
    end = next(e for e in events if e["type"].endswith("deleted"))
    rest = [e for e in events if e not in (notice, end)]
    found = []
    for last in ([notice, end], [end, notice]):
        for key in world.dynamodb.scan(TableName=world.table.name)["Items"]:
            if key["PK"]["S"].startswith(("TENANT", "EVENT")):
                world.dynamodb.delete_item(TableName=world.table.name, Key={n: key[n] for n in ("PK", "SK")})
        for event in [*rest, *last]:
            world.deliver(event)
        found.append(state(world))
    assert found[0] == found[1]
    assert only_subscription(world).trial_notice


def test_whose_customer_it_is_does_not_depend_on_who_came_first(world: World) -> None:
    world.plan()
    store = world.stripe.store
    made = []
    for number in range(2):
        customer = store.create("customer", id=f"cus_link{number}")
        one = subscriptions.create_subscription(store, customer["id"], store.get("price", PRICE), {"tenantId": TENANT})
        one["created"] += number
        subscriptions.tell_created(store, one)
        made.append(one)
    events = world.new_events()
    for event in reversed(events):
        world.deliver(event)
    tenant = world.tenant()
    assert tenant
    assert (tenant.stripe_customer_id, tenant.current_subscription_id) == ("cus_link0", made[0]["id"])


def test_a_declined_charge_has_its_own_number(world: World) -> None:
    """So every failed attempt of a PaymentIntent is told, and not only the first."""
    subscription = subscribed(world)
    store = world.stripe.store
    invoice = invoices.create_invoice(store, subscription, "subscription_cycle")
    seen = set()
    for _ in range(2):
        with pytest.raises(ApiError):
            collecting.pay_invoice(store, invoice, "pm_card_chargeDeclined")
        world.deliver_new()
        seen.add(latest_payment(world).failed_charge_id)
    assert len(seen) == 2


def test_an_invoice_with_more_lines_than_it_shows(world: World) -> None:
    """Prorations stand before the line of the period, and an invoice shows only its first lines."""
    subscription = subscribed(world)
    store = world.stripe.store
    for n in range(12):
        lines.pend(store, subscription["customer"], 100 + n, "usd", _subscription=subscription["id"])
    invoice = invoices.create_invoice(store, subscription, "subscription_cycle")
    collecting.pay_invoice(store, invoice, "pm_card_visa")
    events = world.new_events()
    assert any(event["data"]["object"].get("lines", {}).get("has_more") for event in events)
    for event in events:
        world.deliver(event)
    recorded = latest_invoice(world)
    assert (recorded.period_end, len(recorded.items)) == (only_subscription(world).current_period_end, 1)
    assert world.run("reconcile_stripe", {"dryRun": True})["differing"] == {}
