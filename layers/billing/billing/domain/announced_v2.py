"""The announcements of version 2: `docs/schemas/announcement.v2.json`.

They are closed under reversal. `TOLD` names the fields that are announced, and each change of one of them is in an
announcement: if no rule tells of it, `<kind>.updated` does. Nothing else is announced.
"""

from collections.abc import Mapping
from typing import Final

from billing.domain import access
from billing.domain.announced_v1 import attempt_failed, ended, noticed, scheduled, will_end
from billing.domain.announcing import Rule, became, changed, grew, is_new, left, moved
from billing.domain.entities import Invoice, Kind, Payment, Subscription
from billing.domain.statuses import InvoiceStatus, PaymentStatus, TenantStatus

_PLAN: Final = ("plan_id", "stripe_price_id", "quantity", "items")
_PERIOD: Final = ("current_period_start", "current_period_end")
_CANCEL: Final = ("cancel_at", "cancel_at_period_end")
_WHY: Final = ("cancellation_reason", "cancellation_feedback", "cancellation_comment")
_PAUSE: Final = ("pause_behavior", "pause_resumes_at")
_STATE: Final = ("status", *_PLAN)
_MONEY: Final = (
    "amount_due",
    "amount_paid",
    "amount_remaining",
    "currency",
    "total",
    "tax",
    "discount",
    "credit_applied",
)
_BILL: Final = ("status", *_MONEY, "billing_reason", "due_date", "stripe_subscription_id")
_PAID: Final = ("status", "amount", "currency", "invoice_id", "failure_code", "failure_message")
_SALE: Final = ("amount", "currency", "invoice_id")
_ACCESS: Final = ("status", "current_subscription_id")
_NOT_PENDING: Final = (TenantStatus.ACTIVE, TenantStatus.SUSPENDED, TenantStatus.CANCELED)
_IN_ARREARS: Final = ("past_due", "unpaid")
_OPEN_INQUIRY: Final = ("warning_needs_response", "warning_under_review")
_DECIDED: Final = ("won", "lost", "warning_closed", "prevented")
_BILLS_PERIOD: Final = ("subscription_create", "subscription_cycle", "subscription_update")


def _paused(subscription: Subscription) -> bool:
    return subscription.status == "paused" or subscription.pause_behavior is not None


def _pauses(before: Subscription | None, after: Subscription) -> bool:
    return _paused(after) and (before is None or not _paused(before))


def _resumes(before: Subscription | None, after: Subscription) -> bool:
    return before is not None and _paused(before) and not _paused(after) and access.is_live(after.status)


def _reactivated(before: Subscription | None, after: Subscription) -> bool:
    """A scheduled end is taken back."""
    return before is not None and access.is_live(after.status) and will_end(before) and not will_end(after)


def _period_paid(before: Invoice | None, after: Invoice) -> bool:
    """A period of a subscription is paid, the first one too (`billing_reason`), and its invoice is final. So it happens
    once a period, and a consumer may grant on it what the plan gives for each period.
    """
    bills = after.billing_reason in _BILLS_PERIOD and after.period_end is not None
    return bills and after.stripe_subscription_id is not None and became("status", InvoiceStatus.PAID)(before, after)


def _part_paid(before: Invoice | None, after: Invoice) -> bool:
    return after.status is InvoiceStatus.PARTIALLY_PAID and grew("amount_paid")(before, after)


def _must_act(before: Invoice | Payment | None, after: Invoice | Payment) -> bool:
    return after.action_required and not (before and before.action_required)


def _payment_failed(before: Payment | None, after: Payment) -> bool:
    """Each failed attempt, and not only the first: each has a charge of its own, or a reason why nothing was charged.

    Stripe also clears the reason: https://docs.stripe.com/api/payment_intents/object#payment_intent_object-last_payment_error
    """
    if after.status is not PaymentStatus.FAILED:
        return False
    if before is None or before.status is not PaymentStatus.FAILED:
        return True
    told = after.failed_charge_id or after.failure_code
    return told is not None and changed("failed_charge_id")(before, after)


