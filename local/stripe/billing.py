"""What Stripe does when things happen: one function a happening, with the events that follow, in Stripe's order."""

from typing import Any, Final

from local.stripe.errors import declined, invalid
from local.stripe.store import Object, Store, new_id

MONTH: Final = 30 * 24 * 3600
RETRY_AFTER: Final = 3 * 24 * 3600

# Test cards that fail. https://docs.stripe.com/testing#declined-payments
DECLINED: Final = {
    "pm_card_chargeDeclined": "generic_decline",
    "pm_card_visa_chargeDeclined": "generic_decline",
    "pm_card_chargeCustomerFail": "generic_decline",
    "pm_card_chargeDeclinedInsufficientFunds": "insufficient_funds",
}


# -- checkout


def complete_checkout(store: Store, session: Object, outcome: str) -> Object:
    """`outcome`: paid, or processing (a bank debit: settled later by `settle_checkout`)."""
    if session["status"] != "open":
        raise invalid(f"The Checkout Session is {session['status']}.")
    data = session.pop("_subscription_data")
    price = store.get("price", session.pop("_price"))
    trial_days = int(data.get("trial_period_days", 0))
    subscription = create_subscription(store, session["customer"], price, data.get("metadata", {}), trial_days)
    invoice = create_invoice(store, subscription, "subscription_create", amount=0 if trial_days else None)
    processing = outcome == "processing" and not trial_days
    session |= {
        "status": "complete",
        "payment_status": "no_payment_required" if trial_days else "unpaid" if processing else "paid",
        "subscription": subscription["id"],
        "invoice": invoice["id"],
        "url": None,
        "amount_total": invoice["total"],
    }
    store.emit("checkout.session.completed", session)
    store.emit("customer.subscription.created", subscription)
    store.emit("invoice.finalized", invoice)
    if not processing:
        pay_invoice(store, invoice, "pm_card_visa")
    return session


def settle_checkout(store: Store, session: Object, outcome: str) -> Object:
    """The bank's answer to a processing checkout: paid or failed."""
    if session["payment_status"] != "unpaid" or session["status"] != "complete":
        raise invalid("The Checkout Session does not wait for a payment.")
    invoice = store.get("invoice", session["invoice"])
    if outcome == "paid":
        session["payment_status"] = "paid"
        store.emit("checkout.session.async_payment_succeeded", session)
        pay_invoice(store, invoice, "pm_card_visa")
    else:
        store.emit("checkout.session.async_payment_failed", session)
        fail_invoice(store, invoice)
    return session


def expire_checkout(store: Store, session: Object) -> Object:
    if session["status"] != "open":
        raise invalid('Only Checkout Sessions with a status in ["open"] can be expired.')
    session |= {"status": "expired", "url": None}
    store.emit("checkout.session.expired", session)
    return session


# -- subscriptions


def create_subscription(store: Store, customer: str, price: Object, metadata: Object, trial_days: int) -> Object:
    subscription = store.create(
        "subscription",
        customer=customer,
        currency=price["currency"],
        metadata=metadata,
        status="trialing" if trial_days else "active",
    )
    start = subscription["created"]
    end = start + (trial_days * 24 * 3600 or MONTH)
    item = store.create(
        "subscription_item",
        price=price,
        quantity=1,
        subscription=subscription["id"],
        current_period_start=start,
        current_period_end=end,
    )
    subscription["items"] |= {"data": [item], "url": f"/v1/subscription_items?subscription={subscription['id']}"}
    subscription |= {"start_date": start, "billing_cycle_anchor": start}
    if trial_days:
        subscription |= {"trial_start": start, "trial_end": end}
    return subscription


def renew(store: Store, subscription: Object, outcome: str) -> Object:
    """The next period begins; its invoice is paid or failed."""
    _check_live(subscription)
    for item in subscription["items"]["data"]:
        item |= {
            "current_period_start": item["current_period_end"],
            "current_period_end": item["current_period_end"] + MONTH,
        }
    if subscription["status"] == "trialing":
        subscription["status"] = "active"
    store.emit("customer.subscription.updated", subscription)
    invoice = create_invoice(store, subscription, "subscription_cycle")
    store.emit("invoice.finalized", invoice)
    if outcome == "paid":
        pay_invoice(store, invoice, "pm_card_visa")
    else:
        fail_invoice(store, invoice)
    return invoice


