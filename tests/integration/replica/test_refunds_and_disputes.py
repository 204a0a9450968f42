"""Checks refunds, disputes and the notice before the end of a trial, in any order of the events."""

import itertools
from typing import Any

import pytest

from billing.domain.entities import Payment
from billing.domain.statuses import PaymentStatus
from local.stripe.engine import payments, periods
from local.stripe.engine.store import Object
from tests.integration.support import at, only_subscription
from tests.world import CUSTOMER, TENANT, World


def paid(world: World) -> Object:
    """Makes a paid subscription. Returns the charge of its first invoice."""
    world.plan()
    world.subscribe()
    world.deliver_new()
    return world.stripe.store.all("charge")[0]


def payment_of(world: World, charge: Object) -> Payment:
    payment = world.payment(charge["payment_intent"])
    assert payment
    return payment


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_refunds_in_any_order(world: World, order: tuple[int, ...]) -> None:
    charge = paid(world)
    for amount in (1000, 500):
        payments.refund(world.stripe.store, charge, amount)
    events = world.new_events()
    events.append(at(events[0], 60))
    for n in order:
        assert world.deliver(events[n]).status == 200
    payment = payment_of(world, charge)
    assert (payment.amount_refunded, payment.status) == (1500, PaymentStatus.SUCCEEDED)


def test_a_refund_that_fails_later_is_taken_back(world: World) -> None:
    charge = paid(world)
    made = payments.refund(world.stripe.store, charge, 1000)
    world.deliver_new()
    assert payment_of(world, charge).amount_refunded == 1000
    charge["amount_refunded"] = 0
    made["status"] = "failed"
    assert world.deliver(world.stripe.store.emit("refund.failed", made)).body["status"] == "PROCESSED"
    assert payment_of(world, charge).amount_refunded == 0


def test_a_dispute_finds_its_tenant_by_its_charge(world: World) -> None:
    charge = paid(world)
    payments.dispute(world.stripe.store, charge)
    event = world.new_events()[0]
    assert "customer" not in event["data"]["object"]
    assert world.deliver(event).body["status"] == "PROCESSED"
    assert payment_of(world, charge).disputed
    assert world.deliver(at(event, 5) | {"id": "evt_again"}).body["status"] == "STALE"


def test_a_dispute_of_nobodys_charge(world: World) -> None:
    store = world.stripe.store
    store.create("customer", id="cus_nobody")
    charge = store.create("charge", customer="cus_nobody", payment_intent="pi_nobody", currency="usd", amount=100)
    payments.dispute(store, charge)
    event = world.new_events()[0]
    assert world.deliver(event).body["status"] == "IGNORED"


def test_a_refund_that_comes_before_its_payment(world: World) -> None:
    world.customer()
    store = world.stripe.store
    known: dict[str, Any] = {"customer": CUSTOMER, "metadata": {"tenantId": TENANT}}
    intent = payments.create_intent(store, 900, "usd", **known)
    charge = payments.charge(store, intent)
    payments.refund(store, charge, None)
    refunded = next(event for event in world.new_events() if event["type"] == "charge.refunded")
    world.deliver(refunded)
    payment = payment_of(world, charge)
    assert (payment.amount_refunded, payment.status) == (900, PaymentStatus.PROCESSING)


@pytest.mark.parametrize("seconds", [0, 5])
def test_the_notice_of_a_trials_end_is_kept_once(world: World, seconds: int) -> None:
    world.plan(trial_days=2)
    world.subscribe()
    events = world.new_events()
    notice = next(e for e in events if e["type"] == "customer.subscription.trial_will_end")
    for event in events:
        world.deliver(at(event, seconds) if event is notice else event)
    subscription = only_subscription(world)
    assert (subscription.trial_notice, subscription.status) == (subscription.trial_end, "trialing")
    assert world.deliver(at(notice, seconds) | {"id": "evt_again"}).body["status"] == "STALE"
    assert only_subscription(world).revision == subscription.revision


def test_a_change_keeps_the_notice(world: World) -> None:
    world.plan(trial_days=2)
    world.subscribe()
    world.deliver_new()
    [stripe_object] = world.stripe.store.all("subscription")
    periods.update_subscription(world.stripe.store, stripe_object, {"cancel_at_period_end": True})
    for event in world.new_events():
        world.deliver(at(event, 9))
    subscription = only_subscription(world)
    assert subscription.cancel_at_period_end
    assert subscription.trial_notice == subscription.trial_end


def test_an_older_notice_that_comes_later_changes_nothing(world: World) -> None:
    world.plan(trial_days=2)
    world.subscribe()
    events = world.new_events()
    notice = next(e for e in events if e["type"] == "customer.subscription.trial_will_end")
    for event in events:
        world.deliver(event)
    before = only_subscription(world)
    older = at(notice, -5)
    older["data"]["object"]["trial_end"] -= 24 * 3600
    assert world.deliver(older).body["status"] == "STALE"
    assert only_subscription(world) == before


def test_a_refund_that_is_canceled_later_is_taken_back(world: World) -> None:
    charge = paid(world)
    made = payments.refund(world.stripe.store, charge, 1000)
    world.deliver_new()
    charge["amount_refunded"] = 0
    made["status"] = "canceled"
    assert world.deliver(world.stripe.store.emit("refund.updated", made)).body["status"] == "PROCESSED"
    assert payment_of(world, charge).amount_refunded == 0


def test_a_charge_that_was_never_captured_gives_nothing_back(world: World) -> None:
    """Stripe reports a released authorization as a refund."""
    charge = paid(world) | {"captured": False, "amount_refunded": 4900}
    world.stripe.store.add(charge)
    assert world.deliver(world.stripe.store.emit("charge.refunded", charge)).body["status"] == "IGNORED"
    assert payment_of(world, charge).amount_refunded == 0
