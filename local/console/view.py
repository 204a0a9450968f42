"""The data that the console shows: the items of the table, and the result of each event of Stripe."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from billing.adapters.table import items
from billing.domain import access
from billing.replica.effects import EFFECTS
from local import template
from local.desk import Desk

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from local.stripe.webhooks import Weather

type Item = dict[str, Any]  # of the table
type StripeEvent = dict[str, Any]
type Delivery = dict[str, Any]  # an entry of the log of `local/stripe/webhooks.py`

NEWEST: Final = 18  # events
TENANTS: Final = 4
PAYABLE: Final = ("PENDING", "PARTIALLY_PAID", "OVERDUE")


@dataclass(frozen=True)
class Filter:
    """What the reader wants to see: a part of a tenant's id, a part of a type, an outcome of `OUTCOMES`."""

    tenant: str = ""
    type: str = ""
    outcome: str = ""

    @classmethod
    def of(cls, arguments: Mapping[str, str]) -> "Filter":
        return cls(*(arguments.get(name, "").strip()[:64] for name in ("tenant", "type", "outcome")))

    def takes_tenant(self, tenant_id: str) -> bool:
        return self.tenant in tenant_id

    def takes(self, row: "Row") -> bool:
        """`type` may also be the whole id of one event."""
        typed = self.type in row.type or self.type == row.id
        return self.tenant in row.tenant and typed and (not self.outcome or self.outcome == outcome(row))


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


@dataclass(frozen=True)
class Row:
    """One event: Stripe's event, its deliveries, and our record of it.

    `event` is None if only the record is known: the console can read events only from the stand-in.
    `ours` says whether the platform's endpoint is subscribed to the type. `tenant` is empty if nobody can tell.
    """

    id: str
    type: str
    at: float
    object_id: str
    tenant: str
    ours: bool
    event: StripeEvent | None
    deliveries: list[Delivery]
    record: Item | None


@dataclass(frozen=True)
class Timeline:
    """The newest rows that the filter takes. `found`: how many it takes. `total` and `sentence` are about all."""

    rows: list[Row]
    found: int
    total: int
    sentence: str


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


# -- the events


def timeline(stack: Desk, held: Held, asked: Filter) -> Timeline:
    everything = rows(stack, held)
    found = [row for row in everything if asked.takes(row)]
    return Timeline(found[:NEWEST], len(found), len(everything), _sentence(everything, held.records.values()))


def rows(stack: Desk, held: Held) -> list[Row]:
    """Stripe's events, and the records of events that the stand-in does not know, newest first.

    A person signed such an event by hand, or it comes from real Stripe.
    """
    events, log = _at_stripe(stack)
    records, owners = held.records, _owners(held.accounts)
    sent: defaultdict[str, list[Delivery]] = defaultdict(list)
    for delivery in log:
        sent[delivery["event"]].append(delivery)
    known = {event["id"] for event in events}
    found = [
        _row_of_event(event, _tenant(stack, event, owners), sent[event["id"]], records.get(event["id"]))
        for event in events
    ]
    found += [_row_of_record(record) for record in records.values() if record["eventId"] not in known]
    return sorted(found, key=lambda row: -row.at)


def _at_stripe(stack: Desk) -> tuple[list[StripeEvent], list[Delivery]]:
    if stack.stripe is None:
        return [], []
    with stack.stripe.lock:
        return stack.stripe.store.all("event"), list(stack.stripe.webhooks.log)


def _owners(accounts: Iterable[Account]) -> dict[str, str]:
    """Customer -> tenant, also of customers that were deleted."""
    owners: dict[str, str] = {}
    for account in accounts:
        held = [account.tenant, *account.owned["SUBSCRIPTION"]]
        customers = [item.get("stripeCustomerId", "") for item in held] + account.tenant.get("deletedCustomers", [])
        owners |= dict.fromkeys(customers, account.tenant["tenantId"])
    return owners


