"""Checks a checkout whose first payment is not accepted at once, and that a customer is not sold a second subscription.

Hosted Checkout makes the subscription when the buyer sends the form. See `local/stripe/engine/checkout.py` for sources.
"""

from dataclasses import replace
from typing import Any

import pytest
import stripe

from billing.adapters.stripe_api import StripeApi
from billing.domain.statuses import InvoiceStatus, TenantStatus
from billing.domain.writes import Pointer, StripeId
from local.stripe.engine import checkout, collecting, periods, subscriptions
from local.stripe.engine.store import Object
from local.stripe.errors import ApiError
from tests.integration.support import only_subscription, refused
from tests.world import CUSTOMER, PRICE, TENANT, World

DECLINED = "pm_card_chargeDeclined"
CONFIRM = "pm_card_threeDSecure2Required"


def session_of(world: World, **more: Any) -> Object:
    answer = world.checkout(**more)
    assert answer.status == 200, answer.body
    return world.stripe.store.get("checkout.session", answer.body["sessionUrl"].rsplit("/", 1)[1])


def fail(world: World, session: Object, method: str = DECLINED) -> None:
    with pytest.raises((ApiError, checkout.NeedsAction)):
        checkout.complete_checkout(world.stripe.store, session, method)


def status(world: World, tenant_id: str = TENANT) -> TenantStatus:
    tenant = world.tenant(tenant_id)
    assert tenant
    return tenant.status


@pytest.mark.parametrize("method", [DECLINED, CONFIRM])
def test_the_buyer_can_try_again(world: World, method: str) -> None:
    world.plan(trial_days=0)
    session = session_of(world)
    fail(world, session, method)
    world.deliver_new()
    assert only_subscription(world).status == "incomplete"
    assert status(world) is TenantStatus.PENDING
    [recorded] = [world.invoice(i["id"]) for i in world.stripe.store.all("invoice")]
    assert recorded
    assert recorded.status is InvoiceStatus.PENDING
    assert world.checkout().body["sessionUrl"] == session["url"]
    checkout.complete_checkout(world.stripe.store, session, "pm_card_visa")
    world.deliver_new()
    assert only_subscription(world).status == "active"
    assert status(world) is TenantStatus.ACTIVE
    [invoice] = world.stripe.store.all("invoice")
    assert invoice["status"] == "paid"


def test_a_confirmed_payment_completes_the_same_subscription(world: World) -> None:
    world.plan()
    session = session_of(world)
    fail(world, session, CONFIRM)
    checkout.complete_checkout(world.stripe.store, session, CONFIRM, confirmed=True)
    world.deliver_new()
    assert only_subscription(world).status == "active"
    assert status(world) is TenantStatus.ACTIVE


@pytest.mark.parametrize("first", ["customer.subscription.created", "customer.subscription.updated"])
def test_an_event_from_before_the_first_invoice_does_not_hide_that_it_is_paid(world: World, first: str) -> None:
    """The buyer confirms aside, so the session stays open and no event of it comes."""
    world.plan()
    fail(world, session_of(world), CONFIRM)
    store = world.stripe.store
    collecting.answer_intent(store, store.all("payment_intent")[0], paid=True)
    of_invoice = [one for one in store.all("event") if one["type"] == "invoice.payment_succeeded"]
    of_subscription = sorted(
        (one for one in store.all("event") if one["type"].startswith("customer.subscription.")),
        key=lambda one: one["type"] != first,
    )
    of_subscription[0]["data"]["object"]["latest_invoice"] = None
    for one in (*of_invoice, *of_subscription):
        assert world.deliver(one).status == 200
    assert status(world) is TenantStatus.ACTIVE


def test_another_plan_may_be_chosen_after_a_declined_payment(world: World) -> None:
    world.plan()
    world.plan("plan-big", "price_big")
    fail(world, session_of(world))
    world.deliver_new()
    later = session_of(world, plan="plan-big")
    checkout.complete_checkout(world.stripe.store, later)
    world.deliver_new()
    assert status(world) is TenantStatus.ACTIVE
    assert sorted(s.status for s in world.subscriptions()) == ["active", "incomplete"]
    assert not any(s.duplicate for s in world.subscriptions())


def test_a_subscription_that_never_began_costs_nobody_the_trial(world: World) -> None:
    world.plan(trial_days=14)
    world.customer()
    store = world.stripe.store
    made = subscriptions.create_subscription(store, CUSTOMER, store.get("price", PRICE), {"tenantId": TENANT})
    periods.begin(store, made, DECLINED)
    world.deliver_new()
    assert session_of(world)["_subscription_data"]["trial_period_days"] == 14
    periods.expire(store, made)
    world.deliver_new()
    assert only_subscription(world).status == "incomplete_expired"
    assert status(world) is TenantStatus.PENDING
    assert session_of(world)["_subscription_data"]["trial_period_days"] == 14


def test_a_declined_card_takes_nothing_from_a_tenant(world: World) -> None:
    """Neither its access nor the status that its last subscription left."""
    world.plan()
    world.subscribe()
    world.deliver_new()
    store = world.stripe.store
    customer = store.all("customer")[0]["id"]
    other = subscriptions.create_subscription(store, customer, store.get("price", PRICE), {"tenantId": TENANT})
    periods.begin(store, other, DECLINED)
    world.deliver_new()
    assert status(world) is TenantStatus.ACTIVE
    subscriptions.cancel_subscription(store, store.all("subscription", status="active")[0])
    world.deliver_new()
    assert status(world) is TenantStatus.CANCELED
    periods.expire(store, other)
    world.deliver_new()
    assert status(world) is TenantStatus.CANCELED


# -- a deleted customer


