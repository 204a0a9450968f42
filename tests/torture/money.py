"""The part of `model.py` about money: invoices, and PaymentIntents with their charges, refunds and disputes."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from local.stripe.engine.store import Object, Store

type Fields = dict[str, Any]

# The types of events that the documents list.
DEPLOYMENT: Final = Path(__file__).parents[2] / "docs" / "deployment.md"
SUBSCRIBED: Final = frozenset(re.findall(r"^- ([a-z_]+\.[a-z_.]+)$", DEPLOYMENT.read_text(), re.MULTILINE))
_STATUSES: Final = {"succeeded": "SUCCEEDED", "canceled": "CANCELED", "requires_payment_method": "FAILED"}
_MONEY_GONE: Final = {"needs_response", "under_review", "lost"}  # https://docs.stripe.com/api/disputes/object
BEGUN: Final = ("status", "attemptCount", "actionRequired", "failureCode")  # what the begin of an attempt may change
_REFUNDED: Final = {"pending", "requires_action", "succeeded"}  # https://docs.stripe.com/api/refunds/object


# -- invoices


def stripe_invoice(store: Store, invoice: Object) -> Fields:
    intents = tied(store, invoice)
    waits = {one["status"] for one in intents} & {"processing", "requires_action"}
    is_open = invoice["status"] == "open"
    failed = _failed(store, invoice, intents) if is_open else 0
    untold = began_untold(store, invoice)
    expected = {
        "invoiceId": invoice["id"],
        "stripeInvoiceId": invoice["id"],
        "status": _status(store, invoice, failed or 0) if is_open else invoice["status"].upper(),
        "amountDue": invoice["amount_due"],
        "amountPaid": invoice["amount_paid"],
        "amountRemaining": invoice["amount_remaining"],
        "amountOverpaid": invoice["amount_overpaid"] or 0,
        "currency": invoice["currency"],
        "total": invoice["total"],
        "tax": sum(one["amount"] for one in invoice.get("total_taxes") or []),
        "discount": sum(one["amount"] for one in invoice.get("total_discount_amounts") or []),
        "billingReason": invoice["billing_reason"],
        "number": invoice["number"],
        "stripeSubscriptionId": subscription_of(invoice),
        "dueDate": iso(invoice["due_date"]),
        "attemptCount": failed if is_open else invoice["attempt_count"],
        "actionRequired": is_open and "requires_action" in waits,
        **_credit(invoice),
        **_period(invoice),
        **_next_attempt(store, invoice),
        **refused(intents, asked=is_open and bool(failed)),
    }
    if failed is None:
        del expected["status"], expected["attemptCount"]
    return {name: value for name, value in expected.items() if not (untold and name in BEGUN)}


def _failed(store: Store, invoice: Object, intents: list[Object]) -> int | None:
    """An attempt that waits for the bank or for the customer has not failed. It is one of those that Stripe counts, if
    it was not begun by a person after the others: then as many failed as are counted.

    https://docs.stripe.com/api/invoices/object#invoice_object-attempt_count

    None: Stripe's objects do not show it. An attempt without a payment method, or one that the customer refused to
    confirm, has no charge; of more charges than counted attempts, nobody can tell which were counted.
    """
    counted: int = invoice["attempt_count"]
    waiting = [one for one in intents if one["status"] in ("processing", "requires_action")]
    failed = [c for one in waiting for c in store.all("charge", payment_intent=one["id"], status="failed")]
    if not waiting:
        return counted
    shown = counted if len(failed) >= counted else max(0, counted - 1)
    return shown if shown == counted - waiting[0]["_counted"] else None


def began_untold(store: Store, invoice: Object) -> bool:
    """Whether a debit is on its way after another attempt. No event that we subscribe to tells of its begin: the
    invoice may stand as it stood before (docs/consistency.md).
    """
    waits = any(one["status"] == "processing" for one in tied(store, invoice))
    told = ("invoice.payment_failed", "invoice.payment_action_required")
    return invoice["status"] == "open" and waits and any(has_event(store, one, invoice) for one in told)


def _status(store: Store, invoice: Object, failed: int) -> str:
    """A first invoice that is not accepted yet is not late (CHANGELOG): its buyer is still paying."""
    first = invoice["billing_reason"] == "subscription_create"
    passed = invoice["due_date"] is not None and invoice["due_date"] <= store.now()
    if passed or (failed and not first):
        return "OVERDUE"
    return "PARTIALLY_PAID" if invoice["amount_paid"] else "PENDING"


def subscription_of(invoice: Object) -> str | None:
    details = (invoice["parent"] or {}).get("subscription_details") or {}
    found: str | None = details.get("subscription")
    return found


def _credit(invoice: Object) -> Fields:
    """What the customer's balance changed; "below zero: an old debt of the customer was added".

    https://docs.stripe.com/api/invoices/object#invoice_object-ending_balance
    """
    return {"creditApplied": invoice["total"] - invoice["amount_due"]} if invoice["total"] >= 0 else {}


def _period(invoice: Object) -> Fields:
    """A period is a line of a subscription's item that is no proration. Without one, a period is not paid.

    https://docs.stripe.com/api/invoice-line-item/object
    """
    sold = []
    for line in invoice["lines"]["data"]:
        details = line["parent"]["subscription_item_details"]
        if details and not details["proration"]:
            start, end = iso(line["period"]["start"]), iso(line["period"]["end"])
            price = line["pricing"]["price_details"]["price"]
            sold.append({"stripePriceId": price, "quantity": line["quantity"], "periodStart": start, "periodEnd": end})
    periods = {(one["periodStart"], one["periodEnd"]) for one in sold}
    both = dict(zip(("periodStart", "periodEnd"), next(iter(periods)), strict=True)) if len(periods) == 1 else {}
    return {"items": sold or None} | (both if sold else {"periodStart": None, "periodEnd": None})


def _next_attempt(store: Store, invoice: Object) -> Fields:
    """Stripe moves it without an event that we subscribe to (docs/operations.md): then nothing is expected."""
    events = (one for one in store.all("event") if one["data"]["object"]["id"] == invoice["id"])
    last = next((one for one in events if one["type"] in SUBSCRIBED), None)
    if not last or last["data"]["object"]["next_payment_attempt"] != invoice["next_payment_attempt"]:
        return {}
    return {"nextAttempt": iso(invoice["next_payment_attempt"])}


class Own(NamedTuple):
    """An invoice of the platform's own. `due` in minor units; `due_at` in Unix seconds: from then on it is overdue."""

    due: int
    due_at: int | None = None


