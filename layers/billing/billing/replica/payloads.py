"""Reads Stripe's objects as the fields of our entities, in both generations of their shapes.

A webhook's payload has the API version of its endpoint, not that of the SDK. Version "basil" (2025-03-31) moved an
invoice's subscription and payments and a subscription's period. Both places are read here and nowhere else.
Source: https://docs.stripe.com/changelog/basil

Every function raises `Unreadable` for a field that it needs and that is missing, or that has another type than in
Stripe's OpenAPI document. So nothing is stored that could not be read back.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from billing.domain.entities import SoldItem
from billing.domain.invoicing import Standing, status_of
from billing.domain.order import Payload
from billing.domain.statuses import PaymentStatus
from billing.replica.reading import (
    entries,
    flag,
    id_in,
    maybe_text,
    maybe_whole,
    moment,
    part,
    text,
    unreadable,
    whole,
)

# -- whose it is


def tenant_hint(stripe_object: Payload) -> str | None:
    """The tenant that the metadata of the object, or of its subscription, names."""
    named = maybe_text(part(stripe_object, "metadata"), "tenantId")
    return named or maybe_text(part(_invoice_parent(stripe_object), "metadata"), "tenantId")


# -- subscriptions


def prices_of(subscription: Payload) -> tuple[str, ...]:
    """The prices of its items. Payloads of old API versions have a plan where the newer ones have a price."""
    found = [_price(item) for item in _items(subscription)] or [id_in(subscription, "plan")]
    return tuple(price for price in found if price)


def subscription_fields(subscription: Payload, plans: Mapping[str, str]) -> dict[str, Any]:
    """`plans` maps a price to the plan that it sells. The item with such a price is the plan's."""
    item = _leading(subscription, plans)
    pause = part(subscription, "pause_collection")
    details = part(subscription, "cancellation_details")
    begins, ends = _item_period(item, subscription)
    return {
        "stripe_customer_id": id_in(subscription, "customer") or _missing("customer"),
        "status": text(subscription, "status"),
        "started_at": moment(subscription, "created") or _missing("created"),
        "stripe_price_id": _price(item) or id_in(subscription, "plan"),
        "quantity": maybe_whole(item if "quantity" in item else subscription, "quantity"),
        "current_period_start": begins,
        "current_period_end": ends,
        "cancel_at": moment(subscription, "cancel_at"),
        "cancel_at_period_end": flag(subscription, "cancel_at_period_end"),
        "trial_end": moment(subscription, "trial_end"),
        "items": _sorted(_sold(one, subscription) for one in _items(subscription)),
        "pause_behavior": maybe_text(pause, "behavior"),
        "pause_resumes_at": moment(pause, "resumes_at"),
        "cancellation_reason": maybe_text(details, "reason"),
        "cancellation_feedback": maybe_text(details, "feedback"),
        "cancellation_comment": maybe_text(details, "comment"),
    }


def checkout_attempt(subscription: Payload) -> str | None:
    """The attempt of the Checkout Session of ours that made the subscription."""
    return maybe_text(part(subscription, "metadata"), "checkoutAttempt")


def _leading(subscription: Payload, plans: Mapping[str, str]) -> Payload:
    """The item whose price is a plan's. The order of the items means nothing, so of several it is the oldest."""
    items = sorted(_items(subscription), key=lambda item: (maybe_whole(item, "created") or 0, id_in(item, "id") or ""))
    return next((item for item in items if _price(item) in plans), items[0] if items else {})


def _items(subscription: Payload) -> Sequence[Payload]:
    return entries(subscription, "items")


def _price(item: Payload) -> str | None:
    return id_in(item, "price") or id_in(item, "plan")


def _item_period(item: Payload, subscription: Payload) -> tuple[str | None, str | None]:
    """The present period of an item. Before basil the subscription has it."""
    names = ("current_period_start", "current_period_end")
    begins, ends = (moment(item if name in item else subscription, name) for name in names)
    return begins, ends


