"""Stripe's API: subscriptions, invoices and invoice items."""

from typing import Final

from local.stripe.api.lists import paged
from local.stripe.engine import collecting, discounts, invoices, lines, payments, periods, subscriptions
from local.stripe.engine.objects import Operation, change, merge, needed, on
from local.stripe.engine.store import DAY, HOUR, Object, Store
from local.stripe.errors import invalid, missing


def _create_subscription(store: Store, form: Object, _: str) -> Object:
    customer = store.named("customer", needed(form, "customer"), "customer")
    item = needed(form, "items")[0]
    price = periods.recurring_price(store, needed(item, "price"), 0)
    discounts.check(store, form.get("discounts") or [], price["currency"], customer["id"])
    days, quantity = form.get("trial_period_days", 0), item.get("quantity", 1)
    made = subscriptions.create_subscription(store, customer["id"], price, {}, days, quantity)
    merge(made, {"metadata": form.get("metadata", {}), "description": form.get("description")})
    if form.get("default_payment_method"):
        method = payments.payment_method(store, form["default_payment_method"], customer["id"])
        made["default_payment_method"] = method["id"]
    made["trial_settings"] = form.get("trial_settings", {"end_behavior": {"missing_payment_method": "create_invoice"}})
    if form.get("cancel_at_period_end"):
        made |= {"cancel_at_period_end": True, "cancel_at": made["items"]["data"][0]["current_period_end"]}
    _check_payable(store, made, form)
    made["test_clock"] = customer.get("test_clock")
    discounts.put(store, made, form.get("discounts") or [])
    return periods.begin(store, made)


def _check_payable(store: Store, subscription: Object, form: Object) -> None:
    """Raises `ApiError` if the customer has no payment method for the subscription.

    Stripe accepts such a subscription only as a trial or if the request says that it may wait for a payment.
    """
    waits = subscription["status"] == "trialing" or form.get("payment_behavior") == "default_incomplete"
    if waits or subscriptions.saved_method(store, subscription):
        return
    for item in subscription["items"]["data"]:
        store.delete(item)
    store.delete(subscription)
    message = "This customer has no attached payment source or default payment method."
    raise invalid(f"{message} Please consider adding a default payment method.", code="resource_missing")


def _update_subscription(store: Store, form: Object, id: str) -> Object:
    subscription = store.get("subscription", id)
    if subscription["status"] not in subscriptions.ENDED:
        return periods.update_subscription(store, subscription, form)
    if form.keys() - {"cancellation_details", "metadata"}:
        # https://github.com/fjordllc/bootcamp/issues/10390
        raise invalid("A canceled subscription can only update its cancellation_details and metadata.")
    return change(store, "subscription", subscription, form)


def _cancel_subscription(store: Store, form: Object, id: str) -> Object:
    subscription = store.get("subscription", id)
    if subscription["status"] in subscriptions.ENDED:  # as if it were not there: stripe-go/issues/1887, and with the
        raise missing("subscription", id)  # status 404 in https://github.com/santiment/sanbase2/pull/2350
    details = {"comment": None, "feedback": None, "reason": "cancellation_requested"}
    details |= form.get("cancellation_details", {})
    return subscriptions.cancel_subscription(store, subscription, cancellation_details=details)


def _create_invoiceitem(store: Store, form: Object, _: str) -> Object:
    customer = store.named("customer", needed(form, "customer"), "customer")
    price = form.get("pricing", {}).get("price")
    quantity = form.get("quantity", 1)
    if price:
        of = store.named("price", price, "pricing[price]")
        amount, currency = of["unit_amount"] * quantity, of["currency"]
    else:
        amount, currency = form.get("amount", 0), form.get("currency", "usd")
    known = {"quantity": quantity, "description": form.get("description"), "metadata": form.get("metadata", {})}
    known["discountable"] = form.get("discountable", True)
    item = lines.pend(store, customer["id"], amount, currency, _subscription=form.get("subscription"), **known)
    if "invoice" in form:
        invoices.add_item(store, store.named("invoice", form["invoice"], "invoice"), item)
    return item


def _delete_invoiceitem(store: Store, _: Object, id: str) -> Object:
    item = store.get("invoiceitem", id)
    if item["invoice"]:
        raise invalid("This invoice item is on an invoice.")
    store.emit("invoiceitem.deleted", item)
    return store.delete(item)


