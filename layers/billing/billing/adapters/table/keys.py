"""The map of the table. Only this module builds keys.

| item | PK | SK |
|---|---|---|
| tenant | TENANT#<id> | TENANT |
| its subscriptions, invoices, payments | TENANT#<id> | SUBSCRIPTION#<id>, INVOICE#<id>, PAYMENT#<id> |
| plan | PLAN#<id> | PLAN |
| event record | EVENT#<id> | EVENT |
| owner of a Stripe id (customer, price, invoice, session), or of a platform invoice | STRIPE#<id>, OWN#<id> | POINTER |
| progress of reconciliation | RECONCILIATION | PROGRESS |
| calls of a tenant in one minute | CALLS#<tenant> | <begin of the minute> |
| change of a tenant's entity | HISTORY#<tenant> | <updatedAt>#<SK of the entity>#<revision, 10 digits> |
"""

from typing import Final, NamedTuple

from billing.domain.entities import Identity, Kind
from billing.domain.writes import OwnInvoiceId, Pointer, StripeId

TENANT: Final = "TENANT#"  # begins the partition of each tenant
FAILED_INDEX: Final = "failed-events"
TENANT_EVENTS_INDEX: Final = "tenant-events"
DUE_INDEX: Final = "due"


class Key(NamedTuple):
    PK: str
    SK: str


def of(identity: Identity) -> Key:
    match identity.kind:
        case Kind.TENANT:
            return tenant(identity.id)
        case Kind.PLAN:
            return plan(identity.id)
        case Kind.PROGRESS:
            return progress()
        case kind:
            return Key(f"{TENANT}{identity.tenant_id}", f"{kind}#{identity.id}")


def tenant(tenant_id: str) -> Key:
    return Key(f"{TENANT}{tenant_id}", "TENANT")


def subscription(tenant_id: str, subscription_id: str) -> Key:
    return of(Identity(Kind.SUBSCRIPTION, subscription_id, tenant_id))


def subscriptions(tenant_id: str) -> Key:
    """The partition, and the beginning of the sort keys."""
    return subscription(tenant_id, "")


def invoices(tenant_id: str) -> Key:
    """The partition, and the beginning of the sort keys."""
    return invoice(tenant_id, "")


def invoice(tenant_id: str, invoice_id: str) -> Key:
    return of(Identity(Kind.INVOICE, invoice_id, tenant_id))


def payment(tenant_id: str, payment_intent_id: str) -> Key:
    return of(Identity(Kind.PAYMENT, payment_intent_id, tenant_id))


def plan(plan_id: str) -> Key:
    return Key(f"PLAN#{plan_id}", "PLAN")


def event(event_id: str) -> Key:
    return Key(f"EVENT#{event_id}", "EVENT")


def stripe_pointer(stripe_id: str) -> Key:
    return Key(f"STRIPE#{stripe_id}", "POINTER")


def own_invoice_pointer(invoice_id: str) -> Key:
    return Key(f"OWN#{invoice_id}", "POINTER")


def pointer(of: Pointer | StripeId | OwnInvoiceId) -> Key:
    match of:
        case Pointer(of=named):
            return pointer(named)
        case StripeId(id=stripe_id):
            return stripe_pointer(stripe_id)
        case OwnInvoiceId(id=invoice_id):
            return own_invoice_pointer(invoice_id)


def calls(tenant_id: str, minute: str) -> Key:
    return Key(f"CALLS#{tenant_id}", minute)


# -- the history of a tenant's entities

_REVISION_DIGITS: Final = 10  # a fixed width, so that revisions sort as text


def tenant_of(partition: str) -> str | None:
    """The tenant whose entities a partition holds. None for a partition of other items."""
    return partition.removeprefix(TENANT) if partition.startswith(TENANT) else None


def history(tenant_id: str) -> str:
    """The partition that holds a tenant's changes."""
    return f"HISTORY#{tenant_id}"


def change(tenant_id: str, at: str, entity_sort: str, revision: int) -> Key:
    """The key of one write of one entity. It is the same each time that the stream reports the write."""
    return Key(history(tenant_id), f"{at}#{entity_sort}#{revision:0{_REVISION_DIGITS}}")


# -- reconciliation


def progress() -> Key:
    return Key("RECONCILIATION", "PROGRESS")
