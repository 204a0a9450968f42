"""The platform's record of billing. Money is an integer of the currency's minor unit; times are UTC, ISO 8601.

Entities are immutable: a change is a new entity. `revision` counts the writes of an item (0: not stored yet) and is
what every write compares and swaps. `snapshot_from`..`snapshot_at` is the interval in which Stripe's state that the
entity holds was true: one moment for the payload of an event (its `created`), the span of the request for a state
that was fetched. See `domain/order.py`.
"""

from dataclasses import dataclass
from enum import StrEnum

from billing.domain import access


class TenantStatus(StrEnum):
    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    CANCELED = "CANCELED"


class InvoiceStatus(StrEnum):
    DRAFT = "DRAFT"
    PENDING = "PENDING"
    PAID = "PAID"
    PARTIALLY_PAID = "PARTIALLY_PAID"
    OVERDUE = "OVERDUE"
    VOID = "VOID"
    UNCOLLECTIBLE = "UNCOLLECTIBLE"


class PaymentStatus(StrEnum):
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    PROCESSING = "PROCESSING"
    CANCELED = "CANCELED"


class CheckoutPayment(StrEnum):
    """How the first payment of a subscription made by Checkout stands. It only moves down this list."""

    PENDING = "pending"
    FAILED = "failed"
    SETTLED = "settled"


@dataclass(frozen=True, kw_only=True)
class Entity:
    revision: int = 0
    created_at: str = ""
    updated_at: str = ""


@dataclass(frozen=True, kw_only=True)
class Replica(Entity):
    """An entity whose truth is at Stripe."""

    snapshot_from: str = ""
    snapshot_at: str = ""

    @property
    def terminal(self) -> bool:
        """Whether Stripe never changes the status again."""
        raise NotImplementedError


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


@dataclass(frozen=True, kw_only=True)
class Tenant(Entity):
    tenant_id: str
    status: TenantStatus = TenantStatus.PENDING
    stripe_customer_id: str | None = None
    customer_attempt: int = 0
    current_subscription_id: str | None = None
    checkout: OpenCheckout | None = None


@dataclass(frozen=True, kw_only=True)
class Plan(Entity):
    """`amount` is per interval, in minor units; `interval` is Stripe's: day, week, month or year."""

    plan_id: str
    stripe_price_id: str
    name: str
    amount: int
    currency: str
    interval: str
    interval_count: int = 1
    trial_days: int = 0
    active: bool = True


@dataclass(frozen=True, kw_only=True)
class Subscription(Replica):
    """`status` is Stripe's own. `duplicate`: it charges beside the tenant's current subscription.

    `trial_notice` is the end of the trial of which Stripe gave notice, three days before.
    """

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
    duplicate: bool = False

    @property
    def terminal(self) -> bool:
        return not access.is_live(self.status)


@dataclass(frozen=True, kw_only=True)
class Invoice(Replica):
    """Stripe's (`stripe_invoice_id` set, and equal to `invoice_id`) or the platform's own.

    `payment_attempt` counts the PaymentIntents that were begun for an own one; `payment_customer_id` is the customer
    of the last. Both are written before Stripe is asked, so that its idempotency key stays the same.
    """

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

    @property
    def terminal(self) -> bool:
        return self.status in (InvoiceStatus.PAID, InvoiceStatus.VOID)


@dataclass(frozen=True, kw_only=True)
class Payment(Replica):
    """One PaymentIntent. `invoice_id` is the platform's own invoice or Stripe's, once it is known.

    `amount_refunded` of `amount` went back to the customer; `disputed`: the customer's bank took it back, for now.
    """

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

    @property
    def terminal(self) -> bool:
        return self.status is PaymentStatus.SUCCEEDED