_TENANT: Final[tuple[Rule, ...]] = (
    ("tenant.activated", became("status", TenantStatus.ACTIVE), _ACCESS),
    ("tenant.suspended", became("status", TenantStatus.SUSPENDED), _ACCESS),
    ("tenant.canceled", became("status", TenantStatus.CANCELED), _ACCESS),
    ("tenant.pending", left("status", *_NOT_PENDING, to=(TenantStatus.PENDING,)), _ACCESS),
)
_SUBSCRIPTION: Final[tuple[Rule, ...]] = (
    ("subscription.created", is_new, (*_STATE, *_PERIOD, "trial_end")),
    ("subscription.plan_changed", changed(*_PLAN), (*_PLAN, *_PERIOD)),
    ("subscription.trial_converted", left("status", "trialing", to=("active", *_IN_ARREARS)), (*_STATE, *_PERIOD)),
    ("subscription.past_due", became("status", "past_due"), _STATE),
    ("subscription.unpaid", became("status", "unpaid"), _STATE),
    ("subscription.recovered", left("status", *_IN_ARREARS, to=("active", "trialing")), _STATE),
    ("subscription.paused", _pauses, (*_STATE, *_PAUSE)),
    ("subscription.resumed", _resumes, (*_STATE, *_PAUSE)),
    ("subscription.cancel_scheduled", scheduled, (*_CANCEL, *_WHY, *_PLAN)),
    ("subscription.reactivated", _reactivated, (*_CANCEL, *_WHY, *_PLAN)),
    ("subscription.canceled", ended, (*_STATE, *_WHY)),
    ("subscription.duplicate_detected", became("duplicate", True), ("duplicate", "status")),
    ("subscription.duplicate_resolved", left("duplicate", True, to=(False,)), ("duplicate", "status")),
    ("subscription.trial_ending", noticed, ("trial_notice", "trial_end", "status")),
)
_INVOICE: Final[tuple[Rule, ...]] = (
    ("invoice.created", is_new, _BILL),
    ("invoice.paid", became("status", InvoiceStatus.PAID), _BILL),
    ("invoice.partially_paid", _part_paid, _BILL),
    ("invoice.overdue", became("status", InvoiceStatus.OVERDUE), (*_BILL, "attempt_count", "failure_code")),
    (
        "invoice.payment_attempt_failed",
        attempt_failed,
        ("attempt_count", "next_attempt", "failure_code", *_MONEY, "billing_reason", "stripe_subscription_id"),
    ),
    ("invoice.action_required", _must_act, ("action_required", "next_attempt", *_BILL)),
    ("invoice.overpaid", grew("amount_overpaid"), ("amount_overpaid", *_BILL)),
    ("invoice.voided", became("status", InvoiceStatus.VOID), _BILL),
    ("invoice.uncollectible", became("status", InvoiceStatus.UNCOLLECTIBLE), _BILL),
    (
        "subscription.renewed",
        _period_paid,
        ("stripe_subscription_id", "billing_reason", "period_start", "period_end", "items", "total", "currency"),
    ),
)
_PAYMENT: Final[tuple[Rule, ...]] = (
    ("payment.processing", became("status", PaymentStatus.PROCESSING), _PAID),
    ("payment.action_required", _must_act, ("action_required", *_PAID)),
    ("payment.succeeded", became("status", PaymentStatus.SUCCEEDED), _PAID),
    ("payment.failed", _payment_failed, (*_PAID, "failed_charge_id")),
    ("payment.canceled", became("status", PaymentStatus.CANCELED), _PAID),
    ("payment.refunded", grew("amount_refunded"), ("amount_refunded", *_SALE)),
    (
        "payment.refund_failed",
        grew("amount_refund_failed"),
        ("amount_refund_failed", "refund_failure", "amount_refunded", *_SALE),
    ),
    ("payment.disputed", became("disputed", True), ("disputed", "dispute_status", *_SALE)),
    ("payment.inquiry_opened", became("dispute_status", *_OPEN_INQUIRY), ("disputed", "dispute_status", *_SALE)),
    ("payment.dispute_closed", moved("dispute_status", *_DECIDED), ("disputed", "dispute_status", *_SALE)),
)

RULES: Final[Mapping[Kind, tuple[Rule, ...]]] = {
    Kind.TENANT: _TENANT,
    Kind.SUBSCRIPTION: _SUBSCRIPTION,
    Kind.INVOICE: _INVOICE,
    Kind.PAYMENT: _PAYMENT,
}
TOLD: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.TENANT: ("status",),
    Kind.SUBSCRIPTION: (*_STATE, *_CANCEL, *_WHY, *_PAUSE, "trial_end", "trial_notice", "duplicate"),
    Kind.INVOICE: (
        *("status", *_MONEY, "due_date", "attempt_count", "next_attempt", "failure_code"),
        *("action_required", "amount_overpaid"),
    ),
    Kind.PAYMENT: (
        *("status", "amount", "currency", "failure_code", "failure_message", "failed_charge_id", "action_required"),
        *("amount_refunded", "amount_refund_failed", "refund_failure", "disputed", "dispute_status"),
    ),
}


def updated(kind: Kind) -> str:
    return f"{kind.lower()}.updated"
