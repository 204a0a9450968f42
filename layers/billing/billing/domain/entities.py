"""The platform's record of billing. Money is an integer of the currency's minor unit; times are UTC, ISO 8601.

Entities are immutable: a change makes a new entity. `revision` counts the writes of an item (0: not stored yet), and
every write compares it. `snapshot_from` to `snapshot_at` is the interval in which the state that the entity holds was
true at Stripe: one moment (`created`) for the payload of an event, the duration of the request for a fetched state.
See `domain/order.py`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, ClassVar, Final, NamedTuple

from billing.domain import access
from billing.domain.statuses import CheckoutPayment, InvoiceStatus, PaymentStatus, TenantStatus


class Kind(StrEnum):
    """The kinds of entities, as keys, history and announcements name them."""

    TENANT = "TENANT"
    SUBSCRIPTION = "SUBSCRIPTION"
    INVOICE = "INVOICE"
    PAYMENT = "PAYMENT"
    PLAN = "PLAN"
    PROGRESS = "PROGRESS"


class Identity(NamedTuple):
    """Which entity it is. `tenant_id` is empty for an entity that belongs to no tenant."""

    kind: Kind
    id: str
    tenant_id: str = ""


# Which fields an item has. An item of an earlier version lacks what `Entity.added` lists: that is not known of it.
SCHEMA: Final = 2


@dataclass(frozen=True, kw_only=True)
class Entity(ABC):
    """`schema`: the version of the fields that the item was written with. A new entity has the present one.

    `unknown`: the attributes of an item that this version of the code does not know. Its writes keep them, because
    two versions run at once during a deployment.
    """

    kind: ClassVar[Kind]
    added: ClassVar[frozenset[str]] = frozenset()  # the fields that version 1 of the schema did not have
    revision: int = 0
    created_at: str = ""
    updated_at: str = ""
    schema: int = SCHEMA
    unknown: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    @abstractmethod
    def identity(self) -> Identity:
        """Which entity it is, however it changes."""


def completed(before: Entity, after: Entity) -> Entity:
    """`before` with the fields that its item lacks for its age, as `after` has them.

    So what was not known is no change: no drift, no history, and nothing to announce.
    """
    if before.schema >= SCHEMA:
        return before
    return replace(before, **{name: getattr(after, name) for name in type(before).added}, schema=after.schema)


@dataclass(frozen=True, kw_only=True)
class SoldItem:
    """What a subscription or an invoice charges for. `metered`: by what was used, so `quantity` is None."""

    stripe_price_id: str | None = None
    quantity: int | None = None
    period_start: str | None = None
    period_end: str | None = None
    metered: bool = False


@dataclass(frozen=True, kw_only=True)
class Replica(Entity):
    """An entity that mirrors an object of Stripe's. Exception: an `Invoice` may be the platform's own."""

    snapshot_from: str = ""
    snapshot_at: str = ""

    @property
    @abstractmethod
    def terminal(self) -> bool:
        """Whether the status is final: `order.compare` lets no state that is not final replace this one."""


@dataclass(frozen=True, kw_only=True)
class OpenCheckout:
    """The Checkout Session that a tenant may have open; reserved (no `session_id`) before Stripe is asked for it.

    `attempt` counts the sessions of a tenant: it makes the idempotency key, so that a crash between Stripe's answer
    and our write leads to the same session again.
    """

    attempt: int
    plan_id: str = ""
    stripe_price_id: str = ""
    trial_days: int = 0
    session_id: str = ""


TOO_MANY: Final = -1


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A subscription, and the revision that it has."""

    subscription_id: str
    revision: int


@dataclass(frozen=True, kw_only=True)
class Tenant(Entity):
    """`customer_found`: its customer was found on a subscription, and not made or linked by a call.

    `import_due`: a customer was linked then, and what Stripe has of it must be brought in.
    `deleted_customers`: its customers that Stripe does not have any more. It never gets one of them again.
    `subscriptions`: those that can decide about the tenant, as `tenancy.with_list` says. `listed_at`: the revision of
    the tenant for which this is true (TOO_MANY: it has no list).
    """

    kind = Kind.TENANT
    tenant_id: str
    status: TenantStatus = TenantStatus.PENDING
    stripe_customer_id: str | None = None
    customer_attempt: int = 0
    current_subscription_id: str | None = None
    checkout: OpenCheckout | None = None
    customer_found: bool = False
    import_due: str | None = None
    deleted_customers: tuple[str, ...] = ()
    subscriptions: tuple[Listed, ...] = field(default=(), compare=False)
    listed_at: int = field(default=0, compare=False)

    @property
    def identity(self) -> Identity:
        return Identity(self.kind, self.tenant_id, self.tenant_id)

    @property
    def knows_subscriptions(self) -> bool:
        """Whether `subscriptions` is true. A version of the code that does not know the list leaves an old one."""
        return self.listed_at == self.revision


@dataclass(frozen=True, kw_only=True)
class Plan(Entity):
    """`amount` is per interval, in minor units; `interval` is Stripe's: day, week, month or year."""

    kind = Kind.PLAN
    plan_id: str
    stripe_price_id: str
    name: str
    amount: int
    currency: str
    interval: str
    interval_count: int = 1
    trial_days: int = 0
    active: bool = True

    @property
    def identity(self) -> Identity:
        return Identity(self.kind, self.plan_id)


