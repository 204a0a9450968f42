"""An admin brings an invoice of the platform's own in, to be paid by a PaymentIntent."""

from typing import Any, Final
from uuid import uuid4

from billing.domain.entities import Invoice, InvoiceStatus
from billing.errors import AlreadyExists, BadRequest, RevisionConflict
from billing.parameters import CreateInvoice
from billing.table import items, keys
from billing.table.store import Pointer, Table

_SHOWN: Final = frozenset(
    "invoiceId tenantId status amountDue amountPaid amountRemaining currency dueDate description".split()
)
_STRIPE_PREFIX: Final = "in_"


def create(table: Table, wanted: CreateInvoice) -> tuple[dict[str, Any], bool]:
    """The invoice as the API answers it, and whether it is new: asked twice with the same content, it is made once.

    For admins. Raises `BadRequest` (an id in Stripe's namespace) and `AlreadyExists`.
    """
    invoice_id = wanted.invoice_id or f"inv_{uuid4().hex}"
    if invoice_id.startswith(_STRIPE_PREFIX):
        raise BadRequest("invoiceId: must not begin with in_, the prefix of Stripe's own invoices.")
    invoice = Invoice(
        tenant_id=wanted.tenant_id,
        invoice_id=invoice_id,
        status=InvoiceStatus.PENDING,
        currency=wanted.currency,
        amount_due=wanted.amount,
        amount_remaining=wanted.amount,
        due_date=wanted.due_date,
        description=wanted.description,
    )
    try:
        # The pointer makes the id unique across tenants: an admin's payment names no tenant.
        table.write([invoice], [Pointer(keys.own_invoice_pointer(invoice_id), tenant_id=wanted.tenant_id)])
    except RevisionConflict as error:
        return _existing(table, invoice, error), False
    return _shown(invoice), True


def _existing(table: Table, wanted: Invoice, conflict: RevisionConflict) -> dict[str, Any]:
    current = table.get(Invoice, keys.of(wanted))
    same = ("currency", "amount_due", "due_date", "description")
    if current is None or any(getattr(current, name) != getattr(wanted, name) for name in same):
        raise AlreadyExists("There is another invoice with this id.") from conflict
    return _shown(current)


def _shown(invoice: Invoice) -> dict[str, Any]:
    return {name: value for name, value in items.attributes(invoice).items() if name in _SHOWN}
