"""What the console shows: the platform's record as the table holds it, and what became of each of Stripe's events."""

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

type Thing = dict[str, Any]

NEWEST: Final = 60


@dataclass(frozen=True)
class Account:
    """A tenant, what it owns by kind (SUBSCRIPTION, INVOICE, PAYMENT), the newest first, and its current plan."""

    tenant: Thing
    owned: Mapping[str, list[Thing]]
    plan: str | None


@dataclass(frozen=True)
class Held:
    """All that the table holds; `records` by the event's id."""

    accounts: list[Account]
    plans: dict[str, Thing]
    records: dict[str, Thing]


@dataclass(frozen=True)
class Row:
    """One event: as Stripe made it (`event`: None where Stripe is not ours to look into), sent it, and we recorded it.

    `ours`: whether the platform's endpoint is subscribed to its type.
    """

    id: str
    type: str
    at: float
    object_id: str
    ours: bool
    event: Thing | None
    deliveries: list[Thing]
    record: Thing | None


@dataclass(frozen=True)
class Timeline:
    """The newest rows; `total` and `sentence` speak of all."""

    rows: list[Row]
    total: int
    sentence: str


# -- the table


def held(client: "DynamoDBClient") -> Held:
    pages = client.get_paginator("scan").paginate(TableName=template.TABLE_NAME, ConsistentRead=True)
    by_kind: defaultdict[str, list[Thing]] = defaultdict(list)
    for raw in (raw for page in pages for raw in page["Items"]):
        item = items.load(raw)
        by_kind[item["SK"].split("#")[0]].append(item)
    plans = {plan["planId"]: plan for plan in sorted(by_kind["PLAN"], key=lambda plan: plan["amount"])}
    records = {record["eventId"]: record for record in by_kind["EVENT"]}
    return Held(_accounts(by_kind, plans), plans, records)


def _accounts(by_kind: Mapping[str, list[Thing]], plans: Mapping[str, Thing]) -> list[Account]:
    owned: defaultdict[str, dict[str, list[Thing]]] = defaultdict(lambda: defaultdict(list))
    for kind in ("SUBSCRIPTION", "INVOICE", "PAYMENT"):
        for item in sorted(by_kind.get(kind, []), key=_age, reverse=True):
            owned[item["tenantId"]][kind].append(item)
    tenants = sorted(by_kind.get("TENANT", []), key=_age)
    return [Account(t, owned[t["tenantId"]], _plan(t, owned[t["tenantId"]]["SUBSCRIPTION"], plans)) for t in tenants]


def _age(item: Thing) -> tuple[str, str, str]:
    return item.get("createdAt", ""), item["PK"], item["SK"]


def _plan(tenant: Thing, subscriptions: Iterable[Thing], plans: Mapping[str, Thing]) -> str | None:
    """The name of the plan that the tenant has now; of one that the table does not know, the price."""
    current = tenant.get("currentSubscriptionId")
    for one in subscriptions:
        if one["stripeSubscriptionId"] == current:
            plan_id: str = one.get("planId") or one.get("stripePriceId", "")
            return str(plans[plan_id]["name"]) if plan_id in plans else plan_id
    return None


# -- the events


def timeline(stack: Desk, records: Mapping[str, Thing]) -> Timeline:
    """Stripe's events, and records of events that this Stripe does not know: signed by hand, or of real Stripe."""
    events, log = _at_stripe(stack)
    sent: defaultdict[str, list[Thing]] = defaultdict(list)
    for delivery in log:
        sent[delivery["event"]].append(delivery)
    known = {event["id"] for event in events}
    rows = [_told(event, sent[event["id"]], records.get(event["id"])) for event in events]
    rows += [_recorded(record) for record in records.values() if record["eventId"] not in known]
    rows.sort(key=lambda row: -row.at)
    return Timeline(rows[:NEWEST], len(rows), _sentence(rows, records.values()))


def _at_stripe(stack: Desk) -> tuple[list[Thing], list[Thing]]:
    if stack.stripe is None:
        return [], []
    with stack.stripe.lock:
        return stack.stripe.store.all("event"), list(stack.stripe.webhooks.log)


def _told(event: Thing, deliveries: list[Thing], record: Thing | None) -> Row:
    thing = event["data"]["object"].get("id", "")
    ours = event["type"] in EFFECTS
    return Row(event["id"], event["type"], event["created"], thing, ours, event, deliveries, record)


def _recorded(record: Thing) -> Row:
    at = seconds(record["stripeCreatedAt"])
    return Row(record["eventId"], record["eventType"], at, record.get("objectId", ""), True, None, [], record)


def _sentence(rows: list[Row], records: Iterable[Thing]) -> str:
    """`12 events, 10 of them for the platform: 9 processed, 1 stale`: short, it is read out at every change."""
    if not rows:
        return "No events yet."
    ours = sum(row.ours for row in rows)
    counted = Counter(record["status"] for record in records)
    said = [f"{counted[status]} {status.lower()}" for status in sorted(counted)]
    said += [f"{ours - counted.total()} not recorded"] if ours > counted.total() else []
    whose = f", {ours} of them for the platform: {', '.join(said)}" if ours else ", none of them for the platform yet"
    return f"{len(rows)} event{'s' if len(rows) > 1 else ''}{whose}."


# -- words


def seconds(moment: str) -> float:
    """An ISO 8601 time of the table in seconds since the epoch."""
    return datetime.fromisoformat(moment).timestamp()


def stripe_now(stack: Desk) -> float:
    return stack.stripe.store.now() if stack.stripe else time.time()


def forecast(weather: "Weather") -> str:
    """The weather in words."""
    if weather.down:
        return "The endpoint is down: every delivery fails."
    said = [f"{weather.copies} copies of each event"] if weather.copies > 1 else []
    said += [f"{weather.late:g} s late"] if weather.late else []
    said += [f"{weather.lost:.0%} lost"] if weather.lost else []
    said += ["shuffled"] if weather.shuffled else []
    return f"Bad: {', '.join(said)}." if said else "Fair: each event once, at once."


_TONES: Final = {
    "good": {"ACTIVE", "active", "trialing", "PAID", "SUCCEEDED", "PROCESSED"},
    "warn": {"PENDING", "PARTIALLY_PAID", "PROCESSING", "RECEIVED", "incomplete", "paused"},
    "bad": {"OVERDUE", "FAILED", "SUSPENDED", "CANCELED", "UNCOLLECTIBLE", "past_due", "unpaid", "canceled"},
}


def tone(status: str) -> str:
    """The class that a status is coloured with; what is of no consequence stays soft."""
    return next((name for name, statuses in _TONES.items() if status in statuses), "soft")


def delivery_tone(status: int | None) -> str:
    """2xx is good. None: Stripe lost the event, and nobody will send it again."""
    if status is None:
        return "warn"
    return "good" if 200 <= status < 300 else "bad"


def delivery_word(status: int | None) -> str:
    if status is None:
        return "lost on the way"
    return str(status) if status else "no answer"
