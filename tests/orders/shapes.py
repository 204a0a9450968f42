"""An event in the shape of an API version before basil (2025-03-31).

Stripe renders an event in the API version of the endpoint that gets it. While an endpoint of a newer version stands
beside the older one, both get every event, with the same id: https://docs.stripe.com/webhooks/versioning. What moved
is in https://docs.stripe.com/changelog/basil: an invoice's subscription, payments and taxes, a line's price, a
subscription's period. `events/stripe/pre-basil` has examples.
"""

import copy
from typing import Final

from local.stripe.engine.store import Object, Store

VERSION: Final = "2024-06-20"


def before_basil(store: Store, event: Object) -> Object | None:
    """None if this version has no such event."""
    made = copy.deepcopy(event)
    shown = made["data"]["object"]
    match shown["object"]:
        case "subscription":
            _subscription(shown)
        case "invoice":
            _invoice(store, shown)
        case "payment_intent":
            _intent(store, shown)
        case "invoice_payment":
            return None
    return made | {"api_version": VERSION}


def _subscription(shown: Object) -> None:
    items = shown["items"]["data"]
    for name in ("current_period_start", "current_period_end"):
        shown[name] = [item.pop(name) for item in items][0]  # noqa: RUF015 - all of them lose it
    shown |= {"quantity": items[0]["quantity"], "plan": {"object": "plan", "id": items[0]["price"]["id"]}}


def _invoice(store: Store, shown: Object) -> None:
    parent = shown.pop("parent")
    details = parent["subscription_details"] if parent else {"subscription": None, "metadata": None}
    shown |= {"subscription": details["subscription"], "subscription_details": {"metadata": details["metadata"]}}
    tied = store.all("invoice_payment", invoice=shown["id"], is_default=True)
    intent = tied[0]["payment"]["payment_intent"] if tied else None
    shown |= {"payment_intent": intent, "paid": shown["status"] == "paid", "tax": None}
    for name in ("total_taxes", "payments", "confirmation_secret", "amount_overpaid"):
        shown.pop(name, None)
    for line in shown["lines"]["data"]:
        _line(line)


def _line(line: Object) -> None:
    parent, pricing = line.pop("parent"), line.pop("pricing")
    item = parent["subscription_item_details"]
    line |= {
        "type": "subscription" if item else "invoiceitem",
        "proration": (item or parent["invoice_item_details"])["proration"],
        "subscription": (item or parent["invoice_item_details"])["subscription"],
        "price": pricing and {"object": "price", "id": pricing["price_details"]["price"]},
    }


def _intent(store: Store, shown: Object) -> None:
    shown.pop("payment_details", None)
    tied = [one for one in store.all("invoice_payment") if one["payment"].get("payment_intent") == shown["id"]]
    shown["invoice"] = tied[0]["invoice"] if tied else None
