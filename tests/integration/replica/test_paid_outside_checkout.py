"""The first invoice of a checkout is paid in another way: on its hosted page, or by a retry in the dashboard."""

from contextlib import suppress

import pytest

from billing.domain.statuses import CheckoutPayment, TenantStatus
from local.stripe.engine import checkout, collecting, periods
from local.stripe.engine.cards import BANK
from local.stripe.engine.store import Object
from local.stripe.errors import ApiError
from tests.world import World


def begun(world: World) -> Object:
    """The Checkout Session that the tenant has opened."""
    world.plan()
    session = world.checkout().body["sessionUrl"].rsplit("/", 1)[1]
    return world.stripe.store.get("checkout.session", session)


@pytest.mark.parametrize("ends", ["it stays open", "it expires"])
def test_a_tenant_that_pays_its_first_invoice_elsewhere_has_access(world: World, ends: str) -> None:
    """Decision 4: the payment of the checkout's invoice settles it. The subscription's event comes before the payment.

    A card that is declined leaves a subscription that is incomplete, with an open invoice:
    https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses
    """
    made = begun(world)
    with suppress(ApiError):
        checkout.complete_checkout(world.stripe.store, made, "pm_card_chargeDeclined")
    world.deliver_new()
    [invoice] = world.stripe.store.all("invoice")
    collecting.pay_invoice(world.stripe.store, invoice, "pm_card_visa")
    if ends == "it expires":
        checkout.expire_checkout(world.stripe.store, made)
    world.deliver_new()
    world.run("reconcile_stripe", {})

    [subscription] = world.subscriptions()
    assert subscription.status == "active"
    tenant = world.tenant()
    assert tenant
    assert tenant.status is TenantStatus.ACTIVE


@pytest.mark.parametrize("order", [1, -1])
def test_a_debit_after_the_session_expired_is_told_by_the_subscription_alone(world: World, order: int) -> None:
    """Whether the subscription or the session's end came first: nobody waits for a checkout that is over.

    So the tenant has access while the debit is on its way, as with a subscription that was made elsewhere.
    """
    made = begun(world)
    store = world.stripe.store
    world.deliver_new()
    with suppress(ApiError):
        checkout.complete_checkout(store, made, "pm_card_chargeDeclined")
    checkout.expire_checkout(store, made)
    collecting.pay_invoice(store, store.all("invoice")[0], BANK)
    for event in world.new_events()[::order]:
        assert world.deliver(event).status == 200
    [subscription] = world.subscriptions()
    assert subscription.status == "active"
    tenant = world.tenant()
    assert tenant
    assert tenant.status is TenantStatus.ACTIVE


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("first", [(), ("invoice.paid", "customer.subscription.updated")])
def test_a_later_invoice_that_is_paid_settles_no_checkout(world: World, first: tuple[str, ...], order: int) -> None:
    """The first event that is seen may show a subscription whose latest invoice is not its first one any more."""
    made, store = begun(world), world.stripe.store
    checkout.complete_checkout(store, made, BANK)
    periods.renew(store, store.get("subscription", made["subscription"]), "pm_card_visa")
    checkout.settle_checkout(store, made, paid=False)
    events = world.new_events()[::order]
    for event in [*(next(e for e in events[::-order] if e["type"] == one) for one in first), *events]:
        assert world.deliver(event).status == 200
    [subscription] = world.subscriptions()
    assert subscription.checkout_payment is CheckoutPayment.FAILED
    tenant = world.tenant()
    assert tenant
    assert tenant.status is TenantStatus.PENDING


@pytest.mark.parametrize("order", [1, -1])
def test_the_first_invoice_came_before_its_subscription(world: World, order: int) -> None:
    """It was paid elsewhere, and the subscription's first event that is seen names a later invoice: the money came."""
    made, store = begun(world), world.stripe.store
    world.deliver_new()
    with suppress(ApiError):
        checkout.complete_checkout(store, made, "pm_card_chargeDeclined")
    [invoice] = store.all("invoice")
    collecting.pay_invoice(store, invoice, "pm_card_visa")
    [subscription] = store.all("subscription")
    periods.renew(store, subscription, "pm_card_chargeDeclined")
    events = world.new_events()
    paid = next(e for e in events if e["type"] == "invoice.paid")
    renewed = [e for e in events if e["type"] == "customer.subscription.updated"][-1]
    before = world.tenant()
    for event in [paid, renewed][::order]:
        assert world.deliver(event).status == 200
        found = world.tenant()
        assert before
        assert found
        # Whoever has read the tenant for the other event at this moment must read again.
        assert found.revision == before.revision + 1
        before = found
    [recorded] = world.subscriptions()
    assert recorded.checkout_payment is CheckoutPayment.SETTLED
    tenant = world.tenant()
    assert tenant
    assert tenant.status is TenantStatus.ACTIVE
