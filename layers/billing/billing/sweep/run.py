"""Does what is due by time alone: invoices that become overdue, and customers whose objects must be brought in.

The table's index `due` names what is due (`domain/due.py`). Everything may happen twice: it is written only if the
entity still has the revision that was read, and then it is not due any more. What fails stays in the index, so the
next run tries it again.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from aws_lambda_powertools.metrics import MetricUnit

from billing import clock, retry
from billing.adapters.stripe_api import StripeApi
from billing.adapters.table.store import Table
from billing.domain.due import SHARDS
from billing.domain.entities import Entity, Invoice, Tenant
from billing.domain.invoicing import by_time
from billing.errors import StripeRateLimited
from billing.observability import logger, metrics
from billing.replica.decide import Decider
from billing.sweep.importing import CustomerImport, TimeIsOver, check_time

_BUSY: Final = "Others change the same records at the moment."


@dataclass
class Sweep:
    table: Table
    stripe: StripeApi
    decider: Decider
    due: int = 0
    overdue: int = 0
    imported: int = 0
    failed: int = 0

    def run(self) -> dict[str, Any]:
        """Returns and logs how many entities were `due`, and what became of them. `complete`: none is left for want of
        time, or because Stripe takes no more calls at the moment.
        """
        complete = True
        try:
            # An import may take all the time that there is, and so comes last.
            tenants = []
            for entity in self._due():
                if isinstance(entity, Tenant):
                    tenants.append(entity)
                    continue
                check_time()
                self._try(entity)
            for tenant in tenants:
                check_time()
                self._try(tenant)
        except (TimeIsOver, StripeRateLimited):
            complete = False
        report = {name: getattr(self, name) for name in ("due", "overdue", "imported", "failed")}
        report["complete"] = complete
        logger.info("swept", extra={"report": report})
        metrics.add_metric("SweepFailed", MetricUnit.Count, self.failed + (not complete))
        return report

    def _due(self) -> Iterator[Entity]:
        for shard in SHARDS:
            yield from self.table.due(shard, clock.now())

    def _try(self, entity: Entity) -> None:
        self.due += 1
        try:
            match entity:
                case Invoice():
                    self._overdue(entity)
                case Tenant():
                    self._import(entity)
        except (StripeRateLimited, TimeIsOver):
            raise
        except Exception:  # noqa: BLE001 - no failure of one may stop the others
            logger.warning("not swept", extra={"entity": entity.identity}, exc_info=True)
            self.failed += 1

    def _overdue(self, invoice: Invoice) -> None:
        """The item of the index may be older than the table: the write needs its revision."""
        late = by_time(invoice, clock.now())
        if late != invoice:
            self.table.write([late])
            self.overdue += 1

    def _import(self, tenant: Tenant) -> None:
        CustomerImport(self.table, self.stripe, self.decider).bring_in(tenant)
        retry.attempts(lambda: self._imported(tenant), _BUSY)
        self.imported += 1

    def _imported(self, before: Tenant) -> None:
        """Nothing is due any more, unless another customer was linked meanwhile."""
        tenant = self.table.tenant(before.tenant_id)
        if tenant and tenant.import_due == before.import_due:
            self.table.write([replace(tenant, import_due=None)])
