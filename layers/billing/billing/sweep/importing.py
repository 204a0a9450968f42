"""Brings in everything that Stripe has of a tenant's customers.

A customer may be older than its link to the tenant (a Payment Link, the dashboard). The events of that time had no
owner, and Stripe keeps them for 30 days only. So the objects are read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from billing.adapters.stripe_api import StripeApi, every
from billing.adapters.table.store import Table
from billing.domain.entities import Tenant
from billing.errors import StripeNotFound, StripeRateLimited, Unreadable, Unresolved
from billing.observability import logger
from billing.replica import sync
from billing.replica.decide import Decider


class TimeIsOver(Exception):
    """The invocation has no time to compare another object."""


def check_time() -> None:
    """Raises `TimeIsOver`."""
    if sync.is_out_of_time():
        raise TimeIsOver


@dataclass(frozen=True)
class CustomerImport:
    table: Table
    stripe: StripeApi
    decider: Decider

    def bring_in(self, tenant: Tenant) -> None:
        """One object that fails does not stop the others. Raises, after all of them, what failed and may pass, and
        `TimeIsOver` at once. Then the import begins anew, and what is in the table by now costs no second call.

        What no second try changes is left to reconciliation, which reports it.
        """
        failed: list[Exception] = []
        found = {s.stripe_customer_id for s in self.table.subscriptions(tenant.tenant_id)}
        for customer in sorted(found | ({tenant.stripe_customer_id} if tenant.stripe_customer_id else set())):
            for listed in self._objects(customer):
                check_time()
                try:
                    if sync.is_compared(listed):
                        sync.compare_and_repair(self.decider, listed)
                except StripeRateLimited:
                    raise
                except (Unresolved, Unreadable, StripeNotFound):
                    logger.warning("not imported", extra={"object_id": listed["id"]}, exc_info=True)
                except Exception as error:  # noqa: BLE001 - no failure of one may stop the others
                    failed.append(error)
            check_time()
            self._unlink_if_deleted(tenant.tenant_id, customer)
        if failed:
            raise failed[0]

    def _unlink_if_deleted(self, tenant_id: str, customer: str) -> None:
        """The event of its deletion may have come when nobody knew whose customer it was."""
        try:
            self.stripe.customer_tenant(customer)
        except StripeNotFound:
            self.table.unlink_customer(tenant_id, customer)

    def _objects(self, customer: str) -> Iterator[dict[str, Any]]:
        """In the order of reconciliation: an invoice is linked to payments that the table has."""
        for ask in (
            self.stripe.list_checkout_sessions,
            self.stripe.list_subscriptions,
            self.stripe.list_payment_intents,
            self.stripe.list_invoices,
        ):
            yield from every(ask, customer=customer)
