"""Gives old items the fields that this version added, as Stripe has them (`make migrate`).

An item says with which fields it was written (`schema`). So a migration that was cut off is begun again, and skips what
is done. A change of what was known before is announced as ever; that a field was added is not.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from billing import retry
from billing.adapters.table import items, keys
from billing.adapters.table.store import Table
from billing.domain import tenancy
from billing.domain.entities import SCHEMA, TOO_MANY, Entity, Invoice, Kind, Payment, Subscription, Tenant
from billing.domain.order import FetchedKind, Payload
from billing.errors import StripeNotFound
from billing.observability import logger
from billing.replica import sync
from billing.replica.decide import Decider

_KINDS: Final[dict[str, tuple[type[Entity], FetchedKind]]] = {
    Kind.SUBSCRIPTION: (Subscription, "subscription"),
    Kind.INVOICE: (Invoice, "invoice"),
    Kind.PAYMENT: (Payment, "payment_intent"),
}
_PAGE: Final = 100  # items between two lines of progress
_BUSY: Final = "Others change the same records at the moment."


@dataclass
class Migration:
    """`gone`: Stripe does not have the object any more. `failed`: the log says why; begin again."""

    table: Table
    decider: Decider
    dry_run: bool = False
    seen: int = 0
    migrated: int = 0
    gone: int = 0
    failed: int = 0

    def run(self, say: Callable[[str], None]) -> bool:
        """Tells its progress with `say`. Whether nothing is left to do."""
        for item in self._old():
            self.seen += 1
            self._try(item)
            if self.seen % _PAGE == 0:
                say(self.progress)
        say(self.progress)
        return not (self.failed or (self.dry_run and self.seen))

    @property
    def progress(self) -> str:
        would = "would be " if self.dry_run else ""
        counts = f"{self.migrated} {would}migrated, {self.gone} gone at Stripe, {self.failed} failed"
        return f"{self.seen} old items: {counts}"

    def _old(self) -> Iterator[items.Item]:
        for item in self.table.tenants_items():
            kind = item["SK"].partition("#")[0]
            old = kind in _KINDS and item.get("schema", 1) < SCHEMA
            if old or (kind == Kind.TENANT and _lacks_list(items.entity(Tenant, item))):
                yield item

    def _try(self, item: items.Item) -> None:
        try:
            if not self.dry_run:
                retry.attempts(lambda: self._migrate(item), _BUSY)
            self.migrated += 1
        except StripeNotFound:
            self.gone += 1
        except Exception:  # noqa: BLE001 - no failure of one may stop the others
            logger.warning("not migrated", extra={"item": item["SK"]}, exc_info=True)
            self.failed += 1

    def _migrate(self, item: items.Item) -> None:
        if item["SK"] == Kind.TENANT:
            self._list_subscriptions(item["tenantId"])
            return
        kind, stripe_kind = _KINDS[item["SK"].partition("#")[0]]
        tenant_id = keys.tenant_of(item["PK"]) or ""
        entity_id = item["SK"].partition("#")[2]
        if kind is Invoice and "stripeInvoiceId" not in item:
            self._own_invoice(tenant_id, entity_id)
            return
        named: Payload = {"object": stripe_kind, "id": entity_id, "metadata": {"tenantId": tenant_id}}
        if kind is Payment:
            named = {**named, "metadata": {"tenantId": tenant_id, **self._invoice_of(entity_id, item)}}
        sync.refresh(self.decider, named)

    def _invoice_of(self, intent_id: str, item: items.Item) -> dict[str, str]:
        """The invoice that the payment pays, as metadata names it. If it has succeeded unnoticed, it counts now."""
        invoice_id = item.get("invoiceId")
        if invoice_id is None:
            intent = self.decider.fetch("payment_intent", intent_id).object
            invoice_id = (intent.get("metadata") or {}).get("invoiceId")
        return {"invoiceId": invoice_id} if invoice_id else {}

    def _list_subscriptions(self, tenant_id: str) -> None:
        tenant = self.table.tenant(tenant_id)
        if tenant and _lacks_list(tenant):
            self.table.write([tenancy.with_list(tenant, self.table.subscriptions(tenant_id))])

    def _own_invoice(self, tenant_id: str, invoice_id: str) -> None:
        """Nobody but us has it."""
        invoice = self.table.get(Invoice, keys.invoice(tenant_id, invoice_id))
        if invoice and invoice.schema < SCHEMA:
            overpaid = max(0, invoice.amount_paid - invoice.amount_due)
            filled = replace(invoice, total=invoice.amount_due, amount_overpaid=overpaid, schema=SCHEMA)
            self.table.write([filled])


def _lacks_list(tenant: Tenant) -> bool:
    return not tenant.knows_subscriptions and tenant.listed_at != TOO_MANY
