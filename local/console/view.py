"""The data that the console shows: the items of the table, and the result of each event of Stripe."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from billing.adapters.table import items
from billing.replica.effects import EFFECTS
from local import template
from local.desk import Desk

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from local.stripe.webhooks import Weather

type Item = dict[str, Any]  # of the table
type StripeEvent = dict[str, Any]
type Delivery = dict[str, Any]  # an entry of the log of `local/stripe/webhooks.py`

NEWEST: Final = 60


@dataclass(frozen=True)
class Account:
    """A tenant, its items by kind (SUBSCRIPTION, INVOICE, PAYMENT), newest first, and its current plan."""

    tenant: Item
    owned: Mapping[str, list[Item]]
    plan: str | None


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
    `ours` says whether the platform's endpoint is subscribed to the type.
    """

    id: str
    type: str
    at: float
    object_id: str
    ours: bool
    event: StripeEvent | None
    deliveries: list[Delivery]
    record: Item | None


@dataclass(frozen=True)
class Timeline:
    """The newest rows. `total` and `sentence` are about all rows."""

    rows: list[Row]
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


def _accounts(by_kind: Mapping[str, list[Item]], plans: Mapping[str, Item]) -> list[Account]:
    owned: defaultdict[str, dict[str, list[Item]]] = defaultdict(lambda: defaultdict(list))
    for kind in ("SUBSCRIPTION", "INVOICE", "PAYMENT"):
        for item in sorted(by_kind.get(kind, []), key=_age, reverse=True):
            owned[item["tenantId"]][kind].append(item)
    tenants = sorted(by_kind.get("TENANT", []), key=_age)
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


def timeline(stack: Desk, records: Mapping[str, Item]) -> Timeline:
    """Stripe's events, and the records of events that the stand-in does not know.

    A person signed such an event by hand, or it comes from real Stripe.
    """
    events, log = _at_stripe(stack)
    sent: defaultdict[str, list[Delivery]] = defaultdict(list)
    for delivery in log:
        sent[delivery["event"]].append(delivery)
    known = {event["id"] for event in events}
    rows = [_row_of_event(event, sent[event["id"]], records.get(event["id"])) for event in events]
    rows += [_row_of_record(record) for record in records.values() if record["eventId"] not in known]
    rows.sort(key=lambda row: -row.at)
    return Timeline(rows[:NEWEST], len(rows), _sentence(rows, records.values()))


def _at_stripe(stack: Desk) -> tuple[list[StripeEvent], list[Delivery]]:
    if stack.stripe is None:
        return [], []
    with stack.stripe.lock:
        return stack.stripe.store.all("event"), list(stack.stripe.webhooks.log)


def _row_of_event(event: StripeEvent, deliveries: list[Delivery], record: Item | None) -> Row:
    object_id = event["data"]["object"].get("id", "")
    ours = event["type"] in EFFECTS
    return Row(event["id"], event["type"], event["created"], object_id, ours, event, deliveries, record)


def _row_of_record(record: Item) -> Row:
    at = seconds(record["stripeCreatedAt"])
    return Row(record["eventId"], record["eventType"], at, record.get("objectId", ""), True, None, [], record)


def _sentence(rows: list[Row], records: Iterable[Item]) -> str:
    """`12 events, 10 of them for the platform: 9 processed, 1 stale`. It is short: screen readers read every change."""
    if not rows:
        return "No events yet."
    ours = sum(row.ours for row in rows)
    counted = Counter(record["status"] for record in records)
    parts = [f"{counted[status]} {status.lower()}" for status in sorted(counted)]
    parts += [f"{ours - counted.total()} not recorded"] if ours > counted.total() else []
    whose = f", {ours} of them for the platform: {', '.join(parts)}" if ours else ", none of them for the platform yet"
    return f"{len(rows)} event{'s' if len(rows) > 1 else ''}{whose}."


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
    "warn": {"PENDING", "PARTIALLY_PAID", "PROCESSING", "RECEIVED", "incomplete", "paused"},
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
