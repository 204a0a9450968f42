"""Rules of invoices. Amounts are in minor units of the invoice's currency."""

from dataclasses import dataclass, replace
from typing import Final

from billing.domain.entities import SCHEMA, Invoice
from billing.domain.statuses import InvoiceStatus

# Stripe takes a payment of an uncollectible invoice, too: https://docs.stripe.com/invoicing/overview#invoice-statuses
PAYABLE: Final = frozenset(
    {InvoiceStatus.PENDING, InvoiceStatus.PARTIALLY_PAID, InvoiceStatus.OVERDUE, InvoiceStatus.UNCOLLECTIBLE}
)
# A checkout counts as settled when its first invoice has one of these statuses. Whoever voids it gives up the money:
# from then on only the status of the subscription at Stripe decides.
SETTLES_CHECKOUT: Final = frozenset({InvoiceStatus.PAID, InvoiceStatus.VOID})
_BECOMES_OVERDUE: Final = frozenset({InvoiceStatus.PENDING, InvoiceStatus.PARTIALLY_PAID})

# Stripe takes at most eight digits: https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
MAX_AMOUNT: Final = 99_999_999


def is_first(invoice: Invoice) -> bool:
    """Whether it is the first invoice of a subscription.

    https://docs.stripe.com/api/invoices/object#invoice_object-billing_reason
    """
    return invoice.billing_reason == "subscription_create"


def bills_first_period(invoice: Invoice) -> bool:
    """Whether it may be the first invoice of a subscription. An item of an earlier version does not say."""
    return invoice.billing_reason is None or is_first(invoice)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The figures that decide the status of an open invoice. `attempts` counts the failed attempts to charge it.

    Amounts are in minor units.
    """

    attempts: int
    paid: int
    remaining: int
    past_due: bool

    @property
    def status(self) -> InvoiceStatus:
        if self.attempts > 0 or self.past_due:
            return InvoiceStatus.OVERDUE
        return InvoiceStatus.PARTIALLY_PAID if self.paid and self.remaining else InvoiceStatus.PENDING


def status_of(stripe_status: str, standing: Standing) -> InvoiceStatus:
    """The status for Stripe's draft, open, paid, void or uncollectible. Raises `ValueError` for another one."""
    return standing.status if stripe_status == "open" else InvoiceStatus(stripe_status.upper())


def due_at(invoice: Invoice) -> str | None:
    """When the invoice becomes overdue by time alone."""
    return invoice.due_date if invoice.status in _BECOMES_OVERDUE else None


def by_time(invoice: Invoice, at: str) -> Invoice:
    """The invoice as it is at that time, if nothing but time has passed."""
    due = due_at(invoice)
    return replace(invoice, status=InvoiceStatus.OVERDUE) if due and due < at else invoice


def after_payment(invoice: Invoice, amount: int) -> Invoice:
    """The platform's own invoice after a payment of `amount`. What was not due any more is in `amount_overpaid`."""
    paid = invoice.amount_paid + amount
    owed = 0 if invoice.status is InvoiceStatus.VOID else invoice.amount_due
    remaining = max(0, invoice.amount_due - paid)
    settled = InvoiceStatus.PARTIALLY_PAID if remaining else InvoiceStatus.PAID
    status = invoice.status if invoice.terminal else settled
    overpaid = max(0, paid - owed)
    return replace(
        invoice,
        amount_paid=paid,
        amount_remaining=remaining,
        amount_overpaid=overpaid,
        status=status,
        total=invoice.amount_due,
        schema=SCHEMA,
    )
