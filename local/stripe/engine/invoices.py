"""Invoices: their lines, their payment methods, and their end. https://docs.stripe.com/invoicing/overview

`collecting.py` applies the result of a charge.
"""

from typing import Any, Literal

from local.stripe.engine import discounts, lines, payments
from local.stripe.engine.store import Object, Store
from local.stripe.errors import invalid

type Period = Literal["charged", "free", "none"]


# -- creation


def create_draft(
    store: Store,
    customer: str,
    reason: str,
    subscription: Object | None = None,
    period: Period = "charged",
    **values: Any,
) -> Object:
    """Creates a draft with the customer's pending items.

    With a subscription, it also has the period that begins now. `free`: the period is a trial.
    """
    owner = store.named("customer", customer, "customer")
    invoice = store.create("invoice", customer=customer, status="draft", billing_reason=reason)
    invoice |= {"currency": "usd", "period_start": store.now(), "period_end": store.now()}
    if subscription:
        invoice |= _of_subscription(subscription)
        subscription["latest_invoice"] = invoice["id"]
    invoice |= {"issuer": {"type": "self"}, "customer_email": owner["email"], "customer_name": owner["name"], **values}
    data = [lines.of_item(invoice, item) for item in _pending(store, customer, subscription)]
    if subscription and period != "none":
        items = subscription["items"]["data"]
        data += [lines.of_period(invoice, item, free=period == "free") for item in items]
    invoice["lines"] = {"object": "list", "data": data, "has_more": False, "url": f"/v1/invoices/{invoice['id']}/lines"}
    if subscription:
        invoice["discounts"] += discounts.active(store, subscription)
    _add_up(store, invoice)
    if subscription:
        discounts.spend(store, subscription, invoice)
    store.emit("invoice.created", invoice)
    return invoice


def _of_subscription(subscription: Object) -> Object:
    details = {"subscription": subscription["id"], "metadata": subscription["metadata"]}
    item = subscription["items"]["data"][0]
    return {
        "auto_advance": True,
        "currency": subscription["currency"],
        "parent": {"type": "subscription_details", "quote_details": None, "subscription_details": details},
        "period_start": item["current_period_start"],
        "period_end": item["current_period_end"],
    }


def _pending(store: Store, customer: str, subscription: Object | None) -> list[Object]:
    waiting = store.all("invoiceitem", customer=customer, invoice=None)
    of = {None, subscription["id"]} if subscription else {None}
    return [item for item in waiting if item["_subscription"] in of]


def _add_up(store: Store, invoice: Object) -> None:
    """Sets the amounts. A negative balance of the customer is a credit, which pays before a card."""
    balance = store.get("customer", invoice["customer"])["balance"]
    discounts.reduce(store, invoice)
    subtotal = sum(line["amount"] for line in invoice["lines"]["data"])
    total = subtotal - sum(one["amount"] for one in invoice["total_discount_amounts"])
    due = max(0, total + balance)
    invoice |= {"subtotal": subtotal, "total": total, "amount_due": due, "amount_remaining": due}
    invoice |= {"starting_balance": balance, "ending_balance": min(0, total + balance)}


def add_item(store: Store, invoice: Object, item: Object) -> None:
    """Adds a line to a draft."""
    check_status(invoice, "draft")
    invoice["lines"]["data"].insert(0, lines.of_item(invoice, item))
    _add_up(store, invoice)
    store.emit("invoice.updated", invoice)


