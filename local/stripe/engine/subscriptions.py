"""Subscriptions: made, moved from one status to another, ended. What their periods bring is in `periods.py`.

https://docs.stripe.com/billing/subscriptions/overview
"""

from datetime import UTC, datetime
from typing import Any, Final

from dateutil.relativedelta import relativedelta

from local.stripe.engine.store import DAY, Object, Store
from local.stripe.errors import invalid

TRIAL_NOTICE: Final = 3 * DAY
ENDED: Final = ("canceled", "incomplete_expired")


def create_subscription(
    store: Store, customer: str, price: Object, metadata: Object, trial_days: int = 0, quantity: int = 1
) -> Object:
    """As it stands when all goes well: active or trialing. Nothing is told or invoiced yet."""
    start = store.now()
    status = "trialing" if trial_days else "active"
    known = {"customer": customer, "currency": price["currency"], "metadata": metadata, "status": status}
    subscription = store.create("subscription", **known)
    end = start + trial_days * DAY if trial_days else after(start, price)
    url = f"/v1/subscription_items?subscription={subscription['id']}"
    subscription["items"] = {"object": "list", "data": [], "has_more": False, "url": url}
    add_item(store, subscription, price, quantity, end)
    subscription |= {"start_date": start, "billing_cycle_anchor": end if trial_days else start}
    if trial_days:
        subscription |= {"trial_start": start, "trial_end": end}
    return subscription


def add_item(store: Store, subscription: Object, price: Object, quantity: int, end: int) -> None:
    """`end`: of its present period, which begins now; seconds."""
    period = {"current_period_start": store.now(), "current_period_end": end}
    item = store.create("subscription_item", price=price, quantity=quantity, subscription=subscription["id"], **period)
    subscription["items"]["data"].append(item)


def after(moment: int, price: Object) -> int:
    """A period of the price later, in the calendar; seconds."""
    every = price["recurring"]
    length = relativedelta(**{f"{every['interval']}s": every["interval_count"]})
    return int((datetime.fromtimestamp(moment, UTC) + length).timestamp())


def tell_created(store: Store, subscription: Object) -> None:
    store.emit("customer.subscription.created", subscription)
    if subscription["status"] == "trialing" and subscription["trial_end"] - store.now() <= TRIAL_NOTICE:
        notice_trial(store, subscription)


def notice_trial(store: Store, subscription: Object) -> None:
    """Three days before its end, or at once when it is shorter."""
    subscription["_trial_noticed"] = True
    store.emit("customer.subscription.trial_will_end", subscription)


def saved_method(store: Store, subscription: Object) -> str | None:
    """What pays by itself: the subscription's own payment method, or its customer's."""
    settings = store.get("customer", subscription["customer"])["invoice_settings"]
    saved: str | None = subscription["default_payment_method"] or settings["default_payment_method"]
    return saved


def set_status(store: Store, subscription: Object, status: str) -> Object:
    """What Stripe's settings or a person at Stripe make of it: paused, unpaid, active again."""
    check_live(subscription)
    subscription["status"] = status
    store.emit(f"customer.subscription.{'paused' if status == 'paused' else 'updated'}", subscription)
    return subscription


def cancel_subscription(store: Store, subscription: Object, **details: Any) -> Object:
    check_live(subscription)
    now = store.now()
    subscription |= {"status": "canceled", "canceled_at": now, "ended_at": now, **details}
    store.emit("customer.subscription.deleted", subscription)
    return subscription


def check_live(subscription: Object) -> None:
    if subscription["status"] in ENDED:
        raise invalid(f"The subscription is {subscription['status']}.", code="resource_missing")
