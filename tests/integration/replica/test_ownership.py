"""Checks which tenant an event belongs to, even if its metadata names another one."""

import pytest

from billing.domain.statuses import InvoiceStatus, TenantStatus
from billing.domain.writes import StripeId
from billing.replica.effects import EFFECTS
from local.stripe.engine import collecting, payments, subscriptions
from tests.integration.support import at, first_subscription, only_subscription, own_invoice
from tests.world import TENANT, World


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
    forged = payments.create_intent(store, 25000, "usd", customer="cus_victim", metadata=metadata)
    collecting.confirm_intent(store, forged, "pm_card_visa")
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
    made = subscriptions.create_subscription(world.stripe.store, "cus_hand", price, {"tenantId": "by-hand"}, 0)
    world.deliver(world.stripe.store.emit("customer.subscription.created", made))
    tenant = world.tenant("by-hand")
    assert tenant
    assert (tenant.status, tenant.stripe_customer_id) == (TenantStatus.ACTIVE, "cus_hand")
    assert world.table.owner(StripeId("cus_hand")) == "by-hand"


@pytest.mark.parametrize("hostile", ["", "a b", "x" * 65, "TENANT#1", "é", "a\n"])
def test_metadata_that_is_no_tenant_id_names_nobody(world: World, hostile: str) -> None:
    world.plan()
    price = world.stripe.store.get("price", "price_pro")
    made = subscriptions.create_subscription(world.stripe.store, "cus_hand", price, {"tenantId": hostile}, 0)
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
