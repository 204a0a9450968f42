"""A tenant pays an invoice: the client secret of the one PaymentIntent that pays it."""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from billing import retry
from billing.adapters.stripe_api import PaymentIntent, StripeApi
from billing.adapters.table import keys
from billing.adapters.table.rate_limit import RateLimit
from billing.adapters.table.store import Table
from billing.domain.caller import Caller
from billing.domain.entities import Invoice, Payment
from billing.domain.invoicing import PAYABLE
from billing.domain.statuses import PaymentStatus
from billing.domain.writes import OwnInvoiceId, StripeId
from billing.edge.parameters.pay import PayInvoice
from billing.errors import (
    CustomerGone,
    InvoiceNotFound,
    InvoiceNotPayable,
    RevisionConflict,
    StripeFailed,
    StripeNotFound,
    StripeRejected,
)

_STILL_PAYABLE: Final = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})
_BUSY: Final = "Another payment of this invoice is being started; try again."


@dataclass(frozen=True)
class PaymentIntents:
    table: Table
    stripe: StripeApi
    limit: RateLimit

    def client_secret(self, caller: Caller, request: PayInvoice) -> str:
        """Raises `InvoiceNotFound`, `InvoiceNotPayable`, `TooManyCalls`, `Contention` and what `StripeApi` raises."""
        key = keys.invoice(self._owner(caller, request.invoice_id), request.invoice_id)
        self.limit.count(caller)
        return retry.attempts(lambda: self._secret(key), _BUSY)

    def _secret(self, key: keys.Key) -> str:
        invoice = self.table.get(Invoice, key)
        if invoice is None:
            raise _unknown()
        if invoice.status not in PAYABLE:
            raise InvoiceNotPayable(f"The invoice is {invoice.status} and cannot be paid.")
        if invoice.stripe_invoice_id:
            return self._secret_of_stripe(invoice.stripe_invoice_id)
        return self._secret_of_own(invoice)

    def _owner(self, caller: Caller, invoice_id: str) -> str:
        """The tenant whose invoice it is. For a tenant's token that is always its own tenant.

        So the invoice of another tenant does not exist for it.
        """
        if not caller.is_admin:
            return caller.own_tenant()
        owner = self.table.owner(OwnInvoiceId(invoice_id), StripeId(invoice_id))
        if owner is None:
            raise _unknown()
        return owner

    def _secret_of_stripe(self, invoice_id: str) -> str:
        """Stripe's invoice is paid by its own secret. A PaymentIntent of ours would charge a second time."""
        try:
            status, secret = self.stripe.invoice_secret(invoice_id)
        except StripeNotFound as error:
            raise InvoiceNotPayable("Stripe does not have this invoice any more.") from error
        if status not in ("open", "uncollectible") or not secret:
            raise InvoiceNotPayable(f"The invoice is {status} at Stripe; nothing is left to pay here.")
        return secret

    def _secret_of_own(self, invoice: Invoice) -> str:
        """The secret of the invoice's PaymentIntent. If that one cannot be paid any more, the secret of a new one.

        Before Stripe is asked, the attempt is stored with everything that goes into its idempotency key. So whoever
        asks at the same time, or after a crash between Stripe's answer and our write, gets the same PaymentIntent.
        """
        if invoice.stripe_payment_intent_id:
            intent = self.stripe.payment_intent(invoice.stripe_payment_intent_id)
            if intent.status in _STILL_PAYABLE:
                intent = self._over_what_remains(invoice, intent)
            if intent.status in _STILL_PAYABLE:
                return intent.client_secret
            self._check_closed(invoice, intent)
        if invoice.stripe_payment_intent_id or not invoice.payment_attempt:
            invoice = self._reserve(invoice)
        try:
            intent = self._create(invoice)
        except CustomerGone as gone:
            self.table.unlink_customer(invoice.tenant_id, invoice.payment_customer_id)
            self._reserve(invoice)
            raise RevisionConflict from gone  # once more, without this customer
        except StripeFailed:
            # Under this key Stripe keeps answering with its failure. If it made a PaymentIntent, nobody has its secret.
            with suppress(RevisionConflict):
                self._reserve(invoice)
            raise
        self.table.write([replace(invoice, stripe_payment_intent_id=intent.id)])
        return intent.client_secret

    def _over_what_remains(self, invoice: Invoice, intent: PaymentIntent) -> PaymentIntent:
        """The PaymentIntent over the amount that is still due: a part may have been paid otherwise since it was made.

        If Stripe does not change its amount any more, it is canceled.
        """
        if intent.amount == invoice.amount_remaining:
            return intent
        with suppress(StripeRejected):
            return self.stripe.change_amount(intent.id, invoice.amount_remaining)
        with suppress(StripeRejected):  # it was paid at this moment
            self.stripe.cancel_payment_intent(intent.id)
        return self.stripe.payment_intent(intent.id)

    def _reserve(self, invoice: Invoice) -> Invoice:
        """The invoice with its next attempt, as the table has it. Raises `RevisionConflict`."""
        tenant = self.table.tenant(invoice.tenant_id)
        reserved = replace(
            invoice,
            payment_attempt=invoice.payment_attempt + 1,
            payment_customer_id=tenant.stripe_customer_id if tenant else None,
            stripe_payment_intent_id=None,
        )
        self.table.write([reserved])
        return replace(reserved, revision=reserved.revision + 1)

    def _check_closed(self, invoice: Invoice, intent: PaymentIntent) -> None:
        """Raises unless the PaymentIntent has ended: it is canceled, or it succeeded and was counted."""
        payment = self.table.get(Payment, keys.payment(invoice.tenant_id, intent.id))
        counted = payment is not None and payment.status is PaymentStatus.SUCCEEDED
        if intent.status == "canceled" or (intent.status == "succeeded" and counted):
            return
        raise InvoiceNotPayable("A payment of this invoice has not ended yet; its result is recorded in a moment.")

    def _create(self, invoice: Invoice) -> PaymentIntent:
        parameters: dict[str, Any] = {
            "amount": invoice.amount_remaining,
            "currency": invoice.currency,
            "automatic_payment_methods": {"enabled": True},
            "metadata": {"tenantId": invoice.tenant_id, "invoiceId": invoice.invoice_id},
        }
        optional = {"customer": invoice.payment_customer_id, "description": invoice.description}
        parameters |= {name: value for name, value in optional.items() if value}
        scope = f"pay-{invoice.tenant_id}-{invoice.invoice_id}-{invoice.payment_attempt}"
        return self.stripe.create_payment_intent(parameters, scope)


def _unknown() -> InvoiceNotFound:
    return InvoiceNotFound("There is no invoice with this id.")
