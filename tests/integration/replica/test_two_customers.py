"""A tenant with two customers of Stripe, one of which is deleted."""

import pytest
import stripe

from local.stripe.engine import periods, subscriptions
from tests.world import CUSTOMER, PRICE, TENANT, World


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_does_not_matter_when_one_of_two_customers_is_deleted(world: World, order: int) -> None:
    world.plan()
    world.customer()
    store = world.stripe.store
    api = stripe.StripeClient(world.stripe.api_key, base_addresses={"api": world.address})
    api.v1.customers.delete(CUSTOMER)
    other = store.create("customer")["id"]
    made = subscriptions.create_subscription(store, other, store.get("price", PRICE), {"tenantId": TENANT})
    periods.begin(store, made, "pm_card_visa")
    for event in world.new_events()[::order]:
        assert world.deliver(event).status == 200
    tenant = world.tenant()
    assert tenant
    assert tenant.stripe_customer_id == other
