"""Charges a PaymentIntent, and applies the result to the invoice that it pays and to the invoice's subscription.

https://docs.stripe.com/billing/revenue-recovery
"""

from collections.abc import Iterator
from typing import Final

from local.stripe.engine import invoices, payments, schedules, subscriptions
from local.stripe.engine.cards import CARDS, outcome
from local.stripe.engine.store import DAY, Object, Store, new_id
from local.stripe.errors import declined, invalid

# The days from each failure to Stripe's next attempt. After the last attempt, dunning ends. At Stripe, an account can
# set its own days.
RETRY_DAYS: Final = (3, 5, 7)


# -- PaymentIntents


def confirm_intent(store: Store, intent: Object, method: str, *, automatic: bool = False) -> Object:
    """`automatic`: Stripe makes this attempt by itself.

    Raises `ApiError`: 402 when the card is declined, 400 when the PaymentIntent cannot be paid any more.
    """
    payments.check_status(intent, *payments.CONFIRMABLE)
    chosen = payments.payment_method(store, method)
    intent["payment_method"] = chosen["id"]
    counted = _count_attempt(store, intent, automatic=automatic)
    match outcome(chosen["_card"], set_up=chosen.get("_set_up", False), automatic=automatic):
        case "paid" | "unrefundable" if intent["capture_method"] == "manual":
            payments.authorize(store, intent)
        case "paid" | "unrefundable":
            _succeed(store, intent)
        case "disputed" | "inquiry" as later:
            payments.dispute(store, _succeed(store, intent), inquiry=later == "inquiry")
        case "processing" | "refused" as later:
            payments.wait_for_bank(store, intent, pays=later == "processing")
            # "Subscriptions transition to `status=active` when successfully confirming the payment intent on the first
            # invoice", also of a debit: https://docs.stripe.com/api/subscriptions/create#create_subscription-payment_behavior
            for _, invoice in _to_be_paid(store, intent):
                _move_subscription(store, invoice, {"incomplete"}, "active")
        case "action":
            for _, invoice in _to_be_paid(store, intent):
                store.emit("invoice.payment_action_required", invoice)
            payments.ask_customer(store, intent)
            # To Stripe this attempt failed: https://docs.stripe.com/billing/subscriptions/webhooks#action-required
            failed_by(store, intent, counted=counted)
        case code:
            payments.fail_intent(store, intent, code)
            failed_by(store, intent, counted=counted)
            raise declined(intent)
    return intent


def answer_intent(store: Store, intent: Object, *, paid: bool) -> Object:
    """Applies the bank's answer to a waiting PaymentIntent. A bank debit gets it after days, a confirmation at once."""
    payments.check_status(intent, "processing", "requires_action")
    debit = intent["status"] == "processing"
    method = store.find(intent["payment_method"] or "")
    then = CARDS[method["_card"]].then if method and not debit else ""
    if paid and not then:
        if method and intent["customer"]:
            method["_set_up"] = True
        _succeed(store, intent)
        return intent
    if debit or paid:
        payments.fail_intent(store, intent, then or "generic_decline")
    else:
        payments.refuse_confirmation(store, intent)
    failed_by(store, intent, counted=debit and intent["_counted"])
    return intent


def _count_attempt(store: Store, intent: Object, *, automatic: bool) -> bool:
    """Whether the attempt that begins counts. The first one does, whoever makes it; later, only Stripe's own do.

    https://docs.stripe.com/api/invoices/object#invoice_object-attempt_count
    """
    intent["_counted"] = False
    for _, invoice in _to_be_paid(store, intent):
        intent["_counted"] = automatic or not invoice["attempt_count"]
        invoice["attempt_count"] += intent["_counted"]
    return bool(intent["_counted"])


def _succeed(store: Store, intent: Object) -> Object:
    """Charges the intent, marks its invoices as paid, and returns the charge."""
    charge = payments.charge(store, intent)
    paid_by(store, intent)
    return charge


def paid_by(store: Store, intent: Object) -> None:
    """Marks the invoices of a successful PaymentIntent as paid."""
    for payment, invoice in _to_be_paid(store, intent):
        _mark_paid(store, invoice, payment)


def failed_by(store: Store, intent: Object, *, counted: bool) -> None:
    """Applies a declined PaymentIntent to the invoices that it should pay."""
    for _, invoice in _to_be_paid(store, intent):
        _charge_failed(store, invoice, counted=counted)


def _to_be_paid(store: Store, intent: Object) -> Iterator[tuple[Object, Object]]:
    """The invoices that wait for a PaymentIntent, as pairs (invoice_payment, invoice)."""
    for payment in store.all("invoice_payment", status="open"):
        if payment["payment"].get("payment_intent") == intent["id"]:
            yield payment, store.get("invoice", payment["invoice"])


# -- invoices


def pay_invoice(store: Store, invoice: Object, method: str | None = None, *, automatic: bool = False) -> Object:
    """Charges the amount that is due.

    Raises `ApiError`, 402, when the card is declined. Before that, it applies the failure to the invoice.
    """
    invoices.check_status(invoice, "open", "uncollectible")
    intent = invoices.intent_of(store, invoice)
    method = method or invoices.method_of(store, invoice)
    if intent is None:
        _mark_paid(store, invoice)
    elif method is None:
        counted = _count_attempt(store, intent, automatic=automatic)
        _charge_failed(store, invoice, counted=counted)  # without a payment method there is no charge
        raise invalid("This customer has no attached payment source or default payment method.", code="missing")
    else:
        confirm_intent(store, intent, method, automatic=automatic)
    return invoice


