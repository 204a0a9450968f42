"""Begins, renews and changes the periods of a subscription, and makes their invoices.

https://docs.stripe.com/billing/subscriptions/billing-cycle
"""

from contextlib import suppress

from local.stripe.engine import collecting, discounts, invoices, lines, payments, schedules
from local.stripe.engine.objects import merge
from local.stripe.engine.store import HOUR, Object, Store
from local.stripe.engine.subscriptions import (
    after,
    cancel_subscription,
    check_live,
    saved_method,
    set_status,
    tell_created,
)
from local.stripe.errors import ApiError, invalid


def begin(store: Store, subscription: Object, method: str | None = None) -> Object:
    """Begins a subscription that the API created.

    It is incomplete until its first invoice is paid, with this payment method or with the saved one.
    """
    trial = subscription["status"] == "trialing"
    if not trial:
        subscription["status"] = "incomplete"
    tell_created(store, subscription)
    invoice = invoices.create_invoice(store, subscription, "subscription_create", "free" if trial else "charged")
    with suppress(ApiError):
        collecting.pay_invoice(store, invoice, method)
    return subscription


def renew(store: Store, subscription: Object, method: str | None = None, *, later: bool = False) -> Object:
    """Begins the next period and charges its invoice at once. With `later`, the invoice stays a draft for an hour.

    Stripe keeps the draft for an hour too. Returns the invoice, or the subscription if the end of its trial paused or
    canceled it.
    """
    check_live(subscription)
    if subscription["status"] == "trialing" and not method and _ends_for_want_of_payment(store, subscription):
        return subscription
    schedules.begin_next_phase(store, subscription)
    for item in subscription["items"]["data"]:
        start = item["current_period_end"]
        item |= {"current_period_start": start, "current_period_end": after(start, item["price"])}
    if subscription["status"] == "trialing":
        subscription["status"] = "active"
    customer = subscription["customer"]
    finalized_at = store.now() + HOUR
    invoice = invoices.create_draft(
        store, customer, "subscription_cycle", subscription, automatically_finalizes_at=finalized_at
    )
    # The draft comes first, by Stripe's own answer that is copied at https://cbabhusal.wordpress.com/tag/stripe/
    store.emit("customer.subscription.updated", subscription)
    pause = subscription["pause_collection"]
    if pause and pause["behavior"] == "keep_as_draft":
        invoice |= {"auto_advance": False, "automatically_finalizes_at": None}
        return invoice
    if not later:
        invoices.finalize(store, invoice)
        if close_if_paused(store, invoice):
            return invoice
        with suppress(ApiError):
            collecting.pay_invoice(store, invoice, method, automatic=True)
    return invoice


def close_if_paused(store: Store, invoice: Object) -> bool:
    """Voids an invoice, or marks it as uncollectible, if the collection of its subscription is paused so."""
    subscription = invoices.subscription_of(store, invoice)
    pause = subscription and subscription["pause_collection"]
    if not pause or invoice["status"] != "open":
        return False
    ends = {"void": "void", "mark_uncollectible": "uncollectible"}[pause["behavior"]]
    invoices.close_invoice(store, invoice, ends)
    return True


def _ends_for_want_of_payment(store: Store, subscription: Object) -> bool:
    """Applies `trial_settings` at the end of a trial without a payment method.

    Returns True if this paused or canceled the subscription, so that there is nothing to renew.
    """
    behavior = ((subscription["trial_settings"] or {}).get("end_behavior") or {}).get("missing_payment_method")
    if saved_method(store, subscription) or behavior not in ("pause", "cancel"):
        return False
    if behavior == "cancel":
        cancel_subscription(store, subscription)
    else:
        set_status(store, subscription, "paused")
    return True


def update_subscription(store: Store, subscription: Object, form: Object) -> Object:
    """`form`: the parameters of `POST /v1/subscriptions/{id}`. Raises `ApiError`."""
    check_live(subscription)
    if subscription["schedule"] and {"cancel_at", "cancel_at_period_end"} & form.keys():
        # https://docs.stripe.com/billing/subscriptions/subscription-schedules#canceling-subscription
        raise invalid("The subscription is managed by a subscription schedule: update the schedule.")
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
    if "pause_collection" in form:
        pause = form["pause_collection"] or None
        subscription["pause_collection"] = pause and {"resumes_at": None, **pause}
    if "discounts" in form:
        discounts.put(store, subscription, form["discounts"] or [])
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


def recurring_price(store: Store, price_id: str, n: int) -> Object:
    """The price of the n-th item. Raises `ApiError` for a price that is paid once: a subscription cannot use it."""
    param = f"items[{n}][price]"
    price = store.named("price", price_id, param)
    if not price["recurring"]:
        raise invalid("The price specified is set to `type=one_time` but this field only accepts recurring.", param)
    return price


def _change_item(store: Store, subscription: Object, change: Object, n: int, *, prorates: bool) -> bool:
    """Changes the item. Returns whether a new period begins now.

    This happens if the new price has another interval, such as a month instead of a year.
    """
    items = subscription["items"]["data"]
    item = next((i for i in items if i["id"] == change.get("id")), None)
    if item is None:
        raise invalid("The item does not belong to the subscription.", f"items[{n}][id]")
    price = recurring_price(store, change["price"], n) if "price" in change else item["price"]
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
        collecting.pay_invoice(store, invoice)


def expire(store: Store, subscription: Object) -> Object:
    """Ends a subscription whose first invoice was not paid within 23 hours."""
    subscription |= {"status": "incomplete_expired", "ended_at": store.now()}
    store.emit("customer.subscription.updated", subscription)
    for invoice in store.all("invoice", status="open"):
        if invoices.subscription_of(store, invoice) is subscription:
            invoices.close_invoice(store, invoice, "void")
    return subscription