def finalize(store: Store, invoice: Object) -> Object:
    check_status(invoice, "draft")
    store.get("customer", invoice["customer"])["balance"] = invoice["ending_balance"]
    moments = {"finalized_at": store.now(), "marked_uncollectible_at": None, "paid_at": None, "voided_at": None}
    invoice |= {
        "status": "open",
        "number": f"LOCAL-{sum(one['number'] is not None for one in store.all('invoice')) + 1:04}",
        "hosted_invoice_url": f"{store.public_url}/i/{invoice['id']}",
        "invoice_pdf": f"{store.public_url}/i/{invoice['id']}/pdf",
        "automatically_finalizes_at": None,
        "effective_at": store.now(),
        "status_transitions": moments,
    }
    if invoice["amount_due"]:
        # An invoice's PaymentIntent names it. Seen in recorded payloads; the field's own description tells of orders:
        # https://docs.stripe.com/api/payment_intents/object#payment_intent_object-payment_details-order_reference
        details = {"customer_reference": None, "order_reference": invoice["id"]}
        known = {"customer": invoice["customer"], "payment_details": details}
        tie(store, invoice, payments.create_intent(store, invoice["amount_due"], invoice["currency"], **known), True)
    store.emit("invoice.finalized", invoice)
    return invoice


def tie(store: Store, invoice: Object, intent: Object, default: bool) -> Object:  # noqa: FBT001 - like `is_default`
    """Attaches a PaymentIntent to the invoice. When it succeeds, the invoice is paid."""
    return store.create(
        "invoice_payment",
        invoice=invoice["id"],
        amount_requested=intent["amount"],
        amount_paid=None,
        currency=invoice["currency"],
        is_default=default,
        payment={"type": "payment_intent", "payment_intent": intent["id"]},
        status="open",
        status_transitions={"canceled_at": None, "paid_at": None},
    )


def create_invoice(store: Store, subscription: Object, reason: str, period: Period = "charged") -> Object:
    """Creates a subscription's next invoice and finalizes it, so that it can be paid."""
    return finalize(store, create_draft(store, subscription["customer"], reason, subscription, period))


# -- the objects that belong to an invoice


def subscription_of(store: Store, invoice: Object) -> Object | None:
    details = (invoice["parent"] or {}).get("subscription_details")
    return store.get("subscription", details["subscription"]) if details else None


def payment_of(store: Store, invoice: Object) -> Object | None:
    return next((p for p in store.all("invoice_payment", invoice=invoice["id"]) if p["is_default"]), None)


def intent_of(store: Store, invoice: Object) -> Object | None:
    payment = payment_of(store, invoice)
    return store.get("payment_intent", payment["payment"]["payment_intent"]) if payment else None


def method_of(store: Store, invoice: Object) -> str | None:
    """The payment method that Stripe charges by itself: the invoice's, else the subscription's, else the customer's."""
    subscription = subscription_of(store, invoice)
    customer = store.get("customer", invoice["customer"])
    saved: str | None = (
        invoice["default_payment_method"]
        or (subscription and subscription["default_payment_method"])
        or customer["invoice_settings"]["default_payment_method"]
        or customer.get("default_source")
    )
    return saved


# -- the end


def close_invoice(store: Store, invoice: Object, status: str) -> Object:
    """`status`: void or uncollectible."""
    check_status(invoice, "open", "uncollectible")
    intent = intent_of(store, invoice)
    if intent and intent["status"] == "processing":
        raise invalid("A payment of this invoice is being processed.", code="invoice_payment_intent_requires_action")
    invoice |= {"status": status, "next_payment_attempt": None}
    name = {"void": "voided_at", "uncollectible": "marked_uncollectible_at"}[status]
    invoice["status_transitions"][name] = store.now()
    store.emit({"void": "invoice.voided", "uncollectible": "invoice.marked_uncollectible"}[status], invoice)
    return invoice


def delete_draft(store: Store, invoice: Object) -> Object:
    check_status(invoice, "draft")
    for item in store.all("invoiceitem", invoice=invoice["id"]):
        item["invoice"] = None
    store.emit("invoice.deleted", invoice)
    return store.delete(invoice)


def check_status(invoice: Object, *statuses: str) -> None:
    if invoice["status"] not in statuses:
        raise invalid(f"Invoice is {invoice['status']}, which does not allow that.", code="invoice_not_open")
