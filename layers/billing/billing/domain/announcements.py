"""What a write of an entity announces. It follows from the entity before and after the write, and from nothing else.

An announcement says one thing that happened to one entity. Its id is made of its type, the entity and the entity's
revision. So it is the same id each time that the stream reports the write.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid5

from billing.domain import access
from billing.domain.entities import Entity, Identity, Invoice, Kind, Payment, Subscription, Tenant
from billing.domain.statuses import InvoiceStatus, PaymentStatus, TenantStatus

VERSION: Final = "1"
_NAMESPACE: Final = UUID("8f2b1c0e-5d8a-4f63-9a55-6a0f5e0c7b11")


@dataclass(frozen=True)
class Announcement:
    """`before` and `after` hold the fields that the type is about. `before` is empty for a new entity."""

    type: str
    id: str
    entity: Identity
    time: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]


type Rule[E] = tuple[str, Callable[[E | None, E], bool], tuple[str, ...]]


def _became[E: Entity](name: str, *values: Any) -> Callable[[E | None, E], bool]:
    """Whether the field has one of these values now, and had none of them before."""
    return lambda before, after: getattr(after, name) in values and getattr(before, name, None) not in values


def _grew[E: Entity](name: str) -> Callable[[E | None, E], bool]:
    return lambda before, after: getattr(after, name) > getattr(before, name, 0)


def _changed[E: Entity](*names: str) -> Callable[[E | None, E], bool]:
    return lambda before, after: any(getattr(after, n) != getattr(before, n) for n in names) if before else False


def _scheduled(before: Subscription | None, after: Subscription) -> bool:
    ends = after.cancel_at is not None or after.cancel_at_period_end
    moved = before is None or _changed(*_CANCEL)(before, after)
    return ends and moved and access.is_live(after.status)


def _ended(before: Subscription | None, after: Subscription) -> bool:
    return not access.is_live(after.status) and (before is None or access.is_live(before.status))


def _noticed(before: Subscription | None, after: Subscription) -> bool:
    return after.trial_notice is not None and (before is None or before.trial_notice != after.trial_notice)


def _attempt_failed(before: Invoice | None, after: Invoice) -> bool:
    """Stripe also counts the attempt that succeeds, and after a void no attempt matters: both announce nothing."""
    return after.status not in (InvoiceStatus.PAID, InvoiceStatus.VOID) and _grew("attempt_count")(before, after)


_PLAN: Final = ("plan_id", "stripe_price_id", "quantity")
_CANCEL: Final = ("cancel_at", "cancel_at_period_end")
_MONEY: Final = ("amount_due", "amount_paid", "amount_remaining", "currency")

TENANT_RULES: Final[tuple[Rule[Tenant], ...]] = (
    ("tenant.activated", _became("status", TenantStatus.ACTIVE), ("status",)),
    ("tenant.suspended", _became("status", TenantStatus.SUSPENDED), ("status",)),
    ("tenant.canceled", _became("status", TenantStatus.CANCELED), ("status",)),
)
SUBSCRIPTION_RULES: Final[tuple[Rule[Subscription], ...]] = (
    ("subscription.created", lambda before, _: before is None, ("status", *_PLAN)),
    ("subscription.plan_changed", _changed(*_PLAN), _PLAN),
    ("subscription.cancel_scheduled", _scheduled, _CANCEL),
    ("subscription.canceled", _ended, ("status",)),
    ("subscription.duplicate_detected", _became("duplicate", True), ("duplicate", "status")),
    ("subscription.trial_ending", _noticed, ("trial_end",)),
)
INVOICE_RULES: Final[tuple[Rule[Invoice], ...]] = (
    ("invoice.paid", _became("status", InvoiceStatus.PAID), ("status", *_MONEY)),
    ("invoice.overdue", _became("status", InvoiceStatus.OVERDUE), ("status", "due_date", *_MONEY)),
    ("invoice.payment_attempt_failed", _attempt_failed, ("attempt_count", "next_attempt", *_MONEY)),
    ("invoice.voided", _became("status", InvoiceStatus.VOID), ("status", *_MONEY)),
)
_PAID: Final = ("status", "amount", "currency", "invoice_id", "failure_code", "failure_message")
PAYMENT_RULES: Final[tuple[Rule[Payment], ...]] = (
    ("payment.succeeded", _became("status", PaymentStatus.SUCCEEDED), _PAID),
    ("payment.failed", _became("status", PaymentStatus.FAILED), _PAID),
    ("payment.refunded", _grew("amount_refunded"), ("amount_refunded", "amount", "currency", "invoice_id")),
    ("payment.disputed", _became("disputed", True), ("disputed", "amount", "currency", "invoice_id")),
)

RULES: Final[Mapping[Kind, tuple[Rule[Any], ...]]] = {
    Kind.TENANT: TENANT_RULES,
    Kind.SUBSCRIPTION: SUBSCRIPTION_RULES,
    Kind.INVOICE: INVOICE_RULES,
    Kind.PAYMENT: PAYMENT_RULES,
}
TYPES: Final = tuple(name for rules in RULES.values() for name, _, _ in rules)


def of(before: Entity | None, after: Entity) -> list[Announcement]:
    """What one write of an entity announces. A plan announces nothing."""
    return [
        Announcement(
            type=name,
            id=_id(name, after),
            entity=after.identity,
            time=after.updated_at,
            before=_shown(before, fields),
            after=_shown(after, fields),
        )
        for name, happened, fields in RULES.get(after.kind, ())
        if happened(before, after)
    ]


def _id(name: str, entity: Entity) -> str:
    identity = entity.identity
    return str(uuid5(_NAMESPACE, f"{name}:{identity.tenant_id}:{identity.id}:{entity.revision}"))


def _shown(entity: Entity | None, fields: tuple[str, ...]) -> dict[str, Any]:
    if entity is None:
        return {}
    return {name: getattr(entity, name) for name in fields if getattr(entity, name) is not None}
