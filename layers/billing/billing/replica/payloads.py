"""Reads Stripe's objects as the fields of our entities, in both generations of their shapes.

A webhook's payload has the API version of its endpoint, not that of the SDK. Version "basil" (2025-03-31) moved an
invoice's subscription and payments and a subscription's period. Both places are read here and nowhere else.
Source: https://docs.stripe.com/changelog/basil
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from billing import clock
from billing.domain.invoicing import Standing, status_of
from billing.domain.order import Payload
from billing.domain.statuses import PaymentStatus


def ref(value: Any) -> str | None:
    """The id that a field holds. If the field holds the expanded object, the id of that object."""
    found: str | None = value.get("id") if isinstance(value, Mapping) else value
    return found


def moment(seconds: int | None) -> str | None:
    return None if seconds is None else clock.iso(seconds)


# -- whose it is


def tenant_hint(stripe_object: Payload) -> str | None:
    """The tenant that the metadata of the object, or of its subscription, names."""
    subscription = _invoice_parent(stripe_object)
    named: str | None = _metadata(stripe_object).get("tenantId") or _metadata(subscription).get("tenantId")
    return named


def _metadata(stripe_object: Payload) -> Payload:
    return stripe_object.get("metadata") or {}


# -- subscriptions


def price_of(subscription: Payload) -> str | None:
    item = _first_item(subscription)
    return ref(item.get("price")) or ref(item.get("plan")) or ref(subscription.get("plan"))


def subscription_fields(subscription: Payload) -> dict[str, Any]:
    item = _first_item(subscription)
    return {
        "stripe_customer_id": ref(subscription["customer"]),
        "status": subscription["status"],
        "started_at": clock.iso(subscription["created"]),
        "stripe_price_id": price_of(subscription),
        "quantity": item.get("quantity", subscription.get("quantity")),
        "current_period_start": moment(item.get("current_period_start", subscription.get("current_period_start"))),
        "current_period_end": moment(item.get("current_period_end", subscription.get("current_period_end"))),
        "cancel_at": moment(subscription.get("cancel_at")),
        "cancel_at_period_end": bool(subscription.get("cancel_at_period_end")),
        "trial_end": moment(subscription.get("trial_end")),
    }


def _first_item(subscription: Payload) -> Payload:
    items = (subscription.get("items") or {}).get("data") or [{}]
    first: Payload = items[0]
    return first


# -- invoices


def invoice_fields(invoice: Payload, at: str) -> dict[str, Any]:
    """`at`: when the payload was true (ISO 8601). An open invoice is overdue if its due date is before that, or if an
    attempt to charge it failed. The first invoice of a subscription is not: until it is paid, nothing is delivered.
    """
    due_date = moment(invoice.get("due_date"))
    attempts = _failed_attempts(invoice)
    is_first = invoice.get("billing_reason") == "subscription_create"
    return {
        "status": status_of(
            invoice.get("status"),
            Standing(
                attempts=0 if is_first else attempts,
                paid=invoice["amount_paid"],
                remaining=invoice["amount_remaining"],
                past_due=due_date is not None and due_date < at,
            ),
        ),
        "currency": invoice["currency"],
        "amount_due": invoice["amount_due"],
        "amount_paid": invoice["amount_paid"],
        "amount_remaining": invoice["amount_remaining"],
        "stripe_subscription_id": invoice_subscription(invoice),
        "number": invoice.get("number"),
        "description": invoice.get("description"),
        "due_date": due_date,
        "attempt_count": attempts,
        "next_attempt": moment(invoice.get("next_payment_attempt")),
        "hosted_url": invoice.get("hosted_invoice_url"),
        "pdf": invoice.get("invoice_pdf"),
    }


def attempted(invoice: Payload) -> bool:
    """Whether somebody tried to pay an open invoice: the payment failed, or is still on its way."""
    return invoice.get("status") == "open" and bool(invoice.get("attempt_count"))


def _failed_attempts(invoice: Payload) -> int:
    """Attempts to charge that failed. Stripe also counts an attempt that is on its way (a bank debit takes days).

    Only an expanded PaymentIntent shows whether one is on its way.
    """
    under_way = any(_is_processing(payment) for payment in (invoice.get("payments") or {}).get("data") or [])
    return max(0, (invoice.get("attempt_count") or 0) - under_way)


def _is_processing(payment: Payload) -> bool:
    intent = (payment.get("payment") or {}).get("payment_intent")
    return isinstance(intent, Mapping) and intent["status"] == "processing"


def invoice_subscription(invoice: Payload) -> str | None:
    return ref(_invoice_parent(invoice).get("subscription")) or ref(invoice.get("subscription"))


def _invoice_parent(invoice: Payload) -> Payload:
    parent = (invoice.get("parent") or {}).get("subscription_details")
    return parent or invoice.get("subscription_details") or {}


def invoice_intents(invoice: Payload) -> tuple[str, ...]:
    """The PaymentIntents that paid it, if `payments` is expanded. A payload before basil names one, paid or not."""
    payments = (invoice.get("payments") or {}).get("data") or []
    paid = [ref((p.get("payment") or {}).get("payment_intent")) for p in payments if p.get("status") == "paid"]
    before_basil = [ref(invoice.get("payment_intent"))]
    return tuple(intent for intent in [*paid, *before_basil] if intent)


# -- PaymentIntents


def payment_fields(intent: Payload) -> dict[str, Any]:
    error = intent.get("last_payment_error") or {}
    status = _payment_status(intent["status"], failed=bool(error))
    succeeded = status is PaymentStatus.SUCCEEDED
    return {
        "status": status,
        "amount": intent["amount_received"] if succeeded else intent["amount"],
        "currency": intent["currency"],
        "stripe_charge_id": _charge(intent),
        "failure_code": None if succeeded else error.get("decline_code") or error.get("code"),
        "failure_message": None if succeeded else error.get("message"),
        **charge_fields(intent.get("latest_charge")),
    }


def intent_invoice(intent: Payload) -> tuple[str | None, str | None]:
    """The invoice of the platform's own (from our metadata), and Stripe's (only payloads before basil name it)."""
    return _metadata(intent).get("invoiceId"), ref(intent.get("invoice"))


def _payment_status(status: str, *, failed: bool) -> PaymentStatus:
    match status:
        case "succeeded":
            return PaymentStatus.SUCCEEDED
        case "canceled":
            return PaymentStatus.CANCELED
        case "requires_payment_method" if failed:
            return PaymentStatus.FAILED
        case _:
            return PaymentStatus.PROCESSING


def _charge(intent: Payload) -> str | None:
    if intent.get("latest_charge"):
        return ref(intent["latest_charge"])
    charges = (intent.get("charges") or {}).get("data") or [None]
    return ref(charges[0])


# -- charges


def charge_fields(charge: Any) -> dict[str, Any]:
    """How much of a payment went back. Nothing if `charge` is an id, or if no money was taken."""
    if not isinstance(charge, Mapping) or not is_captured(charge):
        return {}
    return {"amount_refunded": charge["amount_refunded"], "disputed": bool(charge.get("disputed"))}


def is_captured(charge: Payload) -> bool:
    """Whether the charge took money. If it did not, no money can go back."""
    return bool(charge.get("captured", True))


def charge_of(stripe_object: Payload) -> str | None:
    """The id of a charge, or of the charge of a refund or dispute."""
    return stripe_object["id"] if stripe_object.get("object") == "charge" else ref(stripe_object.get("charge"))


# -- Checkout Sessions


@dataclass(frozen=True)
class CheckoutSession:
    id: str
    mode: str
    payment_status: str
    subscription_id: str | None
    invoice_id: str | None
    attempt: str | None


def checkout_session(session: Payload) -> CheckoutSession:
    return CheckoutSession(
        id=session["id"],
        mode=session["mode"],
        payment_status=session.get("payment_status") or "unpaid",
        subscription_id=ref(session.get("subscription")),
        invoice_id=ref(session.get("invoice")),
        attempt=_metadata(session).get("checkoutAttempt"),
    )


# -- invoice payments


@dataclass(frozen=True)
class InvoicePayment:
    invoice_id: str
    payment_intent_id: str | None
    amount_paid: int
    currency: str


def invoice_payment(payment: Payload) -> InvoicePayment:
    invoice_id = ref(payment["invoice"])
    assert invoice_id is not None
    return InvoicePayment(
        invoice_id=invoice_id,
        payment_intent_id=ref((payment.get("payment") or {}).get("payment_intent")),
        amount_paid=payment.get("amount_paid") or 0,
        currency=payment["currency"],
    )
