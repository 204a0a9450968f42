"""The only place that builds a key of the table.

| item | PK | SK |
|---|---|---|
| tenant | TENANT#<id> | TENANT |
| its subscriptions, invoices, payments | TENANT#<id> | SUBSCRIPTION#<id>, INVOICE#<id>, PAYMENT#<id> |
| plan | PLAN#<id> | PLAN |
| event record | EVENT#<id> | EVENT |
| owner of a Stripe id (customer, price, invoice) or of a platform invoice | STRIPE#<id>, OWN#<id> | POINTER |
| progress of reconciliation | RECONCILIATION | PROGRESS |
| change of a tenant's entity | HISTORY#<tenant> | <updatedAt>#<SK of the entity>#<revision, 10 digits> |
"""

from typing import Final, NamedTuple

from billing.domain.entities import Entity, Invoice, Payment, Plan, Subscription, Tenant
from billing.table.progress import Progress

_TENANT: Final = "TENANT#"
FAILED_INDEX: Final = "failed-events"
TENANT_EVENTS_INDEX: Final = "tenant-events"


class Key(NamedTuple):
    PK: str
    SK: str


def tenant(tenant_id: str) -> Key:
    return Key(f"{_TENANT}{tenant_id}", "TENANT")


def subscription(tenant_id: str, subscription_id: str) -> Key:
    return Key(f"{_TENANT}{tenant_id}", f"SUBSCRIPTION#{subscription_id}")


def subscriptions(tenant_id: str) -> Key:
    """Partition and the prefix of its sort keys."""
    return subscription(tenant_id, "")


def invoice(tenant_id: str, invoice_id: str) -> Key:
    return Key(f"{_TENANT}{tenant_id}", f"INVOICE#{invoice_id}")


def payment(tenant_id: str, payment_intent_id: str) -> Key:
    return Key(f"{_TENANT}{tenant_id}", f"PAYMENT#{payment_intent_id}")


def plan(plan_id: str) -> Key:
    return Key(f"PLAN#{plan_id}", "PLAN")


def event(event_id: str) -> Key:
    return Key(f"EVENT#{event_id}", "EVENT")


def stripe_pointer(stripe_id: str) -> Key:
    return Key(f"STRIPE#{stripe_id}", "POINTER")


def own_invoice_pointer(invoice_id: str) -> Key:
    return Key(f"OWN#{invoice_id}", "POINTER")


def of(entity: Entity) -> Key:
    match entity:
        case Tenant():
            return tenant(entity.tenant_id)
        case Plan():
            return plan(entity.plan_id)
        case Subscription():
            return subscription(entity.tenant_id, entity.stripe_subscription_id)
        case Invoice():
            return invoice(entity.tenant_id, entity.invoice_id)
        case Payment():
            return payment(entity.tenant_id, entity.stripe_payment_intent_id)
        case Progress():
            return progress()
        case _:
            raise TypeError(f"{type(entity).__name__} has no key")


# -- the history of a tenant's entities

_REVISION_DIGITS: Final = 10  # so that revisions sort as text


def tenant_of(partition: str) -> str | None:
    """The tenant that a partition is of; None when it is another item's."""
    return partition.removeprefix(_TENANT) if partition.startswith(_TENANT) else None


def history(tenant_id: str) -> str:
    """The partition of a tenant's changes."""
    return f"HISTORY#{tenant_id}"


def change(tenant_id: str, at: str, entity_sort: str, revision: int) -> Key:
    """Of one write of one entity: the same however often it is seen."""
    return Key(history(tenant_id), f"{at}#{entity_sort}#{revision:0{_REVISION_DIGITS}}")


# -- reconciliation


def progress() -> Key:
    return Key("RECONCILIATION", "PROGRESS")
