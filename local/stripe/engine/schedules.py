"""Changes of a subscription that wait for the end of its period.

The customer portal makes such a schedule for a downgrade, if its configuration says so.
https://docs.stripe.com/customer-management/configure-portal and https://docs.stripe.com/billing/subscriptions/subscription-schedules
"""

from local.stripe.engine.store import Object, Store


def schedule(store: Store, subscription: Object, price: Object) -> Object:
    """From the end of the present period on, the first item has this price."""
    release(store, subscription)
    made = store.create(
        "subscription_schedule", customer=subscription["customer"], subscription=subscription["id"], status="active"
    )
    subscription |= {"schedule": made["id"], "_next_price": price["id"]}
    store.emit("subscription_schedule.created", made)
    store.emit("customer.subscription.updated", subscription)
    return made


def release(store: Store, subscription: Object) -> None:
    """Takes the schedule away. What it planned does not happen."""
    found = store.find(subscription["schedule"] or "")
    subscription |= {"schedule": None, "_next_price": None}
    if found:
        found |= {"status": "released", "released_subscription": subscription["id"], "subscription": None}
        store.emit("subscription_schedule.released", found)


def begin_next_phase(store: Store, subscription: Object) -> None:
    """At the end of the period: the item gets the price that was planned."""
    price = store.find(subscription.get("_next_price") or "")
    if price:
        subscription["items"]["data"][0]["price"] = price
        release(store, subscription)
