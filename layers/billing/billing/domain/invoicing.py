"""Rules of invoices. Amounts are in minor units of the invoice's currency."""

from dataclasses import replace
from typing import Final

from billing.domain.entities import Invoice, InvoiceStatus

PAYABLE: Final = frozenset({InvoiceStatus.PENDING, InvoiceStatus.PARTIALLY_PAID, InvoiceStatus.OVERDUE})

# Stripe takes at most eight digits: https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
MAX_AMOUNT: Final = 99_999_999


def status_of(stripe_status: str | None, *, attempts: int, paid: int, remaining: int, past_due: bool) -> InvoiceStatus:
    """Stripe's draft, open, paid, void, uncollectible -> ours. An open one says by its figures how it stands."""
    if stripe_status == "open":
        if attempts > 0 or past_due:
            return InvoiceStatus.OVERDUE
        return InvoiceStatus.PARTIALLY_PAID if paid and remaining else InvoiceStatus.PENDING
    return InvoiceStatus((stripe_status or "draft").upper())


def receive(invoice: Invoice, amount: int) -> Invoice:
    """The platform's own invoice after a payment of `amount`."""
    paid = invoice.amount_paid + amount
    remaining = max(0, invoice.amount_due - paid)
    settled = InvoiceStatus.PARTIALLY_PAID if remaining else InvoiceStatus.PAID
    status = invoice.status if invoice.terminal else settled
    return replace(invoice, amount_paid=paid, amount_remaining=remaining, status=status)
