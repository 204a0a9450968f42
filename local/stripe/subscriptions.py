"""Subscriptions: begun, renewed, changed, canceled. https://docs.stripe.com/billing/subscriptions/overview"""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from dateutil.relativedelta import relativedelta

from local.stripe import invoices, lines, payments
from local.stripe.errors import ApiError, invalid
from local.stripe.store import Object, Store

DAY: Final = 24 * 3600
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


def begin(store: Store, subscription: Object, method: str | None = None) -> Object:
    """By the API: incomplete until its first invoice is paid, by this payment method or the customer's own."""
    trial = subscription["status"] == "trialing"
    if not trial:
        subscription["status"] = "incomplete"
    tell_created(store, subscription)
    invoice = invoices.create_invoice(store, subscription, "subscription_create", "free" if trial else "charged")
    with suppress(ApiError):
        invoices.pay_invoice(store, invoice, method)
    return subscription


def tell_created(store: Store, subscription: Object) -> None:
    store.emit("customer.subscription.created", subscription)
    if subscription["status"] == "trialing" and subscription["trial_end"] - store.now() <= TRIAL_NOTICE:
        notice_trial(store, subscription)


def notice_trial(store: Store, subscription: Object) -> None:
    """Three days before its end, or at once when it is shorter."""
    subscription["_trial_noticed"] = True
    store.emit("customer.subscription.trial_will_end", subscription)


def renew(store: Store, subscription: Object, method: str | None = None, *, later: bool = False) -> Object:
    """The next period begins. Its invoice is paid at once, or is a draft for an hour (`later`), as at Stripe.

    Returns the invoice, or the subscription when its trial ended in a pause or its end.
    """
    _check_live(subscription)
    if subscription["status"] == "trialing" and not method and _ends_for_want_of_payment(store, subscription):
        return subscription
    for item in subscription["items"]["data"]:
        start = item["current_period_end"]
        item |= {"current_period_start": start, "current_period_end": after(start, item["price"])}
    if subscription["status"] == "trialing":
        subscription["status"] = "active"
    store.emit("customer.subscription.updated", subscription)
    customer = subscription["customer"]
    finalized_at = store.now() + invoices.HOUR
    invoice = invoices.create_draft(
        store, customer, "subscription_cycle", subscription, automatically_finalizes_at=finalized_at
    )
    if not later:
        invoices.finalize(store, invoice)
        with suppress(ApiError):
            invoices.pay_invoice(store, invoice, method, automatic=True)
    return invoice


def _ends_for_want_of_payment(store: Store, subscription: Object) -> bool:
    """A trial's end without a payment method: what `trial_settings` say. Whether that leaves nothing to renew."""
    customer = store.get("customer", subscription["customer"])
    saved = subscription["default_payment_method"] or customer["invoice_settings"]["default_payment_method"]
    behavior = ((subscription["trial_settings"] or {}).get("end_behavior") or {}).get("missing_payment_method")
    if saved or behavior not in ("pause", "cancel"):
        return False
    if behavior == "cancel":
        cancel_subscription(store, subscription)
    else:
        set_status(store, subscription, "paused")
    return True


