"""An admin adds an invoice of the platform's own. Its tenant pays it with a PaymentIntent."""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4, uuid5

from billing import retry
from billing.adapters.table import items, keys
from billing.adapters.table.store import Table
from billing.domain.entities import Invoice
from billing.domain.statuses import InvoiceStatus
from billing.domain.writes import OwnInvoiceId, Pointer
from billing.edge.parameters.pay import CreateInvoice
from billing.errors import AlreadyExists, BadRequest, RevisionConflict

_SHOWN: Final = frozenset(
    "invoiceId tenantId status amountDue amountPaid amountRemaining currency dueDate description".split()
)
_NAMESPACE: Final = UUID("c6d6a0f2-5f0b-4a2e-9d5b-1f2a3a7d9e10")  # of the ids made from idempotency keys
_BUSY: Final = "Another invoice with this id is being created; try again."
_STRIPE_PREFIX: Final = "in_"


@dataclass(frozen=True)
class OwnInvoices:
    table: Table

    def create(self, request: CreateInvoice) -> tuple[dict[str, Any], bool]:
        """The invoice as the API answers it, and whether it is new. The same request with an `invoice_id`, or with an
        `idempotency_key`, makes one invoice, however often it comes.

        For admins. Raises `BadRequest` (an id that could be Stripe's) and `AlreadyExists`.
        """
        invoice_id = request.invoice_id or _new_id(request)
        if invoice_id.startswith(_STRIPE_PREFIX):
            raise BadRequest("invoiceId: must not begin with in_, the prefix of Stripe's own invoices.")
        invoice = Invoice(
            tenant_id=request.tenant_id,
            invoice_id=invoice_id,
            status=InvoiceStatus.PENDING,
            currency=request.currency,
            amount_due=request.amount,
            amount_remaining=request.amount,
            total=request.amount,
            due_date=request.due_date,
            description=request.description,
        )
        return retry.attempts(lambda: self._create(invoice), _BUSY)

    def _create(self, invoice: Invoice) -> tuple[dict[str, Any], bool]:
        pointer = Pointer(OwnInvoiceId(invoice.invoice_id), tenant_id=invoice.tenant_id)
        try:
            # The pointer makes the id unique across tenants, because an admin who pays names no tenant.
            self.table.write([invoice], [pointer])
        except RevisionConflict as error:
            return self._existing(invoice, error), False
        return _shown(invoice), True

    def _existing(self, asked_for: Invoice, conflict: RevisionConflict) -> dict[str, Any]:
        current = self.table.get(Invoice, keys.of(asked_for.identity))
        same = ("currency", "amount_due", "due_date", "description")
        if current is None and self.table.owner(OwnInvoiceId(asked_for.invoice_id)) is None:
            raise conflict  # another call is writing at this moment; once more
        if current is None or any(getattr(current, name) != getattr(asked_for, name) for name in same):
            raise AlreadyExists("There is another invoice with this id.") from conflict
        return _shown(current)


def _new_id(request: CreateInvoice) -> str:
    if request.idempotency_key is None:
        return f"inv_{uuid4().hex}"
    return f"inv_{uuid5(_NAMESPACE, f'{request.tenant_id}:{request.idempotency_key}').hex}"


def _shown(invoice: Invoice) -> dict[str, Any]:
    return {name: value for name, value in items.attributes(invoice).items() if name in _SHOWN}
