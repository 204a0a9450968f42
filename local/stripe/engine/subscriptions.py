"""Creates subscriptions, changes their status, and ends them. `periods.py` handles their periods.

https://docs.stripe.com/billing/subscriptions/overview
"""

from datetime import UTC, datetime
from typing import Any, Final

from dateutil.relativedelta import relativedelta

from local.stripe.engine import schedules
from local.stripe.engine.store import DAY, Object, Store
from local.stripe.errors import invalid

TRIAL_NOTICE: Final = 3 * DAY  # seconds from the notice to the end of the trial
ENDED: Final = ("canceled", "incomplete_expired")


def create_subscription(
    store: Store, customer: str, price: Object, metadata: Object, trial_days: int = 0, quantity: int = 1
) -> Object:
    """Creates a subscription that is already active or trialing.

    It emits no event and makes no invoice yet.
    """
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
    """The item's present period begins now. `end`: the end of that period in seconds since the epoch."""
    period = {"current_period_start": store.now(), "current_period_end": end}
    item = store.create("subscription_item", price=price, quantity=quantity, subscription=subscription["id"], **period)
    subscription["items"]["data"].append(item)


def after(moment: int, price: Object) -> int:
    """The moment one period of the price later, by the calendar. Both moments are seconds since the epoch."""
    every = price["recurring"]
    length = relativedelta(**{f"{every['interval']}s": every["interval_count"]})
    return int((datetime.fromtimestamp(moment, UTC) + length).timestamp())


def tell_created(store: Store, subscription: Object) -> None:
    store.emit("customer.subscription.created", subscription)
    if subscription["status"] == "trialing" and subscription["trial_end"] - store.now() <= TRIAL_NOTICE:
        notice_trial(store, subscription)


def notice_trial(store: Store, subscription: Object) -> None:
    """Sends the notice of the trial's end: three days before it, or at once if the trial is shorter."""
    subscription["_trial_noticed"] = True
    store.emit("customer.subscription.trial_will_end", subscription)


def saved_method(store: Store, subscription: Object) -> str | None:
    """The payment method that Stripe charges by itself: the subscription's own, or else its customer's."""
    customer = store.get("customer", subscription["customer"])
    chosen = subscription["default_payment_method"] or customer["invoice_settings"]["default_payment_method"]
    saved: str | None = chosen or customer.get("default_source")
    return saved


def set_status(store: Store, subscription: Object, status: str) -> Object:
    """Sets the status that Stripe's settings or a person at Stripe choose: paused, unpaid, active again."""
    check_live(subscription)
    subscription["status"] = status
    store.emit(f"customer.subscription.{'paused' if status == 'paused' else 'updated'}", subscription)
    return subscription


def pause_collection(store: Store, subscription: Object, pause: Object | None) -> Object:
    """Pauses the collection of the invoices, or ends the pause (None). The status stays as it is.

    https://docs.stripe.com/billing/subscriptions/pause-payment
    """
    subscription["pause_collection"] = pause and {"behavior": pause["behavior"], "resumes_at": pause.get("resumes_at")}
    store.emit("customer.subscription.updated", subscription)
    return subscription


def cancel_subscription(store: Store, subscription: Object, **details: Any) -> Object:
    check_live(subscription)
    now = store.now()
    subscription |= {"status": "canceled", "canceled_at": now, "ended_at": now, **details}
    schedules.end_with(store, subscription)
    store.emit("customer.subscription.deleted", subscription)
    return subscription


def check_live(subscription: Object) -> None:
    if subscription["status"] in ENDED:
        raise invalid(f"The subscription is {subscription['status']}.", code="resource_missing")