def _sold(item: Payload, subscription: Payload) -> SoldItem:
    price = item.get("price")
    recurring = part(price, "recurring") if isinstance(price, Mapping) else {}
    begins, ends = _item_period(item, subscription)
    return SoldItem(
        stripe_price_id=_price(item),
        quantity=maybe_whole(item, "quantity"),
        period_start=begins,
        period_end=ends,
        metered=maybe_text(recurring, "usage_type") == "metered",
    )


def _sorted(items: Iterator[SoldItem]) -> tuple[SoldItem, ...]:
    """In one order, whatever order Stripe lists them in."""
    return tuple(sorted(items, key=lambda i: (i.stripe_price_id or "", i.period_start or "", i.quantity or 0)))


# -- invoices


class Failures(NamedTuple):
    """The attempts to charge an invoice that failed, and why the last one did."""

    attempts: int = 0
    code: str | None = None


_NONE: Final = Failures()


def invoice_fields(invoice: Payload, at: str, before: Failures = _NONE) -> dict[str, Any]:
    """`at`: when the payload was true (ISO 8601). An open invoice is overdue if its due date is before that, or if an
    attempt to charge it failed. The first invoice of a subscription is not: until it is paid, nothing is delivered.

    `before`: what is known already. It counts while an attempt is on its way, because no event tells of its begin.
    """
    due_date = moment(invoice, "due_date")
    attempts, failure = _failures(invoice, before)
    reason = maybe_text(invoice, "billing_reason")
    paid, remaining = whole(invoice, "amount_paid"), whole(invoice, "amount_remaining")
    standing = Standing(
        attempts=0 if reason == "subscription_create" else attempts,
        paid=paid,
        remaining=remaining,
        past_due=due_date is not None and due_date < at,
    )
    try:
        status = status_of(text(invoice, "status"), standing)
    except ValueError as error:
        raise unreadable("status") from error
    begins, ends = _billed_period(invoice)
    return {
        "status": status,
        "currency": text(invoice, "currency"),
        "amount_due": whole(invoice, "amount_due"),
        "amount_paid": paid,
        "amount_remaining": remaining,
        "stripe_subscription_id": invoice_subscription(invoice),
        "number": maybe_text(invoice, "number"),
        "description": maybe_text(invoice, "description"),
        "due_date": due_date,
        "attempt_count": attempts,
        "next_attempt": moment(invoice, "next_payment_attempt"),
        "hosted_url": maybe_text(invoice, "hosted_invoice_url"),
        "pdf": maybe_text(invoice, "invoice_pdf"),
        "total": maybe_whole(invoice, "total"),
        "tax": _tax(invoice),
        "discount": sum(whole(one, "amount") for one in entries(invoice, "total_discount_amounts")),
        "credit_applied": _credit_applied(invoice),
        "amount_overpaid": maybe_whole(invoice, "amount_overpaid") or 0,
        "billing_reason": reason,
        "period_start": begins,
        "period_end": ends,
        "items": _sorted(_line(line) for line in _period_lines(invoice)),
        "action_required": any(one["status"] == "requires_action" for one in _waiting_intents(invoice)),
        "failure_code": failure,
    }


def attempted(invoice: Payload) -> bool:
    """Whether somebody tried to pay an open invoice: the payment failed, waits for the customer, or is on its way.

    The invoice alone does not tell which of these. Stripe's answer with the PaymentIntents expanded does.
    """
    return _is_open(invoice) and bool(maybe_whole(invoice, "attempt_count"))


def only_intent(invoice: Payload) -> str | None:
    """The PaymentIntent of an invoice that has one payment, which did not pay it."""
    payments = entries(invoice, "payments")
    if len(payments) != 1 or payments[0].get("status") == "paid":
        return None
    return id_in(part(payments[0], "payment"), "payment_intent")