def update_subscription(store: Store, subscription: Object, form: Object) -> Object:
    _check_live(subscription)
    for change in form.get("items", []):
        item = next((i for i in subscription["items"]["data"] if i["id"] == change.get("id")), None)
        if item is None:
            raise invalid("The item does not belong to the subscription.", "items[0][id]")
        if "price" in change:
            item["price"] = store.get("price", change["price"])
        if "quantity" in change:
            item["quantity"] = int(change["quantity"])
    if "cancel_at_period_end" in form:
        ends = form["cancel_at_period_end"] == "true"
        end = subscription["items"]["data"][0]["current_period_end"]
        subscription |= {"cancel_at_period_end": ends, "cancel_at": end if ends else None}
    subscription["metadata"] |= form.get("metadata", {})
    store.emit("customer.subscription.updated", subscription)
    return subscription


def cancel_subscription(store: Store, subscription: Object) -> Object:
    _check_live(subscription)
    now = store.now()
    subscription |= {"status": "canceled", "canceled_at": now, "ended_at": now}
    store.emit("customer.subscription.deleted", subscription)
    return subscription


def _check_live(subscription: Object) -> None:
    if subscription["status"] in ("canceled", "incomplete_expired"):
        raise invalid(f"The subscription is {subscription['status']}.")


# -- invoices


def create_invoice(store: Store, subscription: Object, reason: str, amount: int | None = None) -> Object:
    item = subscription["items"]["data"][0]
    total = item["price"]["unit_amount"] * item["quantity"] if amount is None else amount
    invoice = store.create(
        "invoice",
        customer=subscription["customer"],
        currency=subscription["currency"],
        status="open",
        billing_reason=reason,
        auto_advance=True,
        amount_due=total,
        amount_remaining=total,
        subtotal=total,
        total=total,
        period_start=item["current_period_start"],
        period_end=item["current_period_end"],
        parent={
            "type": "subscription_details",
            "quote_details": None,
            "subscription_details": {"subscription": subscription["id"], "metadata": subscription["metadata"]},
        },
    )
    invoice |= {
        "number": f"LOCAL-{len(store.all('invoice')):04}",
        "hosted_invoice_url": f"https://invoice.stripe.com/i/{invoice['id']}",
        "invoice_pdf": f"https://pay.stripe.com/invoice/{invoice['id']}/pdf",
        "status_transitions": {
            "finalized_at": invoice["created"],
            "marked_uncollectible_at": None,
            "paid_at": None,
            "voided_at": None,
        },
    }
    invoice["lines"] |= {"data": [_line(invoice, item)], "url": f"/v1/invoices/{invoice['id']}/lines"}
    if total:
        intent = create_intent(store, total, invoice["currency"], customer=invoice["customer"])
        payment = {"type": "payment_intent", "payment_intent": intent["id"]}
        store.create(
            "invoice_payment",
            invoice=invoice["id"],
            amount_requested=total,
            amount_paid=None,
            currency=invoice["currency"],
            is_default=True,
            payment=payment,
            status="open",
        )
    return invoice


def _line(invoice: Object, item: Object) -> Object:
    price = item["price"]
    return {
        "id": new_id("il"),
        "object": "line_item",
        "amount": invoice["total"],
        "currency": invoice["currency"],
        "description": "Subscription",
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": invoice["id"],
        "livemode": False,
        "metadata": {},
        "parent": {
            "type": "subscription_item_details",
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": None,
                "proration": False,
                "proration_details": {"credited_items": None},
                "subscription": item["subscription"],
                "subscription_item": item["id"],
            },
        },
        "period": {"start": invoice["period_start"], "end": invoice["period_end"]},
        "pretax_credit_amounts": [],
        "pricing": {
            "type": "price_details",
            "price_details": {"price": price["id"], "product": price["product"]},
            "unit_amount_decimal": str(price["unit_amount"]),
        },
        "quantity": item["quantity"],
        "subtotal": invoice["total"],
        "taxes": [],
    }


def payment_of(store: Store, invoice: Object) -> Object | None:
    return next(iter(store.all("invoice_payment", invoice=invoice["id"])), None)


def pay_invoice(store: Store, invoice: Object, payment_method: str) -> Object:
    if invoice["status"] not in ("open", "uncollectible"):
        raise invalid(f"Invoice is {invoice['status']}.", code="invoice_not_open")
    if payment_method in DECLINED:
        raise declined(fail_invoice(store, invoice))
    payment = payment_of(store, invoice)
    if payment:
        intent = store.get("payment_intent", payment["payment"]["payment_intent"])
        confirm_intent(store, intent, payment_method)
    else:
        mark_paid(store, invoice, None)
    return invoice


