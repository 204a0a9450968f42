"""What became of each event of Stripe: its deliveries, and the platform's record of it."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Final

from billing.replica.effects import EFFECTS
from local.account import Item
from local.console.view import Account, Filter, Held, seconds
from local.desk import Desk

type StripeEvent = dict[str, Any]
type Delivery = dict[str, Any]  # an entry of the log of `local/stripe/webhooks.py`

SHOWN: Final = 18


@dataclass(frozen=True)
class Row:
    """One event: Stripe's event, its deliveries, and our record of it.

    `event` is None if only the record is known: the console can read events only from the stand-in.
    `ours` says whether the platform's endpoint is subscribed to the type. `whose` finds its tenant, which takes time.
    """

    id: str
    type: str
    at: float
    object_id: str
    whose: Callable[[], str]
    ours: bool
    event: StripeEvent | None
    deliveries: list[Delivery]
    record: Item | None

    @cached_property
    def tenant(self) -> str:
        """It is empty if nobody can tell."""
        return self.whose()


@dataclass(frozen=True)
class Timeline:
    """Some of the rows that the filter takes, newest first: `begin` is the place of the first one, from 0.

    `found`: how many it takes. `total` and `sentence` are about all.
    """

    rows: list[Row]
    begin: int
    found: int
    total: int
    sentence: str

    @property
    def last(self) -> str:
        """The id of the last row, if older ones follow."""
        return self.rows[-1].id if self.found > self.begin + len(self.rows) else ""


def timeline(stack: Desk, held: Held, asked: Filter) -> Timeline:
    """The newest, or those that are older than `asked.before`."""
    everything = rows(stack, held)
    found = [row for row in everything if _takes(asked, row)]
    begin = next((n + 1 for n, row in enumerate(found) if row.id == asked.before), 0)
    shown = found[begin : begin + SHOWN]
    return Timeline(shown, begin, len(found), len(everything), _sentence(everything, held.records.values()))


def _takes(asked: Filter, row: Row) -> bool:
    typed = asked.type in row.type or asked.type == row.id
    became = not asked.outcome or asked.outcome == outcome(row)
    return typed and became and (not asked.tenant or asked.tenant in row.tenant)


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
        _row_of_event(event, partial(_tenant, stack, event, owners), sent[event["id"]], records.get(event["id"]))
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


def _row_of_event(event: StripeEvent, owner: Callable[[], str], deliveries: list[Delivery], record: Item | None) -> Row:
    object_id, ours = event["data"]["object"].get("id", ""), event["type"] in EFFECTS

    def whose() -> str:
        return (record or {}).get("tenantId") or owner()

    return Row(event["id"], event["type"], event["created"], object_id, whose, ours, event, deliveries, record)


def _row_of_record(record: Item) -> Row:
    at, whose = seconds(record["stripeCreatedAt"]), str(record.get("tenantId", ""))
    named = record.get("objectId", "")
    return Row(record["eventId"], record["eventType"], at, named, lambda: whose, True, None, [], record)


_WORDS: Final = {"STALE": "with nothing new"}


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


def delivery_tone(status: int | None) -> str:
    """2xx is good. None means that Stripe lost the event and will not send it again."""
    if status is None:
        return "warn"
    return "good" if 200 <= status < 300 else "bad"


def delivery_word(status: int | None) -> str:
    if status is None:
        return "lost on the way"
    return str(status) if status else "no answer"
