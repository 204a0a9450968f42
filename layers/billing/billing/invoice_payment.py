"""A tenant pays an invoice: the client secret of the one PaymentIntent that pays it."""

from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from billing import retry
from billing.domain.caller import Caller
from billing.domain.entities import Invoice, Payment, PaymentStatus
from billing.domain.invoicing import PAYABLE
from billing.errors import (
    InvoiceNotFound,
    InvoiceNotPayable,
    RevisionConflict,
    StripeFailed,
    StripeNotFound,
)
from billing.parameters import PayInvoice
from billing.stripe_api import PaymentIntent, StripeApi
from billing.table import keys
from billing.table.store import Table

_STILL_PAYABLE: Final = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})


def client_secret(table: Table, stripe: StripeApi, caller: Caller, wanted: PayInvoice) -> str:
    """Raises `InvoiceNotFound`, `InvoiceNotPayable`, `Contention` and what `StripeApi` raises."""
    key = keys.invoice(_owner(table, caller, wanted.invoice_id), wanted.invoice_id)
    busy = "Another payment of this invoice is being started; try again."
    return retry.attempts(lambda: _secret(table, stripe, key), busy)


def _secret(table: Table, stripe: StripeApi, key: keys.Key) -> str:
    invoice = table.get(Invoice, key)
    if invoice is None:
        raise _unknown()
    if invoice.status not in PAYABLE:
        raise InvoiceNotPayable(f"The invoice is {invoice.status}; nothing is left to pay.")
    if invoice.stripe_invoice_id:
        return _secret_of_stripe(stripe, invoice.stripe_invoice_id)
    return _secret_of_own(table, stripe, invoice)


def _owner(table: Table, caller: Caller, invoice_id: str) -> str:
    """A tenant's token reads under its own tenant only, so another tenant's invoice does not exist for it."""
    if caller.is_admin:
        pointers = (keys.own_invoice_pointer(invoice_id), keys.stripe_pointer(invoice_id))
        found = table.read(pointers)
        owner = next((found[key].get("tenantId") for key in pointers if key in found), None)
        if owner is None:
            raise _unknown()
        return str(owner)
    return caller.own_tenant()


def _unknown() -> InvoiceNotFound:
    return InvoiceNotFound("There is no invoice with this id.")


def _secret_of_stripe(stripe: StripeApi, invoice_id: str) -> str:
    """An invoice that Stripe owns is paid by its own secret: a second PaymentIntent would charge twice."""
    try:
        status, secret = stripe.invoice_secret(invoice_id)
    except StripeNotFound as error:
        raise InvoiceNotPayable("Stripe does not have this invoice any more.") from error
    if status != "open" or not secret:
        raise InvoiceNotPayable(f"The invoice is {status} at Stripe; nothing is left to pay here.")
    return secret


def _secret_of_own(table: Table, stripe: StripeApi, invoice: Invoice) -> str:
    """The invoice's PaymentIntent as long as it can be paid, else the next one.

    An attempt is reserved before Stripe is asked, with all that its idempotency key covers: whoever asks for it, at
    the same time or after a crash between Stripe's answer and our write, gets the same PaymentIntent.
    """
    if invoice.stripe_payment_intent_id:
        intent = stripe.payment_intent(invoice.stripe_payment_intent_id)
        if intent.status in _STILL_PAYABLE:
            return intent.client_secret
        _check_closed(table, invoice, intent)
    if invoice.stripe_payment_intent_id or not invoice.payment_attempt:
        invoice = _reserve(table, invoice)
    try:
        intent = _create(stripe, invoice)
    except StripeFailed:
        # The key's answer is that failure for good; what Stripe may have made, nobody was told the secret of.
        with suppress(RevisionConflict):
            _reserve(table, invoice)
        raise
    table.write([replace(invoice, stripe_payment_intent_id=intent.id)])
    return intent.client_secret


def _reserve(table: Table, invoice: Invoice) -> Invoice:
    """The invoice with its next attempt, as it stands in the table. Raises `RevisionConflict`."""
    tenant = table.tenant(invoice.tenant_id)
    reserved = replace(
        invoice,
        payment_attempt=invoice.payment_attempt + 1,
        payment_customer_id=tenant.stripe_customer_id if tenant else None,
        stripe_payment_intent_id=None,
    )
    table.write([reserved])
    return replace(reserved, revision=reserved.revision + 1)


def _check_closed(table: Table, invoice: Invoice, intent: PaymentIntent) -> None:
    """Raises unless the PaymentIntent came to its end: canceled, or succeeded and counted."""
    payment = table.get(Payment, keys.payment(invoice.tenant_id, intent.id))
    counted = payment is not None and payment.status is PaymentStatus.SUCCEEDED
    if intent.status == "canceled" or (intent.status == "succeeded" and counted):
        return
    raise InvoiceNotPayable("A payment of this invoice is under way; its result is recorded in a moment.")


def _create(stripe: StripeApi, invoice: Invoice) -> PaymentIntent:
    parameters: dict[str, Any] = {
        "amount": invoice.amount_remaining,
        "currency": invoice.currency,
        "automatic_payment_methods": {"enabled": True},
        "metadata": {"tenantId": invoice.tenant_id, "invoiceId": invoice.invoice_id},
    }
    optional = {"customer": invoice.payment_customer_id, "description": invoice.description}
    parameters |= {name: value for name, value in optional.items() if value}
    scope = f"pay-{invoice.tenant_id}-{invoice.invoice_id}-{invoice.payment_attempt}"
    return stripe.create_payment_intent(parameters, scope)
