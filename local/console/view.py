"""The data that the console shows of the table, and words for it."""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from billing.adapters.table import items
from billing.domain import access
from local import template
from local.account import Item
from local.desk import Desk

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from local.stripe.webhooks import Weather


TENANTS: Final = 4
PAYABLE: Final = ("PENDING", "PARTIALLY_PAID", "OVERDUE")


@dataclass(frozen=True)
class Filter:
    """What the reader wants to see: a part of a tenant's id, a part of an event's type (or its whole id), an outcome of
    `events.OUTCOMES`. `before`: the id of an event, to see those that are older.
    """

    tenant: str = ""
    type: str = ""
    outcome: str = ""
    before: str = ""

    @classmethod
    def of(cls, arguments: Mapping[str, str]) -> "Filter":
        return cls(*(arguments.get(name, "").strip()[:64] for name in ("tenant", "type", "outcome", "before")))

    def takes_tenant(self, tenant_id: str) -> bool:
        return self.tenant in tenant_id


@dataclass(frozen=True)
class Account:
    """A tenant, its items by kind (SUBSCRIPTION, INVOICE, PAYMENT), newest first, and its current plan."""

    tenant: Item
    owned: Mapping[str, list[Item]]
    plan: str | None

    @property
    def changed_at(self) -> str:
        mine = [self.tenant, *(item for items in self.owned.values() for item in items)]
        return max(str(item.get("updatedAt", "")) for item in mine)

    @property
    def subscribed(self) -> bool:
        """Whether a subscription charges: a second one is not for sale."""
        return any(access.meaning(one["status"]).charges for one in self.owned["SUBSCRIPTION"])

    @property
    def owed(self) -> Item | None:
        """The invoice that is to be paid before anything else: overdue, or waiting for the customer."""
        payable = [one for one in self.owned["INVOICE"] if one["status"] in PAYABLE]
        return next((one for one in payable if one["status"] == "OVERDUE" or one.get("actionRequired")), None)


@dataclass(frozen=True)
class Held:
    """The whole content of the table. The keys of `records` are event ids."""

    accounts: list[Account]
    plans: dict[str, Item]
    records: dict[str, Item]


# -- the table


def held(client: "DynamoDBClient") -> Held:
    pages = client.get_paginator("scan").paginate(TableName=template.TABLE_NAME, ConsistentRead=True)
    by_kind: defaultdict[str, list[Item]] = defaultdict(list)
    for raw in (raw for page in pages for raw in page["Items"]):
        item = items.load(raw)
        by_kind[item["SK"].split("#")[0]].append(item)
    plans = {plan["planId"]: plan for plan in sorted(by_kind["PLAN"], key=lambda plan: plan["amount"])}
    records = {record["eventId"]: record for record in by_kind["EVENT"]}
    return Held(_accounts(by_kind, plans), plans, records)


def shown(accounts: list[Account], asked: Filter) -> tuple[list[Account], int]:
    """The accounts that the page shows, and how many others the filter takes. Those that changed last are shown."""
    found = [account for account in accounts if asked.takes_tenant(account.tenant["tenantId"])]
    last = sorted(account.changed_at for account in found)[-TENANTS:]
    recent = [account for account in found if account.changed_at in last][:TENANTS]
    return recent, len(found) - len(recent)


def item(client: "DynamoDBClient", named: str) -> Item | None:
    """One item of the table. `named` is its partition key and its sort key, with a space between them."""
    partition, _, sort = named.partition(" ")
    if not (partition and sort):
        return None
    raw = client.get_item(TableName=template.TABLE_NAME, Key=items.dump({"PK": partition, "SK": sort}))
    return items.load(raw["Item"]) if "Item" in raw else None


def _accounts(by_kind: Mapping[str, list[Item]], plans: Mapping[str, Item]) -> list[Account]:
    owned: defaultdict[str, dict[str, list[Item]]] = defaultdict(lambda: defaultdict(list))
    for kind in ("SUBSCRIPTION", "INVOICE", "PAYMENT"):
        for item in sorted(by_kind.get(kind, []), key=_age, reverse=True):
            owned[item["tenantId"]][kind].append(item)
    tenants = sorted(by_kind.get("TENANT", []), key=_age, reverse=True)
    return [Account(t, owned[t["tenantId"]], _plan(t, owned[t["tenantId"]]["SUBSCRIPTION"], plans)) for t in tenants]


def _age(item: Item) -> tuple[str, str, str]:
    return item.get("createdAt", ""), item["PK"], item["SK"]


def _plan(tenant: Item, subscriptions: Iterable[Item], plans: Mapping[str, Item]) -> str | None:
    """The name of the tenant's present plan. If the table does not know the plan, its id or the id of its price."""
    current = tenant.get("currentSubscriptionId")
    for one in subscriptions:
        if one["stripeSubscriptionId"] == current:
            plan_id: str = one.get("planId") or one.get("stripePriceId", "")
            return str(plans[plan_id]["name"]) if plan_id in plans else plan_id
    return None


# -- texts


def seconds(moment: str) -> float:
    """Turns an ISO 8601 time of the table into seconds since the epoch."""
    return datetime.fromisoformat(moment).timestamp()


def stripe_now(stack: Desk) -> float:
    return stack.stripe.store.now() if stack.stripe else time.time()


def forecast(weather: "Weather") -> str:
    """Describes the weather in words."""
    if weather.down:
        return "The endpoint is down: every delivery fails."
    parts = [f"{weather.copies} copies of each event"] if weather.copies > 1 else []
    parts += [f"{weather.late:g} s late"] if weather.late else []
    parts += [f"{weather.lost:.0%} lost"] if weather.lost else []
    parts += ["shuffled"] if weather.shuffled else []
    return f"Bad: {', '.join(parts)}." if parts else "Fair: each event once, at once."


_TONES: Final = {
    "good": {"ACTIVE", "active", "trialing", "PAID", "SUCCEEDED", "PROCESSED"},
    "warn": {"PENDING", "PARTIALLY_PAID", "PROCESSING", "RECEIVED", "incomplete", "paused", "no record"},
    "bad": {"OVERDUE", "FAILED", "SUSPENDED", "CANCELED", "UNCOLLECTIBLE", "past_due", "unpaid", "canceled"},
}


def tone(status: str) -> str:
    """The CSS class that colours a status. A status that is neither good nor bad is `soft`."""
    return next((name for name, statuses in _TONES.items() if status in statuses), "soft")
