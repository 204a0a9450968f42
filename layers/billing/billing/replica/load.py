"""Reads an account from the table."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from billing.adapters.table import items, keys
from billing.adapters.table.keys import Key
from billing.adapters.table.store import Table
from billing.domain.entities import OF_A_TENANT, Identity, Invoice, Kind, Subscription, Tenant
from billing.domain.ids import is_tenant_id
from billing.domain.invoicing import is_first
from billing.domain.order import Payload
from billing.errors import UnknownObject, Unreadable
from billing.observability import logger
from billing.replica import payloads
from billing.replica.account import Account, References, at_first_glance, at_second_glance, references
from billing.replica.reading import text

type _Found = Mapping[Key, items.Item]


@dataclass(frozen=True)
class _Asked:
    """What an object of Stripe names, as keys. `hint`: the tenant in its metadata."""

    stripe_object: Payload
    referred: References
    hint: str | None
    pointers: list[Key]
    prices: Mapping[str, Key]

    @classmethod
    def of(cls, stripe_object: Payload) -> "_Asked":
        """Raises `UnknownObject` and `Unreadable`."""
        referred = references(stripe_object)
        named = payloads.tenant_hint(stripe_object)
        pointers = [keys.pointer(one) for one in referred.owners]
        prices = {price: keys.stripe_pointer(price) for price in referred.prices}
        return cls(stripe_object, referred, named if is_tenant_id(named) else None, pointers, prices)

    def owner(self, found: _Found) -> str | None:
        """The recorded owner of the object's customer decides (for an invoice payment, of its invoice). The tenant that
        the metadata names decides only where no owner is recorded.

        So a tenant cannot reach another tenant's account by metadata that its token makes Stripe write.
        """
        recorded = next((found[key]["tenantId"] for key in self.pointers if "tenantId" in found.get(key, {})), None)
        return recorded or self.hint

    def account(self, owner: str, held: Iterable[Identity], found: _Found) -> Account:
        """The account with those of the entities that were found. Of its subscriptions it has no others."""
        of_kind: dict[Kind, dict[str, Any]] = {kind: {} for kind in Kind}
        for one in held:
            item = found.get(keys.of(one))
            if item:
                of_kind[one.kind][one.id] = items.entity(OF_A_TENANT[one.kind], item)
        customer = self.referred.customer
        return Account(
            tenant=of_kind[Kind.TENANT].get(owner) or Tenant(tenant_id=owner),
            customer_known=customer is None or keys.stripe_pointer(customer) in found,
            subscriptions=of_kind[Kind.SUBSCRIPTION],
            invoices=of_kind[Kind.INVOICE],
            payments=of_kind[Kind.PAYMENT],
            plans=_plans(self.prices, found),
        )


def account_of(table: Table, stripe_object: Payload) -> Account | None:
    """The account of the tenant that owns the object (`_Asked.owner`). None if we know no owner.

    The tenant that the metadata names is read in the same round trip as the owners. Raises `UnknownObject` and
    `Unreadable`.
    """
    asked = _Asked.of(stripe_object)
    found = table.read([*asked.pointers, *asked.prices.values(), *_keys(asked.referred, asked.hint)])
    owner = asked.owner(found)
    if owner is None:
        return None
    if owner != asked.hint:
        if asked.hint:
            extra = {"object_id": stripe_object.get("id")}
            logger.warning("metadata names another tenant than the customer's", extra=extra)
        found |= table.read(_keys(asked.referred, owner))
    account = asked.account(owner, asked.referred.entities(owner), found)
    if not asked.referred.changes_subscriptions:
        return account
    account = replace(account, subscriptions=_subscriptions(table, account, asked.referred))
    return _with_first_invoice(table, account, stripe_object)


def _subscriptions(table: Table, account: Account, referred: References) -> dict[str, Subscription]:
    """Those that the object names and those that can decide about the tenant, as they were when it was read or later.

    What was read together with the tenant may be older than it. The tenant's list has the revisions: what has another
    one, or is not in the list, is read again. A new one that will be written is not: if it is there after all, the
    write is refused.
    """
    read = account.subscriptions
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


def glances(table: Table, listed: Iterable[Payload]) -> dict[str, Account | None]:
    """For each of the objects, by its id, the part of its account that tells whether anything differs. All of it is
    read in three rounds. None: we know no owner. An object that nobody can read is left out.

    Such an account is good for one thing: if an outcome that was decided from it changes nothing, nothing differs.
    Everything else is decided from `account_of`. `account.at_first_glance` says why less is enough.
    """
    asked = []
    for one in listed:
        with suppress(Unreadable, UnknownObject):
            asked.append(_Asked.of(one))
    hinted = [keys.of(one) for a in asked if a.hint for one in at_first_glance(a.stripe_object, a.referred, a.hint)]
    found = table.read([*(key for a in asked for key in (*a.pointers, *a.prices.values())), *hinted])
    owners = [(a, owner) for a in asked if (owner := a.owner(found))]
    owned = [(a, owner, at_first_glance(a.stripe_object, a.referred, owner)) for a, owner in owners]
    found |= table.read(keys.of(one) for a, owner, first in owned if owner != a.hint for one in first)
    firsts = [(a, first, a.account(owner, first, found)) for a, owner, first in owned]
    seconds = [
        (a, first, account, at_second_glance(a.stripe_object, a.referred, account)) for a, first, account in firsts
    ]
    found |= table.read(keys.of(one) for *_, second in seconds for one in second)
    accounts: dict[str, Account | None] = {a.stripe_object["id"]: None for a in asked}
    for a, first, account, second in seconds:
        whole = a.account(account.tenant.tenant_id, [*first, *second], found) if second else account
        accounts[a.stripe_object["id"]] = whole
    return accounts


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
    named = [one for one in unread.entities(owner) if one.kind is Kind.INVOICE]
    if not prices and not named:
        return account
    found = table.read([*prices.values(), *map(keys.of, named)])
    more = {one.id: items.entity(Invoice, found[keys.of(one)]) for one in named if keys.of(one) in found}
    plans = {**account.plans, **_plans(prices, found)}
    return replace(account, invoices={**account.invoices, **more}, plans=plans)


def _plans(prices: Mapping[str, Key], found: _Found) -> dict[str, str]:
    return {price: found[key]["planId"] for price, key in prices.items() if "planId" in found.get(key, {})}


def _keys(referred: References, tenant_id: str | None) -> list[Key]:
    return [keys.of(identity) for identity in referred.entities(tenant_id)] if tenant_id else []