@dataclass(frozen=True, kw_only=True)
class Subscription(Replica):
    """`status` is Stripe's own. `duplicate`: it charges beside the tenant's current subscription.

    Price, quantity and period are those of the item that sells the plan; `items` are all items.
    `pause_behavior`: what Stripe does with the invoices while their collection is paused (void, keep_as_draft or
    mark_uncollectible), until `pause_resumes_at` if that is set.
    `cancellation_…`: why the customer canceled, as Stripe has it.
    Stripe gives notice three days before a trial ends. `trial_notice` is the end of the trial as that notice said it.
    `checkout_attempt`: the tenant's attempt at a checkout that made it, if that was open when it was first seen.
    """

    kind = Kind.SUBSCRIPTION
    added = frozenset(
        "items pause_behavior pause_resumes_at cancellation_reason cancellation_feedback cancellation_comment".split()
    )
    tenant_id: str
    stripe_subscription_id: str
    stripe_customer_id: str
    status: str
    started_at: str
    stripe_price_id: str | None = None
    plan_id: str | None = None
    quantity: int | None = None
    current_period_start: str | None = None
    current_period_end: str | None = None
    cancel_at: str | None = None
    cancel_at_period_end: bool = False
    trial_end: str | None = None
    trial_notice: str | None = None
    checkout_payment: CheckoutPayment | None = None
    checkout_invoice_id: str | None = None
    checkout_attempt: str | None = None
    duplicate: bool = False
    items: tuple[SoldItem, ...] = ()
    pause_behavior: str | None = None
    pause_resumes_at: str | None = None
    cancellation_reason: str | None = None
    cancellation_feedback: str | None = None
    cancellation_comment: str | None = None

    @property
    def terminal(self) -> bool:
        return not access.is_live(self.status)

    @property
    def identity(self) -> Identity:
        return Identity(self.kind, self.stripe_subscription_id, self.tenant_id)


@dataclass(frozen=True, kw_only=True)
class Invoice(Replica):
    """An invoice of Stripe's (`stripe_invoice_id` is set and equals `invoice_id`), or one of the platform's own.

    For the platform's own, `payment_attempt` counts the PaymentIntents that were begun, and `payment_customer_id` is
    the customer of the last one. Both are written before Stripe is asked, so that the idempotency key stays the same.

    `amount_due` is `total` without `credit_applied`, the part that the customer's balance at Stripe paid. `tax` and
    `discount` are in `total`. `amount_overpaid` came beyond the amount due.
    `billing_reason` is Stripe's. `items` and the period are those of the subscription that it bills.
    `action_required`: the customer must confirm the payment at its bank.
    """

    kind = Kind.INVOICE
    added = frozenset(
        "total tax discount credit_applied amount_overpaid billing_reason period_start period_end items "
        "action_required failure_code".split()
    )
    tenant_id: str
    invoice_id: str
    status: InvoiceStatus
    currency: str
    amount_due: int
    amount_paid: int = 0
    amount_remaining: int = 0
    stripe_invoice_id: str | None = None
    stripe_subscription_id: str | None = None
    stripe_payment_intent_id: str | None = None
    payment_attempt: int = 0
    payment_customer_id: str | None = None
    number: str | None = None
    description: str | None = None
    due_date: str | None = None
    attempt_count: int = 0
    next_attempt: str | None = None
    hosted_url: str | None = None
    pdf: str | None = None
    total: int | None = None
    tax: int = 0
    discount: int = 0
    credit_applied: int = 0
    amount_overpaid: int = 0
    billing_reason: str | None = None
    period_start: str | None = None
    period_end: str | None = None
    items: tuple[SoldItem, ...] = ()
    action_required: bool = False
    failure_code: str | None = None

    @property
    def terminal(self) -> bool:
        return self.status in (InvoiceStatus.PAID, InvoiceStatus.VOID)

    @property
    def identity(self) -> Identity:
        return Identity(self.kind, self.invoice_id, self.tenant_id)


@dataclass(frozen=True, kw_only=True)
class Payment(Replica):
    """One PaymentIntent. `invoice_id` is the platform's own invoice or Stripe's, once it is known.

    `amount_refunded` is the part of `amount` that was refunded. `amount_refund_failed` should have gone back and did
    not; `refund_failure` is Stripe's reason for the newest of these refunds.
    `disputed`: the customer's bank took the money back, for now or for good. `dispute_status` is Stripe's status of
    the newest dispute, or of an inquiry (`warning_…`), which takes no money.
    `action_required`: the customer must confirm the payment. `failed_charge_id`: the charge that failed last.
    """

    kind = Kind.PAYMENT
    added = frozenset("dispute_status amount_refund_failed refund_failure action_required failed_charge_id".split())
    tenant_id: str
    stripe_payment_intent_id: str
    status: PaymentStatus
    amount: int
    currency: str
    invoice_id: str | None = None
    stripe_charge_id: str | None = None
    amount_refunded: int = 0
    disputed: bool = False
    failure_code: str | None = None
    failure_message: str | None = None
    dispute_status: str | None = None
    amount_refund_failed: int = 0
    refund_failure: str | None = None
    action_required: bool = False
    failed_charge_id: str | None = None

    @property
    def terminal(self) -> bool:
        return self.status is PaymentStatus.SUCCEEDED

    @property
    def identity(self) -> Identity:
        return Identity(self.kind, self.stripe_payment_intent_id, self.tenant_id)


# The fields about how an entity is stored (revision, times, snapshot, list), and not about billing.
BOOKKEEPING: Final = frozenset(field.name for field in fields(Replica)) | {"subscriptions", "listed_at"}
# Stripe makes these addresses anew each time that an invoice is read, so a new one is no change.
ADDRESSES: Final = frozenset({"hosted_url", "pdf"})

# The entities that belong to a tenant, by their kinds.
OF_A_TENANT: Final[Mapping[str, type[Entity]]] = {
    entity.kind: entity for entity in (Tenant, Subscription, Invoice, Payment)
}