def with_failed_intent(invoice: Payload, code: str | None) -> Payload:
    """The invoice as Stripe shows it with its PaymentIntents expanded, if its only one failed with this code."""
    intent = {"id": only_intent(invoice), "status": "requires_payment_method", "last_payment_error": {"code": code}}
    return {**invoice, "payments": [{"status": "open", "payment": {"payment_intent": intent}}]}


def is_cut_off(invoice: Payload) -> bool:
    """Whether it has more lines than an invoice shows. https://docs.stripe.com/api/invoices/object#invoice_object-lines"""
    return flag(part(invoice, "lines"), "has_more") if isinstance(invoice.get("lines"), Mapping) else False


def _is_open(invoice: Payload) -> bool:
    return invoice.get("status") == "open"


def _failures(invoice: Payload, before: Failures) -> Failures:
    code = _failure(invoice) if _is_open(invoice) else None
    counted = _failed_attempts(invoice)
    if not _waiting_intents(invoice):
        return Failures(counted, code)
    return Failures(max(counted, before.attempts), code or before.code)


def _failed_attempts(invoice: Payload) -> int:
    """Attempts to charge that failed. Stripe also counts an attempt that is on its way (a bank debit takes days), and
    one that waits for the customer's confirmation.

    It does not count one that a person began after a failure. Then as many charges failed as attempts were counted.
    https://docs.stripe.com/api/invoices/object#invoice_object-attempt_count
    """
    counted = maybe_whole(invoice, "attempt_count") or 0
    waiting = _waiting_intents(invoice)
    failed = [charge for intent in waiting for charge in entries(intent, "charges") if charge.get("status") == "failed"]
    return max(0, counted - 1) if waiting and len(failed) < counted else counted


def _waiting_intents(invoice: Payload) -> list[Payload]:
    """The expanded PaymentIntents that an open invoice waits for: for the bank's or the customer's answer.

    Nobody waits for the payment of a closed one any more, and its payload does not show it.
    """
    found = _expanded_intents(invoice) if _is_open(invoice) else []
    return [one for one in found if text(one, "status") in ("processing", "requires_action")]


def _expanded_intents(invoice: Payload) -> list[Payload]:
    found = [part(payment, "payment").get("payment_intent") for payment in entries(invoice, "payments")]
    return [intent for intent in found if isinstance(intent, Mapping)]


def _failure(invoice: Payload) -> str | None:
    codes = [_error_code(part(intent, "last_payment_error")) for intent in _expanded_intents(invoice)]
    return next((code for code in codes if code), None)


def _tax(invoice: Payload) -> int:
    if "total_taxes" in invoice:
        return sum(whole(one, "amount") for one in entries(invoice, "total_taxes"))
    return maybe_whole(invoice, "tax") or 0


def _credit_applied(invoice: Payload) -> int:
    """The part that the customer's balance paid. A balance below zero is a credit. A debt, above zero, is collected
    with the invoice: then this is below zero. https://docs.stripe.com/billing/customer/balance
    """
    after = maybe_whole(invoice, "ending_balance")
    return 0 if after is None else after - (maybe_whole(invoice, "starting_balance") or 0)


def _period_lines(invoice: Payload) -> list[Payload]:
    """The lines that bill a period of a subscription. Parts of a period after a change (prorations) are none."""
    return [line for line in entries(invoice, "lines") if _bills_period(line)]


def _bills_period(line: Payload) -> bool:
    if "parent" in line:
        details = part(part(line, "parent"), "subscription_item_details")
        return bool(details) and not flag(details, "proration")
    return line.get("type") == "subscription" and not flag(line, "proration")


def _line(line: Payload) -> SoldItem:
    price = id_in(part(part(line, "pricing"), "price_details"), "price") or _price(line)
    begins, ends = _period(line)
    return SoldItem(stripe_price_id=price, quantity=maybe_whole(line, "quantity"), period_start=begins, period_end=ends)


