"""What the table knows about the tenant that an event speaks of, read before the event is applied."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from billing.domain.entities import Entity, Invoice, Payment, Subscription, Tenant
from billing.domain.ids import is_id
from billing.observability import logger
from billing.table import items, keys
from billing.table.keys import Key
from billing.table.store import Table
from billing.webhook import payloads
from billing.webhook.payloads import Payload, ref


@dataclass(frozen=True)
class Account:
    """`customer_known`: the table has the owner of the payload's customer on record."""

    tenant: Tenant
    customer_known: bool = False
    subscriptions: Mapping[str, Subscription] = field(default_factory=dict)
    invoices: Mapping[str, Invoice] = field(default_factory=dict)
    payments: Mapping[str, Payment] = field(default_factory=dict)
    plans: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Ids:
    """The ids in a payload that lead to its owner and to the records that it changes."""

    customer: str | None
    price: str | None
    invoices: tuple[str, ...] = ()
    payments: tuple[str, ...] = ()
    invoice_names_owner: bool = False
    changes_subscriptions: bool = False


def load(table: Table, thing: Payload) -> Account | None:
    """The account of the tenant that owns `thing`; None when it is nobody's that we know.

    The customer's owner on record decides. Metadata only says where to look first, and decides where there is no
    such record: what one tenant's token could make Stripe say never reaches another tenant's account.
    """
    ids = _ids(thing)
    hint = payloads.tenant_hint(thing)
    hint = hint if is_id(hint) else None
    pointers = _pointers(ids)
    found = table.read([*pointers, *(_owned(hint, ids) if hint else ())])
    on_record = next((found[key]["tenantId"] for key in pointers if "tenantId" in found.get(key, {})), None)
    owner = on_record or hint
    if owner is None:
        return None
    if owner != hint:
        if hint:
            logger.warning("metadata names another tenant than the customer's", extra={"object_id": thing.get("id")})
        found |= table.read(_owned(owner, ids))
    account = Account(
        tenant=_entity(Tenant, found, keys.tenant(owner)) or Tenant(tenant_id=owner),
        customer_known=ids.customer is None or keys.stripe_pointer(ids.customer) in found,
        invoices=_entities(Invoice, found, {i: keys.invoice(owner, i) for i in ids.invoices}),
        payments=_entities(Payment, found, {i: keys.payment(owner, i) for i in ids.payments}),
        plans=_plans(found, ids.price),
    )
    if not ids.changes_subscriptions:
        return account
    # After the tenant, never with it: see Table.subscriptions.
    return replace(account, subscriptions={s.stripe_subscription_id: s for s in table.subscriptions(owner)})


def with_plan_of(table: Table, account: Account, price_id: str | None) -> Account:
    """The account with the plan of one more price. A price's plan never changes, so when it is read does not matter."""
    if price_id is None or price_id in account.plans:
        return account
    return replace(account, plans={**account.plans, **_plans(table.read([keys.stripe_pointer(price_id)]), price_id)})


def _ids(thing: Payload) -> _Ids:
    customer = ref(thing.get("customer"))
    match thing.get("object"):
        case "subscription":
            return _Ids(customer, payloads.price_of(thing), changes_subscriptions=True)
        case "checkout.session":
            return _Ids(customer, None, _present(ref(thing.get("invoice"))), changes_subscriptions=True)
        # An invoice that turns out to be paid, by its payload or when Stripe is asked, may settle a waiting checkout.
        case "invoice":
            intents = payloads.invoice_intents(thing)
            return _Ids(customer, None, (thing["id"],), intents, changes_subscriptions=True)
        case "invoice_payment":
            paid = payloads.invoice_payment(thing)
            ids = _Ids(customer, None, (paid.invoice_id,), _present(paid.payment_intent_id), changes_subscriptions=True)
            return replace(ids, invoice_names_owner=True)
        case "payment_intent":
            return _Ids(customer, None, _present(*payloads.intent_invoice(thing)), (thing["id"],))
        case _:  # a charge, a refund or dispute of it
            return _Ids(customer, None, payments=_present(ref(thing.get("payment_intent"))))


def _present(*values: str | None) -> tuple[str, ...]:
    return tuple(value for value in values if value)


def _pointers(ids: _Ids) -> list[Key]:
    invoice = ids.invoices if ids.invoice_names_owner else ()
    return [keys.stripe_pointer(i) for i in _present(ids.customer, *invoice, ids.price)]


def _owned(tenant_id: str, ids: _Ids) -> list[Key]:
    return [
        keys.tenant(tenant_id),
        *(keys.invoice(tenant_id, i) for i in ids.invoices),
        *(keys.payment(tenant_id, i) for i in ids.payments),
    ]


def _plans(found: Mapping[Key, items.Item], price_id: str | None) -> dict[str, str]:
    owner = found.get(keys.stripe_pointer(price_id), {}) if price_id else {}
    return {price_id: owner["planId"]} if price_id and "planId" in owner else {}


def _entity[E: Entity](kind: type[E], found: Mapping[Key, items.Item], key: Key) -> E | None:
    return items.entity(kind, found[key]) if key in found else None


def _entities[E: Entity](kind: type[E], found: Mapping[Key, items.Item], wanted: Mapping[str, Key]) -> dict[str, E]:
    return {name: items.entity(kind, found[key]) for name, key in wanted.items() if key in found}
