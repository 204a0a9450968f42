"""The announcements of version 1: `docs/schemas/announcement.v1.json`. They stay as they are."""

from collections.abc import Mapping
from typing import Final

from billing.domain import access
from billing.domain.announcing import Rule, became, changed, grew, is_new
from billing.domain.entities import Invoice, Kind, Subscription
from billing.domain.statuses import InvoiceStatus, PaymentStatus, TenantStatus

_PLAN: Final = ("plan_id", "stripe_price_id", "quantity")
_CANCEL: Final = ("cancel_at", "cancel_at_period_end")
_MONEY: Final = ("amount_due", "amount_paid", "amount_remaining", "currency")


def will_end(subscription: Subscription) -> bool:
    return subscription.cancel_at is not None or subscription.cancel_at_period_end


def scheduled(before: Subscription | None, after: Subscription) -> bool:
    moved = before is None or changed(*_CANCEL)(before, after)
    return will_end(after) and moved and access.is_live(after.status)


def ended(before: Subscription | None, after: Subscription) -> bool:
    return not access.is_live(after.status) and (before is None or access.is_live(before.status))


def noticed(before: Subscription | None, after: Subscription) -> bool:
    return after.trial_notice is not None and (before is None or before.trial_notice != after.trial_notice)


def attempt_failed(before: Invoice | None, after: Invoice) -> bool:
    """Stripe also counts the attempt that succeeds, and after a void no attempt matters: both announce nothing."""
    return after.status not in (InvoiceStatus.PAID, InvoiceStatus.VOID) and grew("attempt_count")(before, after)


_TENANT: Final[tuple[Rule, ...]] = (
    ("tenant.activated", became("status", TenantStatus.ACTIVE), ("status",)),
    ("tenant.suspended", became("status", TenantStatus.SUSPENDED), ("status",)),
    ("tenant.canceled", became("status", TenantStatus.CANCELED), ("status",)),
)
_SUBSCRIPTION: Final[tuple[Rule, ...]] = (
    ("subscription.created", is_new, ("status", *_PLAN)),
    ("subscription.plan_changed", changed(*_PLAN), _PLAN),
    ("subscription.cancel_scheduled", scheduled, _CANCEL),
    ("subscription.canceled", ended, ("status",)),
    ("subscription.duplicate_detected", became("duplicate", True), ("duplicate", "status")),
    ("subscription.trial_ending", noticed, ("trial_end",)),
)
_INVOICE: Final[tuple[Rule, ...]] = (
    ("invoice.paid", became("status", InvoiceStatus.PAID), ("status", *_MONEY)),
    ("invoice.overdue", became("status", InvoiceStatus.OVERDUE), ("status", "due_date", *_MONEY)),
    ("invoice.payment_attempt_failed", attempt_failed, ("attempt_count", "next_attempt", *_MONEY)),
    ("invoice.voided", became("status", InvoiceStatus.VOID), ("status", *_MONEY)),
)
_PAID: Final = ("status", "amount", "currency", "invoice_id", "failure_code", "failure_message")
_PAYMENT: Final[tuple[Rule, ...]] = (
    ("payment.succeeded", became("status", PaymentStatus.SUCCEEDED), _PAID),
    ("payment.failed", became("status", PaymentStatus.FAILED), _PAID),
    ("payment.refunded", grew("amount_refunded"), ("amount_refunded", "amount", "currency", "invoice_id")),
    ("payment.disputed", became("disputed", True), ("disputed", "amount", "currency", "invoice_id")),
)

RULES: Final[Mapping[Kind, tuple[Rule, ...]]] = {
    Kind.TENANT: _TENANT,
    Kind.SUBSCRIPTION: _SUBSCRIPTION,
    Kind.INVOICE: _INVOICE,
    Kind.PAYMENT: _PAYMENT,
}
