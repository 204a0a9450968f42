"""What the table says of a tenant beside what Stripe says, and since when, by which event and by which rule.

Stripe is asked as reconciliation asks it, and by the same code, but nothing is written. The stand-in has a door for
such looks: they use up no failure that somebody has asked for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from billing.adapters.stripe_api import StripeApi
from billing.adapters.table import items, keys, pages
from billing.adapters.table.store import Table
from billing.errors import BillingError, StripeNotFound, Unresolved
from billing.replica import sync
from billing.replica.decide import Decider
from billing.replica.sync import Difference
from local import template
from local.aws.clients import TIME_LIMIT_FACTOR
from local.console.rules import rule
from local.desk import Desk
from local.stripe.server import LOOK

type Item = dict[str, Any]  # of the table

_STEPS: Final = 500  # of a tenant's history, the newest
# The history leaves out the addresses, too: Stripe makes them anew each time.
_HIDDEN: Final = items.BOOKKEEPING | items.ADDRESSES | items.OF_THE_TABLE
_AT_STRIPE: Final = {"SUBSCRIPTION": "subscription", "INVOICE": "invoice", "PAYMENT": "payment_intent"}
_IDS: Final = {
    "SUBSCRIPTION": "stripeSubscriptionId",
    "INVOICE": "stripeInvoiceId",
    "PAYMENT": "stripePaymentIntentId",
}


@dataclass(frozen=True)
class Step:
    """The write that gave a field its value. `event`: the id and type of the event that caused it, if one did."""

    at: str
    revision: int
    before: Any
    event: tuple[str, str] | None


@dataclass(frozen=True)
class Line:
    """One field. `step` is None if the history does not have the write (yet)."""

    name: str
    table: Any
    stripe: Any
    differs: bool
    step: Step | None
    rule: str


@dataclass(frozen=True)
class Side:
    """One item beside Stripe's object. `remark`: why there is nothing to compare."""

    lines: list[Line]
    remark: str


@dataclass(frozen=True)
class Compared:
    """An object of Stripe's, or an item of which Stripe has none, with what differs. `remark` as in `Side`."""

    kind: str
    id: str
    differing: tuple[Difference, ...]
    remark: str = ""


