"""Rules of invoices. Amounts are in minor units of the invoice's currency."""

from dataclasses import dataclass, replace
from typing import Final

from billing.domain.entities import Invoice
from billing.domain.statuses import InvoiceStatus

PAYABLE: Final = frozenset({InvoiceStatus.PENDING, InvoiceStatus.PARTIALLY_PAID, InvoiceStatus.OVERDUE})

# Stripe takes at most eight digits: https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
MAX_AMOUNT: Final = 99_999_999


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


def status_of(stripe_status: str | None, standing: Standing) -> InvoiceStatus:
    """The status for Stripe's draft, open, paid, void or uncollectible."""
    return standing.status if stripe_status == "open" else InvoiceStatus((stripe_status or "draft").upper())


def after_payment(invoice: Invoice, amount: int) -> Invoice:
    """The platform's own invoice after a payment of `amount`."""
    paid = invoice.amount_paid + amount
    remaining = max(0, invoice.amount_due - paid)
    settled = InvoiceStatus.PARTIALLY_PAID if remaining else InvoiceStatus.PAID
    status = invoice.status if invoice.terminal else settled
    return replace(invoice, amount_paid=paid, amount_remaining=remaining, status=status)
