"""Tells which announcements a write of the table owes, from `docs/announcements.md` and the two schemas alone.

This module does not use the code that makes the announcements, so it cannot repeat that code's errors. An
announcement's fields are those that its schema lists. "A field that has no value is left out."
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

type Item = dict[str, Any]
type Rule = Callable[[Item, Item], bool]

_SCHEMAS: Final = Path(__file__).parents[2] / "docs" / "schemas"
VERSIONS: Final = ("1", "2")

ENDED: Final = {"canceled", "incomplete_expired"}
LATE: Final = {"past_due", "unpaid"}
PAYING: Final = {"active", "trialing"}
PERIODS: Final = {"subscription_create", "subscription_cycle", "subscription_update"}
NAMES: Final = {"TENANT": "", "SUBSCRIPTION": "subscriptionId", "INVOICE": "invoiceId", "PAYMENT": "paymentIntentId"}


SCHEMAS: Final = {one: json.loads((_SCHEMAS / f"announcement.v{one}.json").read_text()) for one in VERSIONS}


def _fields(version: str) -> dict[str, list[str]]:
    """Maps each announced type to the fields of its `from` and `to`."""
    schema = SCHEMAS[version]
    found = {}
    for one in schema["oneOf"]:
        to = one["properties"]["to"]
        to = schema["$defs"][to["$ref"].rsplit("/", 1)[1]] if "$ref" in to else to
        found[one["title"]] = list(to["properties"])
    return found


FIELDS: Final = {version: _fields(version) for version in VERSIONS}


def became(field: str, *values: str) -> Rule:
    """The field has one of these values now, and had another one before, or there was nothing before."""
    return lambda old, new: new.get(field) in values and new[field] != old.get(field)


def changed(*names: str) -> Rule:
    return lambda old, new: bool(old) and any(old.get(name) != new.get(name) for name in names)


def rose(field: str) -> Rule:
    return lambda old, new: new.get(field, 0) > old.get(field, 0)


def _sold(item: Item) -> list[Any]:
    """The items without their periods: a period moves on at each renewal, and that is no other plan."""
    return [
        {name: value for name, value in one.items() if not name.startswith("period")} for one in item.get("items", [])
    ]


def _partly_paid(old: Item, new: Item) -> bool:
    """ "A part of it was paid": each part, not only the first one."""
    return new["status"] == "PARTIALLY_PAID" and rose("amountPaid")(old, new)


def _payment_failed(old: Item, new: Item) -> bool:
    """Each attempt is told. Stripe clears an error when a PaymentIntent is updated, and then no attempt has failed.

    https://docs.stripe.com/api/payment_intents/object#payment_intent_object-last_payment_error
    """
    again = (new.get("failureCode") or new.get("failedChargeId")) and changed("failedChargeId")(old, new)
    return new["status"] == "FAILED" and (old.get("status") != "FAILED" or bool(again))


def _plan_changed(old: Item, new: Item) -> bool:
    return changed("planId", "stripePriceId", "quantity")(old, new) or (bool(old) and _sold(old) != _sold(new))


def _paused(item: Item) -> bool:
    return item.get("status") == "paused" or bool(item.get("pauseBehavior"))


def _ends(item: Item) -> Any:
    return item.get("cancelAtPeriodEnd", False), item.get("cancelAt")


def _will_end(item: Item) -> bool:
    return any(_ends(item))


def _alive(item: Item) -> bool:
    return item.get("status") not in ENDED


def _inquiry(item: Item) -> bool:
    return item.get("disputeStatus") in ("warning_needs_response", "warning_under_review")


def _closed(item: Item) -> bool:
    return item.get("disputeStatus") in ("won", "lost", "warning_closed")


def _noticed(old: Item, new: Item) -> bool:
    return bool(new.get("trialNotice")) and new["trialNotice"] != old.get("trialNotice")


def is_period(item: Item) -> bool:
    """Whether the invoice is for a period of a subscription. One with nothing but prorations is not."""
    return {"periodEnd", "stripeSubscriptionId"} <= item.keys() and item.get("billingReason") in PERIODS


def _attempt_failed(old: Item, new: Item) -> bool:
    """A payment that came after a failed attempt is told as paid (docs/consistency.md)."""
    return rose("attemptCount")(old, new) and new["status"] in ("PENDING", "OVERDUE", "PARTIALLY_PAID", "UNCOLLECTIBLE")


# The rules of each kind: what the table of docs/announcements.md says.
RULES: Final[dict[str, dict[str, Rule]]] = {
    "TENANT": {
        "tenant.activated": became("status", "ACTIVE"),
        "tenant.suspended": became("status", "SUSPENDED"),
        "tenant.canceled": became("status", "CANCELED"),
        "tenant.pending": lambda old, new: bool(old) and became("status", "PENDING")(old, new),
    },
    "SUBSCRIPTION": {
        "subscription.created": lambda old, _: not old,
        "subscription.plan_changed": _plan_changed,
        "subscription.past_due": became("status", "past_due"),
        "subscription.unpaid": became("status", "unpaid"),
        "subscription.recovered": lambda old, new: old.get("status") in LATE and new["status"] in PAYING,
        "subscription.trial_ending": _noticed,
        "subscription.trial_converted": lambda old, new: (
            old.get("status") == "trialing" and new["status"] in {"active", *LATE}
        ),
        "subscription.paused": lambda old, new: _paused(new) and not _paused(old),
        "subscription.resumed": lambda old, new: _paused(old) and not _paused(new) and _alive(new),
        "subscription.cancel_scheduled": lambda old, new: _will_end(new) and _alive(new) and _ends(old) != _ends(new),
        "subscription.reactivated": lambda old, new: _will_end(old) and not _will_end(new) and _alive(new),
        "subscription.canceled": lambda old, new: not _alive(new) and _alive(old),
        "subscription.duplicate_detected": lambda old, new: bool(new.get("duplicate")) and not old.get("duplicate"),
        "subscription.duplicate_resolved": lambda old, new: bool(old.get("duplicate")) and not new.get("duplicate"),
    },
    "INVOICE": {
        "invoice.created": lambda old, _: not old,
        "invoice.paid": became("status", "PAID"),
        "subscription.renewed": lambda old, new: became("status", "PAID")(old, new) and is_period(new),
        "invoice.partially_paid": _partly_paid,
        "invoice.voided": became("status", "VOID"),
        "invoice.uncollectible": became("status", "UNCOLLECTIBLE"),
        "invoice.overdue": became("status", "OVERDUE"),
        "invoice.overpaid": rose("amountOverpaid"),
        "invoice.action_required": lambda old, new: bool(new.get("actionRequired")) and not old.get("actionRequired"),
        "invoice.payment_attempt_failed": _attempt_failed,
    },
    "PAYMENT": {
        "payment.processing": became("status", "PROCESSING"),
        "payment.action_required": lambda old, new: bool(new.get("actionRequired")) and not old.get("actionRequired"),
        "payment.succeeded": became("status", "SUCCEEDED"),
        "payment.canceled": became("status", "CANCELED"),
        "payment.failed": _payment_failed,
        "payment.refunded": rose("amountRefunded"),
        "payment.refund_failed": rose("amountRefundFailed"),
        "payment.disputed": lambda old, new: bool(new.get("disputed")) and not old.get("disputed"),
        "payment.inquiry_opened": lambda old, new: _inquiry(new) and not _inquiry(old),
        "payment.dispute_closed": lambda old, new: _closed(new) and new["disputeStatus"] != old.get("disputeStatus"),
    },
}


# "One case is new" in version 2. Version 1 has no items ("Another plan, price or quantity").
_VERSION_1: Final[dict[str, Rule]] = {
    "payment.failed": became("status", "FAILED"),
    "subscription.plan_changed": changed("planId", "stripePriceId", "quantity"),
}


def owed(before: Item, after: Item, version: str = "2") -> dict[str, tuple[Item, Item]]:
    """Maps each type that is owed to its `from` and `to`. `before` is empty for a new item."""
    kind = after["SK"].split("#")[0] if after["PK"].startswith("TENANT#") else ""
    if kind not in RULES:
        return {}
    fields = FIELDS[version]
    rules = RULES[kind] | (_VERSION_1 if version == "1" else {})
    types = [one for one in RULES[kind] if one in fields and rules[one](before, after)]
    if version == "2" and untold(before, after):
        types.append(f"{kind.lower()}.updated")
    return {one: (_shown(before, fields[one]), _shown(after, fields[one])) for one in types}


def untold(before: Item, after: Item) -> list[str]:
    """The announced fields that changed, and that no other type tells. A new item has none."""
    kind = after["SK"].split("#")[0]
    types = [one for one, rule in RULES[kind].items() if before and rule(before, after)]
    told = {name for one in types for name in FIELDS["2"][one]}
    left = [name for name in FIELDS["2"][f"{kind.lower()}.updated"] if before and name not in told]
    return [name for name in left if _value(before, name) != _value(after, name)]


def _value(item: Item, name: str) -> Any:
    """An item's period moves on before anybody has paid: `subscription.renewed` tells of it (decision 19)."""
    return _sold(item) if name == "items" else item.get(name)


def _shown(item: Item, fields: list[str]) -> Item:
    return {name: item[name] for name in fields if item.get(name) is not None}