class Sides:
    def __init__(self, stack: Desk) -> None:
        self._stack = stack

    def of_item(self, item: Item) -> Side | None:
        """None for an item that is no entity of a tenant."""
        tenant_id, kind = keys.tenant_of(item["PK"]), item["SK"].split("#")[0]
        if tenant_id is None or kind not in ("TENANT", *_AT_STRIPE):
            return None
        differing, remark = self._compared(tenant_id, item, kind)
        steps, other = self._steps(tenant_id, kind, item), {one.name.partition(".")[2]: one for one in differing}
        names = [name for name in item if name not in _HIDDEN] + [name for name in other if name and name not in item]
        return Side([_line(kind, name, item, other.get(name), steps.get(name)) for name in names], remark)

    def of_tenant(self, tenant_id: str) -> list[Compared]:
        """The newest objects of the tenant of each kind, those that differ first."""
        listed, older = self._at_stripe(tenant_id)
        found = [self._look(one) for one in listed]
        there = {one["id"] for one in listed}
        for item in self._held(tenant_id):
            kind = _kind(item)
            if item.get(_IDS[kind]) not in there and (_AT_STRIPE[kind] not in older or _IDS[kind] not in item):
                found.append(_only_here(kind, item))
        return sorted(found, key=lambda one: (not one.differing, not one.remark))

    # -- asking

    @cached_property
    def _table(self) -> Table:
        return self._stack.aws.table()

    @cached_property
    def _stripe(self) -> StripeApi:
        door = LOOK if self._stack.stripe else ""
        return StripeApi(self._stack.api_key, self._stack.stripe_base + door, time_limit_factor=TIME_LIMIT_FACTOR)

    @cached_property
    def _decider(self) -> Decider:
        return Decider(self._table, self._stripe.fetch)

    def _compared(self, tenant_id: str, item: Item, kind: str) -> tuple[list[Difference], str]:
        """What differs of this item."""
        if kind == "TENANT":
            found = [one for compared in self.of_tenant(tenant_id) for one in compared.differing]
            return [one for one in found if one.name.startswith("tenant.")], ""
        if _IDS[kind] not in item:
            return [], "It is the platform's own invoice: Stripe does not know it, only its payments."
        try:
            named = self._stripe.fetch(_AT_STRIPE[kind], item[_IDS[kind]]).object  # type: ignore[arg-type]
        except BillingError as error:
            return [], _words(error)
        compared, prefix = self._look(named), f"{kind.lower()}."
        mine = [one for one in compared.differing if one.name.startswith(prefix) and one.entity_id == _entity_id(item)]
        return mine, compared.remark

    def _look(self, listed: Mapping[str, Any]) -> Compared:
        kind, object_id = listed["object"], listed["id"]
        try:
            found = sync.compare_and_repair(self._decider, listed, dry_run=True)
        except BillingError as error:
            return Compared(kind, object_id, (), _words(error))
        return Compared(kind, object_id, found.differing, "Its tenant is not known." if found.foreign else "")

    def _at_stripe(self, tenant_id: str) -> tuple[list[Item], set[str]]:
        """What Stripe has of the tenant's customers, in the order of reconciliation: one page of each list. And the
        kinds of which it has more.
        """
        tenant, held = self._table.tenant(tenant_id), self._table.subscriptions(tenant_id)
        customers = {one.stripe_customer_id for one in held} | {tenant.stripe_customer_id if tenant else None}
        listed: list[Item] = []
        older: set[str] = set()
        for kind, ask in (
            ("checkout.session", self._stripe.list_checkout_sessions),
            ("subscription", self._stripe.list_subscriptions),
            ("payment_intent", self._stripe.list_payment_intents),
            ("invoice", self._stripe.list_invoices),
        ):
            for customer in sorted(filter(None, customers)):
                page, more = ask(customer=customer)
                listed += filter(sync.is_compared, page)
                older |= {kind} if more else set()
        return listed, older

    def _held(self, tenant_id: str) -> Iterator[Item]:
        found = (
            self._stack.aws.dynamodb()
            .get_paginator("query")
            .paginate(
                TableName=template.TABLE_NAME,
                KeyConditionExpression="PK = :pk",
                ExpressionAttributeValues={":pk": {"S": keys.tenant(tenant_id).PK}},
            )
        )
        loaded = (items.load(raw) for page in found for raw in page["Items"])
        return (item for item in loaded if _kind(item) in _AT_STRIPE)

    # -- the history

    def _steps(self, tenant_id: str, kind: str, item: Item) -> Mapping[str, Step]:
        """The last write of each field."""
        newest, _ = self._table.page(pages.changes(tenant_id), _STEPS, None)
        mine = [one for one in newest if one["entity"] == kind and one["entityId"] == _entity_id(item)]
        named = {one["eventId"]: keys.event(one["eventId"]) for one in mine if "eventId" in one}
        records = self._table.read(named.values())
        types = {event_id: records.get(key, {}).get("eventType", "event") for event_id, key in named.items()}
        found: dict[str, Step] = {}
        for one in reversed(mine):
            event_id = one.get("eventId")
            event = (event_id, types[event_id]) if event_id else None
            for name, change in one["changes"].items():
                found[name] = Step(one["at"], one["revision"], change.get("from"), event)
        return found


def _line(kind: str, name: str, item: Item, difference: Difference | None, step: Step | None) -> Line:
    table = item.get(name)
    stripe = difference.stripe if difference else table
    return Line(name, table, stripe, difference is not None, step, rule(kind, name))


def _only_here(kind: str, item: Item) -> Compared:
    own = _IDS[kind] not in item
    remark = "The platform's own; Stripe does not know it." if own else "Only the table has it."
    return Compared(_AT_STRIPE[kind], _entity_id(item), (), remark)


def _kind(item: Item) -> str:
    kind: str = item["SK"].split("#")[0]
    return kind if kind in _AT_STRIPE else ""


def _entity_id(item: Item) -> str:
    """As the history names it."""
    return item["SK"].partition("#")[2] or str(item["tenantId"])


def _words(error: BillingError) -> str:
    if isinstance(error, Unresolved):
        return "The table holds a final state that Stripe does not have: a human must look at it."
    return "Stripe does not have it." if isinstance(error, StripeNotFound) else str(error)
