"""Stripe's payloads, in both generations of their shapes, as the fields of our entities.

A webhook's payload has the API version of its endpoint, not of the SDK. "basil" (2025-03-31) moved an invoice's
subscription and payments and a subscription's period; both places are read here and nowhere else.
Source: https://docs.stripe.com/changelog/basil
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from billing import clock
from billing.domain.entities import PaymentStatus
from billing.domain.invoicing import status_of
from billing.errors import InvalidEvent, ThinEvent

type Payload = Mapping[str, Any]

MAX_EVENT_ID: Final = 255  # of any id at Stripe: https://docs.stripe.com/upgrades#what-changes-does-stripe-consider-to-be-backwards-compatible


@dataclass(frozen=True)
class Snapshot:
    """A Stripe object and the interval in which it was true; `fetched`: read from Stripe after our own records."""

    object: Payload
    since: str
    until: str
    fetched: bool = False


@dataclass(frozen=True)
class Event:
    id: str
    type: str
    livemode: bool
    api_version: str | None
    snapshot: Snapshot

    @property
    def object(self) -> Payload:
        return self.snapshot.object


def parse_event(body: bytes) -> Event:
    """Raises `InvalidEvent` when the body is no JSON event, `ThinEvent` for Stripe's v2 format."""
    try:
        event = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidEvent("The body is not UTF-8 JSON.") from error
    if not isinstance(event, dict):
        raise InvalidEvent("The body is not a JSON object.")
    if str(event.get("object", "")).startswith("v2."):
        raise ThinEvent("Configure the endpoint for snapshot events (payload style: snapshot).")
    try:
        created = clock.iso(event["created"])
        parsed = Event(
            id=event["id"],
            type=event["type"],
            livemode=event["livemode"],
            api_version=event.get("api_version"),
            snapshot=Snapshot(event["data"]["object"], created, created),
        )
    except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        raise InvalidEvent("The body lacks id, type, livemode, created or data.object of an event.") from error
    if not _well_typed(event) or not 0 < len(parsed.id) <= MAX_EVENT_ID:
        raise InvalidEvent("id, type, livemode or data.object of the event has the wrong type.")
    return parsed


def _well_typed(event: Payload) -> bool:
    shape = {"id": str, "type": str, "livemode": bool}
    return all(isinstance(event[name], kind) for name, kind in shape.items()) and isinstance(
        event["data"]["object"], dict
    )


def ref(value: Any) -> str | None:
    """The id of a field that holds an id or, expanded, the object."""
    found: str | None = value.get("id") if isinstance(value, Mapping) else value
    return found


def moment(seconds: int | None) -> str | None:
    return None if seconds is None else clock.iso(seconds)


# -- whose it is


def tenant_hint(thing: Payload) -> str | None:
    """The tenant that the object's metadata, or its subscription's, names."""
    named: str | None = _metadata(thing).get("tenantId") or _metadata(_invoice_parent(thing)).get("tenantId")
    return named


def _metadata(thing: Payload) -> Payload:
    return thing.get("metadata") or {}


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
    """`at`: when this was true; an open invoice past its due date is overdue."""
    due_date = moment(invoice.get("due_date"))
    attempts = _failed_attempts(invoice)
    return {
        "status": status_of(
            invoice.get("status"),
            attempts=attempts,
            paid=invoice["amount_paid"],
            remaining=invoice["amount_remaining"],
            past_due=due_date is not None and due_date < at,
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
    """Whether an open invoice was tried to be paid: by a payment that failed, or one that is still on its way."""
    return invoice.get("status") == "open" and bool(invoice.get("attempt_count"))


def _failed_attempts(invoice: Payload) -> int:
    """Stripe counts the attempt that is on its way (a bank debit takes days). Only an expanded PaymentIntent tells."""
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
    """The PaymentIntents that paid it, where the payload says so: before basil, or when `payments` is expanded."""
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
    """The platform's own invoice by our metadata, and Stripe's, which only payloads before basil name."""
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
    """What was taken back of a payment, where its charge is there as an object and not as an id."""
    if not isinstance(charge, Mapping) or not charge.get("captured", True):
        return {}
    return {"amount_refunded": charge["amount_refunded"], "disputed": bool(charge.get("disputed"))}


def charge_of(thing: Payload) -> str | None:
    """The id of the charge: of itself, or of the refund or dispute of it."""
    return thing["id"] if thing.get("object") == "charge" else ref(thing.get("charge"))


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
