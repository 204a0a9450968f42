"""Reads an account from the table."""

from collections.abc import Mapping
from dataclasses import replace

from billing.adapters.table import items, keys
from billing.adapters.table.keys import Key
from billing.adapters.table.store import Table
from billing.domain.entities import Entity, Invoice, Kind, Payment, Subscription, Tenant
from billing.domain.ids import is_tenant_id
from billing.domain.invoicing import is_first
from billing.domain.order import Payload
from billing.observability import logger
from billing.replica import payloads
from billing.replica.account import Account, References, references
from billing.replica.reading import text

type _Found = Mapping[Key, items.Item]


def account_of(table: Table, stripe_object: Payload) -> Account | None:
    """The account of the tenant that owns the object. None if we know no owner.

    The recorded owner of the object's customer decides (for an invoice payment, of its invoice). The tenant that the
    metadata names is read in the same round trip, and decides only where no owner is recorded. So a tenant cannot reach
    another tenant's account by metadata that its token makes Stripe write.

    Raises `UnknownObject` and `Unreadable`.
    """
    referred = references(stripe_object)
    named = payloads.tenant_hint(stripe_object)
    hint = named if is_tenant_id(named) else None
    pointers = [keys.pointer(one) for one in referred.owners]
    prices = {price: keys.stripe_pointer(price) for price in referred.prices}
    found = table.read([*pointers, *prices.values(), *_keys(referred, hint)])
    recorded = next((found[key]["tenantId"] for key in pointers if "tenantId" in found.get(key, {})), None)
    owner = recorded or hint
    if owner is None:
        return None
    if owner != hint:
        if hint:
            extra = {"object_id": stripe_object.get("id")}
            logger.warning("metadata names another tenant than the customer's", extra=extra)
        found |= table.read(_keys(referred, owner))
    account = Account(
        tenant=_held(Tenant, referred, owner, found).get(owner) or Tenant(tenant_id=owner),
        customer_known=referred.customer is None or keys.stripe_pointer(referred.customer) in found,
        invoices=_held(Invoice, referred, owner, found),
        payments=_held(Payment, referred, owner, found),
    )
    account = _with_plans(account, prices, found)
    if not referred.changes_subscriptions:
        return account
    read = _held(Subscription, referred, owner, found)
    account = replace(account, subscriptions=_subscriptions(table, account, referred, read))
    return _with_first_invoice(table, account, stripe_object)


def _subscriptions(
    table: Table, account: Account, referred: References, read: Mapping[str, Subscription]
) -> dict[str, Subscription]:
    """Those that the object names and those that can decide about the tenant, as they were when it was read or later.

    What was read together with the tenant may be older than it. The tenant's list has the revisions: what has another
    one, or is not in the list, is read again. A new one that will be written is not: if it is there after all, the
    write is refused.
    """
    tenant, unknown = account.tenant, referred.invoice_names and not account.invoices  # then Stripe will be asked
    if referred.asks_all or unknown or tenant.deleted_customers or not tenant.knows_subscriptions:
        return {s.stripe_subscription_id: s for s in table.subscriptions(tenant.tenant_id)}
    listed = {one.subscription_id: one.revision for one in tenant.subscriptions}
    certain = {name: one for name, one in read.items() if listed.get(name) == one.revision}
    named = {*(read if referred.writes_new else referred.subscriptions)}
    if referred.invoice_names:
        named |= {one.stripe_subscription_id for one in account.invoices.values() if one.stripe_subscription_id}
    unread = {*listed, *named} - certain.keys()
    if tenant.revision and unread:  # who has no record has no subscription
        certain |= {s.stripe_subscription_id: s for s in table.subscriptions(tenant.tenant_id, unread)}
    return certain


def _with_first_invoice(table: Table, account: Account, stripe_object: Payload) -> Account:
    """The account with the first invoice of a subscription that is seen for the first time and may wait for its money.

    Its payload names only its latest invoice. The invoice's own event may have come long before.
    """
    if payloads.checkout_attempt(stripe_object) is None or stripe_object["object"] != "subscription":
        return account
    subscription_id = text(stripe_object, "id")
    if subscription_id in account.subscriptions or any(is_first(one) for one in account.invoices.values()):
        return account
    first = table.first_invoices(account.tenant.tenant_id, subscription_id)
    return replace(account, invoices={**account.invoices, **{one.invoice_id: one for one in first}})


def with_references_of(table: Table, account: Account, subscription: Payload) -> Account:
    """The account with what a fetched subscription names and its event did not.

    They may be read after the account. A price's plan never changes, and an invoice that decides anything must be
    unchanged at the commit.
    """
    referred, owner = references(subscription), account.tenant.tenant_id
    prices = {price: keys.stripe_pointer(price) for price in referred.prices if price not in account.plans}
    unread = replace(referred, invoices=tuple(one for one in referred.invoices if one not in account.invoices))
    invoices = [keys.of(one) for one in unread.entities(owner) if one.kind is Kind.INVOICE]
    if not prices and not invoices:
        return account
    found = table.read([*prices.values(), *invoices])
    more = _held(Invoice, unread, owner, found)
    return _with_plans(replace(account, invoices={**account.invoices, **more}), prices, found)


def _with_plans(account: Account, prices: Mapping[str, Key], found: _Found) -> Account:
    plans = {price: found[key]["planId"] for price, key in prices.items() if "planId" in found.get(key, {})}
    return replace(account, plans={**account.plans, **plans})


def _keys(referred: References, tenant_id: str | None) -> list[Key]:
    return [keys.of(identity) for identity in referred.entities(tenant_id)] if tenant_id else []


def _held[E: Entity](kind: type[E], referred: References, tenant_id: str, found: _Found) -> dict[str, E]:
    """The entities of that kind, by their ids."""
    identities = [one for one in referred.entities(tenant_id) if one.kind is kind.kind and keys.of(one) in found]
    return {one.id: items.entity(kind, found[keys.of(one)]) for one in identities}