def mark_paid(store: Store, invoice: Object, payment: Object | None) -> None:
    invoice |= {
        "status": "paid",
        "attempted": True,
        "attempt_count": max(1, invoice["attempt_count"]) if invoice["total"] else 0,
        "amount_paid": invoice["amount_due"],
        "amount_remaining": 0,
        "next_payment_attempt": None,
    }
    invoice["status_transitions"]["paid_at"] = store.now()
    store.emit("invoice.paid", invoice)
    store.emit("invoice.payment_succeeded", invoice)
    if payment:
        payment |= {"status": "paid", "amount_paid": invoice["amount_paid"]}
        payment["status_transitions"] = {"canceled_at": None, "paid_at": store.now()}
        store.emit("invoice_payment.paid", payment)
    _move_subscription(store, invoice, {"past_due", "unpaid", "incomplete"}, "active")


def fail_invoice(store: Store, invoice: Object) -> Object:
    """The charge fails: the invoice stays open, to be tried again, and its subscription is past due."""
    payment = payment_of(store, invoice)
    if payment is None:
        raise invalid("Nothing is due on this invoice.")
    intent = store.get("payment_intent", payment["payment"]["payment_intent"])
    fail_intent(store, intent, "pm_card_chargeCustomerFail")
    now = store.now()
    count = invoice["attempt_count"] + 1
    invoice |= {"attempted": True, "attempt_count": count, "next_payment_attempt": now + RETRY_AFTER}
    store.emit("invoice.payment_failed", invoice)
    _move_subscription(store, invoice, {"active", "trialing"}, "past_due")
    return intent


def close_invoice(store: Store, invoice: Object, status: str) -> Object:
    """`status`: void or uncollectible."""
    if invoice["status"] not in ("open", "uncollectible"):
        raise invalid(f"Invoice is {invoice['status']}.", code="invoice_not_open")
    invoice |= {"status": status, "next_payment_attempt": None}
    store.emit({"void": "invoice.voided", "uncollectible": "invoice.marked_uncollectible"}[status], invoice)
    return invoice


def _move_subscription(store: Store, invoice: Object, before: set[str], status: str) -> None:
    subscription = store.get("subscription", invoice["parent"]["subscription_details"]["subscription"])
    if subscription["status"] in before:
        subscription["status"] = status
        store.emit("customer.subscription.updated", subscription)


# -- PaymentIntents


def create_intent(store: Store, amount: int, currency: str, **values: Any) -> Object:
    intent = store.create(
        "payment_intent",
        amount=amount,
        amount_capturable=0,
        amount_received=0,
        capture_method="automatic_async",
        confirmation_method="automatic",
        currency=currency,
        payment_method_types=["card"],
        metadata={},
        status="requires_payment_method",
    )
    intent |= {"client_secret": f"{intent['id']}_secret_{new_id('x')[2:]}", **values}
    return intent


def confirm_intent(store: Store, intent: Object, payment_method: str) -> Object:
    if intent["status"] not in ("requires_payment_method", "requires_confirmation", "requires_action"):
        message = f"This PaymentIntent's status is {intent['status']}."
        raise invalid(message, code="payment_intent_unexpected_state")
    if payment_method in DECLINED:
        raise declined(fail_intent(store, intent, payment_method))
    charge = store.create(
        "charge",
        amount=intent["amount"],
        amount_captured=intent["amount"],
        captured=True,
        currency=intent["currency"],
        customer=intent["customer"],
        paid=True,
        payment_intent=intent["id"],
        status="succeeded",
    )
    intent |= {
        "status": "succeeded",
        "amount_received": intent["amount"],
        "latest_charge": charge["id"],
        "last_payment_error": None,
    }
    store.emit("payment_intent.succeeded", intent)
    for payment in store.all("invoice_payment", status="open"):
        if payment["payment"].get("payment_intent") == intent["id"]:
            mark_paid(store, store.get("invoice", payment["invoice"]), payment)
    return intent


def fail_intent(store: Store, intent: Object, payment_method: str) -> Object:
    intent |= {
        "status": "requires_payment_method",
        "last_payment_error": {
            "type": "card_error",
            "code": "card_declined",
            "decline_code": DECLINED[payment_method],
            "message": "Your card was declined.",
        },
    }
    store.emit("payment_intent.payment_failed", intent)
    return intent


def cancel_intent(store: Store, intent: Object) -> Object:
    if intent["status"] in ("succeeded", "canceled"):
        message = f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}."
        raise invalid(message, code="payment_intent_unexpected_state")
    intent |= {"status": "canceled", "canceled_at": store.now()}
    store.emit("payment_intent.canceled", intent)
    return intent