def delete_customer(world: World) -> str:
    """Deletes the tenant's customer at Stripe. Delivers no event."""
    tenant = world.tenant()
    assert tenant
    assert tenant.stripe_customer_id
    stripe.StripeClient(world.stripe.api_key, base_addresses={"api": world.address}).v1.customers.delete(
        tenant.stripe_customer_id
    )
    return tenant.stripe_customer_id


@pytest.mark.parametrize("delivered", [True, False])
def test_a_deleted_customer_is_replaced(world: World, delivered: bool) -> None:
    world.plan(trial_days=14)
    world.subscribe()
    world.deliver_new()
    gone = delete_customer(world)
    for event in world.new_events():
        if delivered or event["type"] != "customer.deleted":
            world.deliver(event)
    tenant = world.tenant()
    assert tenant
    assert tenant.stripe_customer_id == (None if delivered else gone)
    assert session_of(world)["customer"] != gone
    world.deliver_new()
    tenant = world.tenant()
    assert tenant
    assert tenant.stripe_customer_id not in (None, gone)
    assert tenant.status is TenantStatus.CANCELED
    assert world.table.owner(StripeId(gone)) == TENANT  # late events still find their tenant


def test_a_customer_that_was_linked_meanwhile_is_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.plan()
    world.customer()
    delete_customer(world)
    world.stripe.store.create("customer", id="cus_new")
    create = StripeApi.create_checkout_session

    def interrupted(self: StripeApi, parameters: Any, scope: str) -> Any:
        tenant = world.tenant()
        assert tenant
        if tenant.stripe_customer_id == CUSTOMER:
            linked = replace(tenant, stripe_customer_id="cus_new")
            world.table.write([linked], [Pointer(StripeId("cus_new"), tenant_id=TENANT)])
        return create(self, parameters, scope)

    monkeypatch.setattr(StripeApi, "create_checkout_session", interrupted)
    assert session_of(world)["customer"] == "cus_new"
    assert [customer["id"] for customer in world.stripe.store.all("customer")] == ["cus_new"]


def test_the_deletion_of_an_earlier_customer_changes_nothing(world: World) -> None:
    world.plan()
    world.customer()
    deleted = world.stripe.store.emit("customer.deleted", world.stripe.store.get("customer", CUSTOMER))
    world.deliver(deleted)
    session_of(world)
    before = world.tenant()
    again = {**deleted, "id": "evt_again"}
    assert world.deliver(again).body["status"] == "STALE"
    assert world.tenant() == before


def test_the_portal_of_a_deleted_customer(world: World) -> None:
    world.plan()
    world.customer()
    delete_customer(world)
    refused(world.api("POST", "/stripe/portal", query_string={"customerId": CUSTOMER}), 404, "customer-not-found")


def test_an_own_invoice_is_paid_although_the_customer_was_deleted(world: World) -> None:
    world.customer()
    body = {"invoiceId": "inv-001", "amount": 25000, "currency": "usd"}
    world.api("POST", f"/tenants/{TENANT}/invoices", admin=True, json=body)
    delete_customer(world)
    assert world.api("POST", "/invoices/inv-001/payment-intent").status == 200
    [intent] = world.stripe.store.all("payment_intent")
    assert intent["customer"] is None


# -- no second subscription


def subscribed_at_stripe(world: World, customer_id: str, tenant_id: str | None) -> Object:
    """A customer that subscribed by other means. None of the events has come."""
    store = world.stripe.store
    metadata = {"tenantId": tenant_id} if tenant_id else {}
    store.create("customer", id=customer_id, metadata=metadata)
    made = subscriptions.create_subscription(store, customer_id, store.get("price", PRICE), {})
    periods.begin(store, made, "pm_card_visa")
    return made


@pytest.mark.parametrize("admin", [False, True])
def test_a_customer_that_subscribes_already_is_sold_nothing(world: World, admin: bool) -> None:
    world.plan()
    made = subscribed_at_stripe(world, "cus_old", None if admin else TENANT)
    answer = world.checkout(extra={"customerId": "cus_old"}, admin=admin)
    refused(answer, 409, "subscription-exists")
    assert world.stripe.store.all("checkout.session") == []
    assert only_subscription(world).stripe_subscription_id == made["id"]
    assert status(world) is TenantStatus.ACTIVE


def test_a_subscription_whose_events_were_lost_is_found(world: World) -> None:
    world.plan()
    world.customer()
    store = world.stripe.store
    made = subscriptions.create_subscription(store, CUSTOMER, store.get("price", PRICE), {})
    periods.begin(store, made, "pm_card_visa")
    refused(world.checkout(), 409, "subscription-exists")
    assert only_subscription(world).stripe_subscription_id == made["id"]


def test_all_pages_of_a_customers_subscriptions_are_looked_at(world: World) -> None:
    world.plan()
    world.customer()
    store = world.stripe.store
    for _ in range(101):
        ended = subscriptions.create_subscription(store, CUSTOMER, store.get("price", PRICE), {})
        ended["status"] = "canceled"
    store.all("subscription")[-1]["status"] = "active"  # the oldest one, which is listed last
    refused(world.checkout(), 409, "subscription-exists")


def test_a_customer_whose_subscriptions_have_ended_gets_a_session_without_a_trial(world: World) -> None:
    world.plan(trial_days=14)
    made = subscribed_at_stripe(world, "cus_old", TENANT)
    subscriptions.cancel_subscription(world.stripe.store, made)
    answer = world.checkout(extra={"customerId": "cus_old"})
    assert answer.status == 200
    [session] = world.stripe.store.all("checkout.session")
    assert "trial_period_days" not in session["_subscription_data"]


def test_a_new_customer_costs_no_list(world: World) -> None:
    world.plan()
    world.checkout()
    assert ("GET", "/v1/subscriptions") not in world.stripe.calls
