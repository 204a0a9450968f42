"""The statuses that the platform's own records have. A subscription's status is Stripe's own text."""

from enum import StrEnum


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
    """The state of the first payment of a subscription that Checkout made. It only moves down this list."""

    PENDING = "pending"
    FAILED = "failed"
    SETTLED = "settled"