def _billed_period(invoice: Payload) -> tuple[str | None, str | None]:
    """The period that the invoice bills. The fields of the invoice itself tell another one.

    https://docs.stripe.com/api/invoices/object#invoice_object-period_end
    """
    periods = [_period(line) for line in _period_lines(invoice)]
    return max(periods, key=lambda period: (period[1] or "", period[0] or ""), default=(None, None))


def _period(line: Payload) -> tuple[str | None, str | None]:
    period = part(line, "period")
    return moment(period, "start"), moment(period, "end")


def invoice_subscription(invoice: Payload) -> str | None:
    return id_in(_invoice_parent(invoice), "subscription") or id_in(invoice, "subscription")


def may_settle_checkout(invoice: Payload) -> bool:
    """Whether it is the first invoice of a subscription, as far as it says, and paid or void."""
    return invoice.get("status") in ("paid", "void") and invoice.get("billing_reason") in (None, "subscription_create")


def _invoice_parent(invoice: Payload) -> Payload:
    return part(part(invoice, "parent"), "subscription_details") or part(invoice, "subscription_details")


def invoice_intents(invoice: Payload) -> tuple[str, ...]:
    """The PaymentIntents that paid it, if `payments` is expanded. A payload before basil names one, paid or not."""
    payments = entries(invoice, "payments")
    paid = [id_in(part(p, "payment"), "payment_intent") for p in payments if p.get("status") == "paid"]
    before_basil = [id_in(invoice, "payment_intent")]
    return tuple(intent for intent in [*paid, *before_basil] if intent)


# -- PaymentIntents


def payment_fields(intent: Payload) -> dict[str, Any]:
    error = part(intent, "last_payment_error")
    stripe_status = text(intent, "status")
    status = _payment_status(stripe_status, failed=bool(error))
    succeeded = status is PaymentStatus.SUCCEEDED
    return {
        "status": status,
        "amount": whole(intent, "amount_received" if succeeded else "amount"),
        "currency": text(intent, "currency"),
        "stripe_charge_id": _charge(intent),
        "failure_code": None if succeeded else _error_code(error),
        "failure_message": None if succeeded else maybe_text(error, "message"),
        "failed_charge_id": None if succeeded else id_in(error, "charge"),
        "action_required": stripe_status == "requires_action",
        **charge_fields(intent.get("latest_charge")),
    }


def intent_invoice(intent: Payload) -> tuple[str | None, ...]:
    """The invoice of the platform's own (from our metadata), and Stripe's.

    Payloads before basil name Stripe's invoice. In later ones an invoice's PaymentIntent has it as its order reference:
    https://docs.stripe.com/api/payment_intents/object#payment_intent_object-payment_details-order_reference. That
    counts once the payment succeeded: then the invoice's own event says the same, so their order does not matter.
    """
    own = maybe_text(part(intent, "metadata"), "invoiceId"), id_in(intent, "invoice")
    hint = maybe_text(part(intent, "payment_details"), "order_reference")
    return (*own, hint if intent.get("status") == "succeeded" else None)


def was_tried(intent: Payload) -> bool:
    """Whether somebody tried to pay it. The table has no PaymentIntent that nobody tried to pay yet."""
    status = intent["status"]
    if status == "requires_payment_method":
        return intent.get("last_payment_error") is not None
    return status not in ("requires_confirmation", "requires_capture")


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


def _error_code(error: Payload) -> str | None:
    return maybe_text(error, "decline_code") or maybe_text(error, "code")


def _charge(intent: Payload) -> str | None:
    if intent.get("latest_charge"):
        return id_in(intent, "latest_charge")
    charges = entries(intent, "charges")
    return id_in(charges[0], "id") if charges else None


# -- charges

