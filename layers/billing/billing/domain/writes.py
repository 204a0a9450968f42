"""What one transaction writes, as plain values. Only the table turns the ids in them into keys."""

from dataclasses import dataclass
from typing import NamedTuple

from billing.domain.entities import Identity


class StripeId(NamedTuple):
    """The id of a customer, a price or an invoice at Stripe."""

    id: str


class OwnInvoiceId(NamedTuple):
    """The id of an invoice of the platform's own. It is unique across all tenants."""

    id: str


@dataclass(frozen=True)
class Pointer:
    """Leads from an id to its owner: a tenant, or for a price a plan. It never changes its owner.

    A write that would change the owner raises `RevisionConflict`.
    """

    of: StripeId | OwnInvoiceId
    tenant_id: str | None = None
    plan_id: str | None = None


@dataclass(frozen=True)
class Unchanged:
    """An entity that was read and is not written, but must still have this revision (0: not exist) at the commit."""

    identity: Identity
    revision: int