def _tenant(stack: Desk, event: StripeEvent, owners: Mapping[str, str]) -> str:
    """By the metadata or the customer of the event's object, or of what that object is about."""
    about = event["data"]["object"]
    named = (about.get("metadata") or {}).get("tenantId")
    while not named:
        customer = about["id"] if about["object"] == "customer" else about.get("customer")
        if customer or stack.stripe is None:
            return owners.get(customer or "", "")
        other = next((about[name] for name in ("invoice", "charge", "payment_intent") if about.get(name)), "")
        about = stack.stripe.store.find(other)
        if about is None:
            return ""
        named = (about.get("metadata") or {}).get("tenantId")
    return str(named)


def _row_of_event(event: StripeEvent, tenant: str, deliveries: list[Delivery], record: Item | None) -> Row:
    object_id = event["data"]["object"].get("id", "")
    ours = event["type"] in EFFECTS
    tenant = (record or {}).get("tenantId") or tenant
    return Row(event["id"], event["type"], event["created"], object_id, tenant, ours, event, deliveries, record)


def _row_of_record(record: Item) -> Row:
    at = seconds(record["stripeCreatedAt"])
    whose = record.get("tenantId", "")
    return Row(record["eventId"], record["eventType"], at, record.get("objectId", ""), whose, True, None, [], record)


def _sentence(rows: list[Row], records: Iterable[Item]) -> str:
    """`12 events, 10 of them for the platform: 9 processed, 1 stale`. It is short: screen readers read every change."""
    if not rows:
        return "No events yet."
    ours = sum(row.ours for row in rows)
    counted = Counter(record["status"] for record in records)
    parts = [f"{counted[status]} {_WORDS.get(status, status.lower())}" for status in sorted(counted)]
    parts += [f"{ours - counted.total()} with no record"] if ours > counted.total() else []
    whose = f", {ours} of them for the platform: {', '.join(parts)}" if ours else ", none of them for the platform yet"
    return f"{len(rows)} event{'s' if len(rows) > 1 else ''}{whose}."


# What became of an event: the statuses of our record, and what can happen to it on the way.
OUTCOMES: Final[Mapping[str, str]] = {
    "PROCESSED": "PROCESSED",
    "STALE": "nothing new",
    "IGNORED": "IGNORED",
    "FAILED": "FAILED",
    "RECEIVED": "RECEIVED",
    "missing": "no record",
    "found": "brought in",
    "other": "not subscribed",
}


def outcome(row: Row) -> str:
    """One of `OUTCOMES`."""
    if row.record and row.record["status"] in ("PROCESSED", "STALE") and was_brought_in(row):
        return "found"
    if row.record:
        return str(row.record["status"])
    return "missing" if row.ours else "other"


def was_brought_in(row: Row) -> bool:
    """Whether the platform has the event although no delivery brought it: it has fetched it from Stripe."""
    return row.event is not None and not any(_brought(one) for one in row.deliveries)


def _brought(delivery: Delivery) -> bool:
    """A delivery of an event that the platform had by then is answered as a duplicate."""
    return 200 <= (delivery["status"] or 0) < 300 and '"duplicate": true' not in delivery["answer"]


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


_WORDS: Final = {"STALE": "with nothing new"}
_TONES: Final = {
    "good": {"ACTIVE", "active", "trialing", "PAID", "SUCCEEDED", "PROCESSED"},
    "warn": {"PENDING", "PARTIALLY_PAID", "PROCESSING", "RECEIVED", "incomplete", "paused", "no record"},
    "bad": {"OVERDUE", "FAILED", "SUSPENDED", "CANCELED", "UNCOLLECTIBLE", "past_due", "unpaid", "canceled"},
}


def tone(status: str) -> str:
    """The CSS class that colours a status. A status that is neither good nor bad is `soft`."""
    return next((name for name, statuses in _TONES.items() if status in statuses), "soft")


def delivery_tone(status: int | None) -> str:
    """2xx is good. None means that Stripe lost the event and will not send it again."""
    if status is None:
        return "warn"
    return "good" if 200 <= status < 300 else "bad"


def delivery_word(status: int | None) -> str:
    if status is None:
        return "lost on the way"
    return str(status) if status else "no answer"