# Stripe's statuses of a dispute in which we have the money. In the others, as in an appeal, the customer's bank has
# it. https://docs.stripe.com/disputes/how-disputes-work, https://docs.stripe.com/api/disputes/object#dispute_object-status
_OURS: Final = frozenset({"won", "prevented", "warning_needs_response", "warning_under_review", "warning_closed"})
DISPUTES: Final = "disputes"  # not a field of Stripe's charge: `StripeApi.fetch` adds the charge's disputes
_NOT_REFUNDED: Final = frozenset({"failed", "canceled"})


def charge_fields(charge: Any) -> dict[str, Any]:
    """How much of a payment went back. Nothing if `charge` is an id, or if no money was taken.

    The part of an authorization that was not captured is no refund, but Stripe counts it as one.
    """
    if not isinstance(charge, Mapping) or not is_captured(charge):
        return {}
    amount = whole(charge, "amount")
    captured = maybe_whole(charge, "amount_captured")
    uncaptured = 0 if captured is None else amount - captured
    fields = {"amount_refunded": max(0, whole(charge, "amount_refunded") - uncaptured)}
    return fields | _dispute_fields(charge) | _refund_fields(charge)


def _dispute_fields(charge: Payload) -> dict[str, Any]:
    """`charge.disputed` means that it was ever disputed, also after the dispute was won. So the disputes decide."""
    disputes = entries(charge, DISPUTES)
    if not disputes:
        return {"disputed": flag(charge, "disputed"), "dispute_status": None}
    newest = max(disputes, key=_age)
    taken = any(text(dispute, "status") not in _OURS for dispute in disputes)
    return {"disputed": taken, "dispute_status": text(newest, "status")}


def _refund_fields(charge: Payload) -> dict[str, Any]:
    """https://docs.stripe.com/refunds#failed-refunds"""
    if not isinstance(charge.get("refunds"), Mapping):
        return {}
    failed = [refund for refund in entries(charge, "refunds") if maybe_text(refund, "status") in _NOT_REFUNDED]
    newest = max(failed, key=_age, default={})
    reason = maybe_text(newest, "failure_reason") or maybe_text(newest, "status")
    return {"amount_refund_failed": sum(whole(one, "amount") for one in failed), "refund_failure": reason}


def _age(stripe_object: Payload) -> tuple[int, str]:
    return maybe_whole(stripe_object, "created") or 0, text(stripe_object, "id")


def is_captured(charge: Payload) -> bool:
    """Whether the charge took money. If it did not, no money can go back."""
    return charge.get("captured") is not False


def charge_of(stripe_object: Payload) -> str | None:
    """The id of a charge, or of the charge of a refund or dispute."""
    return text(stripe_object, "id") if stripe_object.get("object") == "charge" else id_in(stripe_object, "charge")


def tells_too_little(shown: Payload) -> bool:
    """Whether an object in a list or an event does not show all that we keep of it, so that Stripe must be asked."""
    if shown["object"] == "invoice":
        return attempted(shown) or is_cut_off(shown)
    charge = shown.get("latest_charge")
    return isinstance(charge, Mapping) and flag(charge, "disputed")


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
        id=text(session, "id"),
        mode=text(session, "mode"),
        payment_status=maybe_text(session, "payment_status") or "unpaid",
        subscription_id=id_in(session, "subscription"),
        invoice_id=id_in(session, "invoice"),
        attempt=maybe_text(part(session, "metadata"), "checkoutAttempt"),
    )


# -- invoice payments


@dataclass(frozen=True)
class InvoicePayment:
    invoice_id: str
    payment_intent_id: str | None
    amount_paid: int
    currency: str


def invoice_payment(payment: Payload) -> InvoicePayment:
    """`payment_intent_id` is None for a payment that was recorded by hand, or that another service took."""
    return InvoicePayment(
        invoice_id=id_in(payment, "invoice") or _missing("invoice"),
        payment_intent_id=id_in(part(payment, "payment"), "payment_intent"),
        amount_paid=maybe_whole(payment, "amount_paid") or 0,
        currency=text(payment, "currency"),
    )


def _missing(name: str) -> str:
    raise unreadable(name)