def update_subscription(store: Store, subscription: Object, form: Object) -> Object:
    """`form`: what `POST /v1/subscriptions/{id}` takes. Raises `ApiError`."""
    _check_live(subscription)
    behavior = form.get("proration_behavior", "create_prorations")
    changes = enumerate(form.get("items", []))
    restarts = [_change_item(store, subscription, change, n, prorates=behavior != "none") for n, change in changes]
    if "cancel_at_period_end" in form:
        ends = form["cancel_at_period_end"]
        end = subscription["items"]["data"][0]["current_period_end"]
        subscription |= {"cancel_at_period_end": ends, "cancel_at": end if ends else None}
        subscription["canceled_at"] = store.now() if ends else None
    if "cancel_at" in form:
        moment = form["cancel_at"] or None
        subscription |= {"cancel_at": moment, "cancel_at_period_end": False}
        subscription["canceled_at"] = store.now() if moment else None
    if form.get("default_payment_method"):
        method = payments.payment_method(store, form["default_payment_method"], subscription["customer"])
        subscription["default_payment_method"] = method["id"]
    if form.get("trial_end") == "now" and subscription["status"] == "trialing":
        return _end_trial(store, subscription)
    merge(subscription, {"metadata": form.get("metadata", {}), "description": form.get("description")})
    store.emit("customer.subscription.updated", subscription)
    if any(restarts):
        _invoice_now(store, subscription, "charged")
    elif behavior == "always_invoice" and store.all("invoiceitem", invoice=None, _subscription=subscription["id"]):
        _invoice_now(store, subscription, "none")
    return subscription


def merge(thing: Object, fields: Object) -> None:
    """Sets what is given; in metadata, an empty value takes the key away."""
    for name, value in fields.items():
        if name == "metadata":
            kept = thing["metadata"] | (value or {})
            thing["metadata"] = {key: text for key, text in kept.items() if text != ""} if value != "" else {}
        elif value is not None:
            thing[name] = value


def _change_item(store: Store, subscription: Object, change: Object, n: int, *, prorates: bool) -> bool:
    """Whether a new period begins with it: that of another price, each month instead of each year, say."""
    items = subscription["items"]["data"]
    item = next((i for i in items if i["id"] == change.get("id")), None)
    if item is None:
        raise invalid("The item does not belong to the subscription.", f"items[{n}][id]")
    price = store.named("price", change["price"], f"items[{n}][price]") if "price" in change else item["price"]
    quantity = change.get("quantity", item["quantity"])
    trial = subscription["status"] == "trialing"
    restarts = price["recurring"] != item["price"]["recurring"] and not trial
    if prorates and not trial:
        lines.prorate(store, subscription, item, price, 0 if restarts else quantity)
    item |= {"price": price, "quantity": quantity}
    if restarts:
        now = store.now()
        item |= {"current_period_start": now, "current_period_end": after(now, price)}
        subscription["billing_cycle_anchor"] = now
    return restarts


def _end_trial(store: Store, subscription: Object) -> Object:
    subscription["trial_end"] = store.now()
    for item in subscription["items"]["data"]:
        item["current_period_end"] = store.now()
    renew(store, subscription)
    return subscription


def _invoice_now(store: Store, subscription: Object, period: invoices.Period) -> None:
    invoice = invoices.create_invoice(store, subscription, "subscription_update", period)
    with suppress(ApiError):
        invoices.pay_invoice(store, invoice)


def cancel_subscription(store: Store, subscription: Object, **details: Any) -> Object:
    _check_live(subscription)
    now = store.now()
    subscription |= {"status": "canceled", "canceled_at": now, "ended_at": now, **details}
    store.emit("customer.subscription.deleted", subscription)
    return subscription


def expire(store: Store, subscription: Object) -> Object:
    """Its first invoice was not paid within a day."""
    subscription |= {"status": "incomplete_expired", "ended_at": store.now()}
    store.emit("customer.subscription.updated", subscription)
    for invoice in store.all("invoice", status="open"):
        if invoices.subscription_of(store, invoice) is subscription:
            invoices.close_invoice(store, invoice, "void")
    return subscription


def set_status(store: Store, subscription: Object, status: str) -> Object:
    """What Stripe's settings or a person at Stripe make of it: paused, unpaid, active again."""
    _check_live(subscription)
    subscription["status"] = status
    names = {"paused": "customer.subscription.paused"}
    store.emit(names.get(status, "customer.subscription.updated"), subscription)
    return subscription


def _check_live(subscription: Object) -> None:
    if subscription["status"] in ENDED:
        raise invalid(f"The subscription is {subscription['status']}.", code="resource_missing")
