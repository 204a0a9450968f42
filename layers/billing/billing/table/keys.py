"""The only place that builds a key of the table.

| item | PK | SK |
|---|---|---|
| tenant | TENANT#<id> | TENANT |
| its subscriptions, invoices, payments | TENANT#<id> | SUBSCRIPTION#<id>, INVOICE#<id>, PAYMENT#<id> |
| plan | PLAN#<id> | PLAN |
| event record | EVENT#<id> | EVENT |
| owner of a Stripe id (customer, price, invoice) or of a platform invoice | STRIPE#<id>, OWN#<id> | POINTER |
"""

from typing import Final, NamedTuple

from billing.domain.entities import Entity, Invoice, Payment, Plan, Subscription, Tenant

FAILED_INDEX: Final = "failed-events"


class Key(NamedTuple):
    PK: str
    SK: str


def tenant(tenant_id: str) -> Key:
    return Key(f"TENANT#{tenant_id}", "TENANT")


def subscription(tenant_id: str, subscription_id: str) -> Key:
    return Key(f"TENANT#{tenant_id}", f"SUBSCRIPTION#{subscription_id}")


def subscriptions(tenant_id: str) -> Key:
    """Partition and the prefix of its sort keys."""
    return subscription(tenant_id, "")


def invoice(tenant_id: str, invoice_id: str) -> Key:
    return Key(f"TENANT#{tenant_id}", f"INVOICE#{invoice_id}")


def payment(tenant_id: str, payment_intent_id: str) -> Key:
    return Key(f"TENANT#{tenant_id}", f"PAYMENT#{payment_intent_id}")


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
        case _:
            raise TypeError(f"{type(entity).__name__} has no key")