def _create_invoice(store: Store, form: Object, _: str) -> Object:
    customer = needed(form, "customer")
    names = ("auto_advance", "collection_method", "description", "due_date", "currency", "metadata", "footer")
    values = {name: form[name] for name in names if name in form}
    if "days_until_due" in form:
        values["due_date"] = store.now() + form["days_until_due"] * DAY
    if form.get("auto_advance"):
        values["automatically_finalizes_at"] = store.now() + HOUR
    of = store.named("subscription", form["subscription"], "subscription") if "subscription" in form else None
    if form.get("discounts"):
        owner = {"customer": customer}
        values["discounts"] = discounts.redeem(store, form["discounts"], form.get("currency", "usd"), **owner)
    return invoices.create_draft(store, customer, "manual", of, "none", **values)


def _list_lines(store: Store, form: Object, id: str) -> Object:
    return paged(store.get("invoice", id)["lines"]["data"], f"/v1/invoices/{id}/lines", form)


def _update_invoice(store: Store, form: Object, id: str) -> Object:
    """A draft that advances by itself is finalized an hour later.

    https://docs.stripe.com/invoicing/integration/automatic-advancement-collection
    """
    invoice = store.get("invoice", id)
    if invoice["status"] == "draft" and "auto_advance" in form:
        invoice["automatically_finalizes_at"] = store.now() + HOUR if form["auto_advance"] else None
    return change(store, "invoice", invoice, form)


def _finalize_invoice(store: Store, form: Object, id: str) -> Object:
    """What was finalized by hand is charged an hour later, if it advances by itself."""
    invoice = invoices.finalize(store, store.get("invoice", id))
    invoice["auto_advance"] = form.get("auto_advance", invoice["auto_advance"])
    if invoice["auto_advance"] and invoice["collection_method"] == "charge_automatically":
        invoice["next_payment_attempt"] = store.now() + HOUR
    return invoice


def _pay_invoice(store: Store, form: Object, id: str) -> Object:
    invoice = store.get("invoice", id)
    if invoice["status"] == "draft":
        invoices.finalize(store, invoice)
    if form.get("paid_out_of_band"):
        return collecting.pay_out_of_band(store, invoice)
    return collecting.pay_invoice(store, invoice, form.get("payment_method"))


def _attach_payment(store: Store, form: Object, id: str) -> Object:
    invoice = store.get("invoice", id)
    intent = store.named("payment_intent", needed(form, "payment_intent"), "payment_intent")
    _check_attachable(invoice, intent)
    invoices.tie(store, invoice, intent, default=False)
    if intent["status"] == "succeeded":
        collecting.paid_by(store, intent)
    return invoice


def _check_attachable(invoice: Object, intent: Object) -> None:
    """https://docs.stripe.com/invoicing/partial-payments: an open invoice, and a payment in its currency."""
    if invoice["status"] != "open":
        raise invalid(f"You can only attach payments to an open invoice. This invoice is {invoice['status']}.")
    if intent["currency"] != invoice["currency"]:
        raise invalid("The PaymentIntent and the invoice have different currencies.", "payment_intent")
    if intent["status"] == "canceled":
        raise invalid("A canceled PaymentIntent cannot pay an invoice.", "payment_intent")


def _send_invoice(store: Store, _: Object, id: str) -> Object:
    invoice = store.get("invoice", id)
    if invoice["status"] == "draft":
        invoices.finalize(store, invoice)
    store.emit("invoice.sent", invoice)
    return invoice


OPERATIONS: Final[tuple[tuple[str, str, Operation], ...]] = (
    ("POST", "/v1/subscriptions", _create_subscription),
    ("POST", "/v1/subscriptions/{subscription_exposed_id}", _update_subscription),
    ("DELETE", "/v1/subscriptions/{subscription_exposed_id}", _cancel_subscription),
    ("POST", "/v1/invoiceitems", _create_invoiceitem),
    ("DELETE", "/v1/invoiceitems/{invoiceitem}", _delete_invoiceitem),
    ("POST", "/v1/invoices", _create_invoice),
    ("DELETE", "/v1/invoices/{invoice}", on("invoice", invoices.delete_draft)),
    ("GET", "/v1/invoices/{invoice}/lines", _list_lines),
    ("POST", "/v1/invoices/{invoice}", _update_invoice),
    ("POST", "/v1/invoices/{invoice}/finalize", _finalize_invoice),
    ("POST", "/v1/invoices/{invoice}/pay", _pay_invoice),
    ("POST", "/v1/invoices/{invoice}/send", _send_invoice),
    ("POST", "/v1/invoices/{invoice}/void", on("invoice", invoices.close_invoice, "void")),
    ("POST", "/v1/invoices/{invoice}/mark_uncollectible", on("invoice", invoices.close_invoice, "uncollectible")),
    ("POST", "/v1/invoices/{invoice}/attach_payment", _attach_payment),
)