def own_invoice(store: Store, invoice_id: str, own: Own) -> Fields:
    due = own.due
    succeeded = store.all("payment_intent", status="succeeded")
    paid = sum(one["amount_received"] for one in succeeded if one["metadata"].get("invoiceId") == invoice_id)
    return {
        "invoiceId": invoice_id,
        "stripeInvoiceId": None,
        "status": "PAID" if paid >= due else _own_status(store, own, paid),
        "dueDate": iso(own.due_at),
        "amountDue": due,
        "amountPaid": paid,
        "amountRemaining": max(0, due - paid),
        "amountOverpaid": max(0, paid - due),
        "total": due,
        "tax": 0,
        "discount": 0,
        "creditApplied": 0,
    }


def _own_status(store: Store, own: Own, paid: int) -> str:
    if own.due_at is not None and own.due_at < store.now():
        return "OVERDUE"
    return "PARTIALLY_PAID" if paid else "PENDING"


# -- payments


def payment(store: Store, intent: Object) -> Fields:
    charge = store.get("charge", intent["latest_charge"]) if intent["latest_charge"] else None
    refunds = store.all("refund", charge=charge["id"]) if charge else []
    failed = [one for one in refunds if one["status"] == "failed"]
    disputes = store.all("dispute", charge=charge["id"]) if charge else []
    return {
        "stripePaymentIntentId": intent["id"],
        "status": _STATUSES.get(intent["status"], "PROCESSING"),
        "amount": intent["amount_received"] if intent["status"] == "succeeded" else intent["amount"],
        "currency": intent["currency"],
        "stripeChargeId": intent["latest_charge"],
        "amountRefunded": sum(one["amount"] for one in refunds if one["status"] in _REFUNDED),
        "amountRefundFailed": sum(one["amount"] for one in failed),
        "refundFailure": failed[0]["failure_reason"] if failed else None,
        "disputed": any(one["status"] in _MONEY_GONE for one in disputes),
        "disputeStatus": disputes[0]["status"] if disputes else None,
        "actionRequired": intent["status"] == "requires_action",
        "invoiceId": _paid_invoice(store, intent),
        **_error(intent),
    }


def _error(intent: Object) -> Fields:
    """Stripe clears it at the next change. https://docs.stripe.com/api/payment_intents/object"""
    error = intent["last_payment_error"] or {}
    return {
        "failureCode": error.get("decline_code") or error.get("code"),
        "failureMessage": error.get("message"),
        "failedChargeId": error.get("charge"),
    }


def _paid_invoice(store: Store, intent: Object) -> str | None:
    """The invoice that it has paid at Stripe, or the platform's own one."""
    for tie in store.all("invoice_payment", status="paid"):
        if tie["payment"].get("payment_intent") == intent["id"]:
            return str(tie["invoice"])
    found: str | None = intent["metadata"].get("invoiceId")
    return found


def tied(store: Store, invoice: Object) -> list[Object]:
    """The PaymentIntents that should pay the invoice. https://docs.stripe.com/api/invoice-payment/object"""
    found = [one["payment"].get("payment_intent") for one in store.all("invoice_payment", invoice=invoice["id"])]
    return [store.get("payment_intent", one) for one in found if one]


def refused(intents: list[Object], *, asked: bool) -> Fields:
    """The invoice's `failureCode`, if an attempt to charge it failed and nothing came after that."""
    errors = [one for one in intents if one["last_payment_error"]]
    if not asked or len(errors) != 1:
        return {}
    return {"failureCode": _error(errors[0])["failureCode"]}


# -- both


def has_event(store: Store, kind: str, stripe_object: Object) -> bool:
    return any(one["data"]["object"]["id"] == stripe_object["id"] for one in store.all("event", type=kind))


def iso(moment: int | None) -> str | None:
    return None if moment is None else datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