def pay_part(store: Store, invoice: Object, amount: int) -> Object:
    """Records a part that was paid outside Stripe. https://docs.stripe.com/invoicing/partial-payments

    If something remains, no event of the invoice tells of it, only that of the invoice payment.
    """
    invoices.check_status(invoice, "open", "uncollectible")
    known = {"invoice": invoice["id"], "currency": invoice["currency"], "is_default": False, "status": "paid"}
    record = {"type": "payment_record", "payment_record": new_id("pr")}
    moments = {"canceled_at": None, "paid_at": store.now()}
    made = store.create(
        "invoice_payment",
        amount_requested=amount,
        amount_paid=amount,
        payment=record,
        status_transitions=moments,
        **known,
    )
    invoice["amount_paid"] += amount
    invoice["amount_remaining"] = max(0, invoice["amount_due"] - invoice["amount_paid"])
    invoice["amount_overpaid"] = max(0, invoice["amount_paid"] - invoice["amount_due"])
    if not invoice["amount_remaining"]:
        intent = invoices.intent_of(store, invoice)
        if intent and intent["status"] in (*payments.CONFIRMABLE, "processing"):
            payments.cancel_intent(store, intent)
        _mark_paid(store, invoice, out_of_band=True)
    store.emit("invoice_payment.paid", made)
    return made


def pay_out_of_band(store: Store, invoice: Object) -> Object:
    """Marks the invoice as paid with money from outside Stripe, such as a bank transfer."""
    invoices.check_status(invoice, "open", "uncollectible")
    intent = invoices.intent_of(store, invoice)
    if intent:
        payments.cancel_intent(store, intent)
    _mark_paid(store, invoice, out_of_band=True)
    return invoice


def _mark_paid(store: Store, invoice: Object, payment: Object | None = None, *, out_of_band: bool = False) -> None:
    invoice |= {
        "status": "paid",
        "attempted": True,
        "attempt_count": max(1, invoice["attempt_count"]) if payment else invoice["attempt_count"],
        "amount_paid": max(invoice["amount_due"], invoice["amount_paid"]),
        "amount_remaining": 0,
        "next_payment_attempt": None,
    }
    invoice["status_transitions"]["paid_at"] = store.now()
    store.emit("invoice.updated", invoice)
    store.emit("invoice.paid", invoice)
    if not out_of_band:
        store.emit("invoice.payment_succeeded", invoice)
    if invoice["amount_overpaid"]:  # https://docs.stripe.com/api/events/types#event_types-invoice.overpaid
        store.emit("invoice.overpaid", invoice)
    if payment:
        paid = {"canceled_at": None, "paid_at": store.now()}
        payment |= {"status": "paid", "amount_paid": payment["amount_requested"], "status_transitions": paid}
        store.emit("invoice_payment.paid", payment)
    _set_delinquent(store, invoice, delinquent=False)
    _move_subscription(store, invoice, {"past_due", "unpaid", "incomplete"}, "active")


def _set_delinquent(store: Store, invoice: Object, *, delinquent: bool) -> None:
    """https://docs.stripe.com/api/customers/object#customer_object-delinquent"""
    customer = store.find(invoice["customer"])
    if customer and customer["delinquent"] is not delinquent:
        customer["delinquent"] = delinquent
        store.emit("customer.updated", customer)


def _charge_failed(store: Store, invoice: Object, *, counted: bool) -> None:
    """Sets the next attempt or ends dunning, if the failed attempt counts.

    The first invoice of a subscription is not tried again:
    https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses
    """
    if counted:
        subscription = invoices.subscription_of(store, invoice)
        first = subscription is not None and subscription["status"] == "incomplete"
        days = () if first else RETRY_DAYS[invoice["attempt_count"] - 1 :][:1]
        invoice["next_payment_attempt"] = store.now() + days[0] * DAY if days else None
    invoice["attempted"] = True
    # Stripe's own answer to "which events tell of a failed renewal?", copied at https://cbabhusal.wordpress.com/tag/stripe/
    store.emit("invoice.updated", invoice)
    store.emit("invoice.payment_failed", invoice)
    _set_delinquent(store, invoice, delinquent=True)
    _move_subscription(store, invoice, {"active", "trialing"}, "past_due")
    if counted and invoice["next_payment_attempt"] is None:
        _end_dunning(store, invoice)


def _end_dunning(store: Store, invoice: Object) -> None:
    subscription = invoices.subscription_of(store, invoice)
    if subscription is None or subscription["status"] != "past_due":
        return
    if store.dunning_ends == "canceled":
        schedules.abort(store, subscription)
        subscriptions.cancel_subscription(store, subscription)
    else:
        _move_subscription(store, invoice, {"past_due"}, store.dunning_ends)


def _move_subscription(store: Store, invoice: Object, before: set[str], status: str) -> None:
    subscription = invoices.subscription_of(store, invoice)
    if subscription and subscription["status"] in before and subscription["status"] != status:
        subscription["status"] = status
        store.emit("customer.subscription.updated", subscription)
