"""Changes of a subscription that a schedule makes when a phase ends.

The customer portal makes a schedule for a downgrade, if its configuration says so.
https://docs.stripe.com/customer-management/configure-portal and
https://docs.stripe.com/billing/subscriptions/subscription-schedules

`scheduling.py` has the schedules of the API, whose phases are begun here.
"""

from local.stripe.engine import lines
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
    found = _leave(store, subscription)
    if found:
        found |= {"status": "released", "released_at": store.now(), "current_phase": None}
        store.emit("subscription_schedule.released", found)


def abort(store: Store, subscription: Object) -> None:
    """The subscription ends because it is not paid. https://docs.stripe.com/api/events/types (subscription_schedule)"""
    _end(store, subscription, "aborted")


def _leave(store: Store, subscription: Object) -> Object | None:
    """The subscription goes on by itself. An end that the last phase set is gone too.

    Seen by a user: https://github.com/YumaInaura/YumaInaura/issues/2902
    """
    found = store.find(subscription["schedule"] or "")
    subscription |= {"schedule": None, "_next_price": None}
    if found:
        found |= {"released_subscription": subscription["id"], "subscription": None}
        if _ends_it(found):
            subscription |= {"cancel_at": None, "canceled_at": None}
    return found


def end_with(store: Store, subscription: Object) -> None:
    """The subscription has ended, and its schedule with it."""
    found = store.find(subscription["schedule"] or "")
    over = found and _ends_it(found) and found["current_phase"]["end_date"] <= store.now()
    _end(store, subscription, "completed" if over else "canceled")


def _end(store: Store, subscription: Object, event: str) -> None:
    found = store.find(subscription["schedule"] or "")
    if found is None or found["status"] != "active":
        return
    status = "completed" if event == "completed" else "canceled"
    found |= {"status": status, f"{status}_at": store.now(), "current_phase": None}
    store.emit(f"subscription_schedule.{event}", found)


def begin_next_phase(store: Store, subscription: Object) -> None:
    """At the end of the period: the items get the prices that were planned."""
    price = store.find(subscription.get("_next_price") or "")
    if price:
        subscription["items"]["data"][0]["price"] = price
        release(store, subscription)
    found = store.find(subscription.get("schedule") or "")
    end = subscription["items"]["data"][0]["current_period_end"]
    if found and found["current_phase"] and found["current_phase"]["end_date"] <= end:
        move_on(store, found, subscription)


def move_on(store: Store, schedule: Object, subscription: Object) -> None:
    """The present phase is over. The next one begins, or the subscription is released from the schedule.

    A subscription that ends with its schedule is canceled by its `cancel_at`.
    """
    after = [n for n, phase in enumerate(schedule["phases"]) if phase["start_date"] >= current_end(schedule)]
    if after:
        enter(store, schedule, subscription, schedule["phases"][after[0]])
        store.emit("subscription_schedule.updated", schedule)
    elif not _ends_it(schedule):
        _leave(store, subscription)
        schedule |= {"status": "completed", "completed_at": store.now(), "current_phase": None}
        store.emit("subscription_schedule.completed", schedule)


def current_end(schedule: Object) -> int:
    """Seconds since the epoch."""
    return int(schedule["current_phase"]["end_date"])


def enter(store: Store, schedule: Object, subscription: Object, phase: Object) -> None:
    """The subscription gets the items of the phase. Within a period, the rest of it is prorated."""
    schedule["current_phase"] = {"start_date": phase["start_date"], "end_date": phase["end_date"]}
    over = subscription["items"]["data"][0]["current_period_end"] <= store.now()
    for item, planned in zip(subscription["items"]["data"], phase["items"], strict=False):
        price, quantity = store.get("price", planned["price"]), planned["quantity"]
        changes = (price["id"], quantity) != (item["price"]["id"], item["quantity"])
        if changes and not over and phase["proration_behavior"] != "none":
            lines.prorate(store, subscription, item, price, quantity)
        item |= {"price": price, "quantity": quantity}
    if phase is schedule["phases"][-1] and _ends_it(schedule):
        # Seen by a user: https://github.com/YumaInaura/YumaInaura/issues/2955
        subscription |= {"cancel_at": phase["end_date"], "canceled_at": store.now()}


def _ends_it(schedule: Object) -> bool:
    """Whether the subscription ends with the present phase."""
    last = schedule["phases"][-1]["end_date"] if schedule["phases"] else None
    now = schedule["current_phase"]
    return bool(now and schedule["end_behavior"] == "cancel" and now["end_date"] == last)
