"""Computes what the table must hold, from Stripe's objects alone.

This module does not use the code that it checks, so it cannot repeat that code's errors. What a field means is said by
the pages of `docs/`, and Stripe's documentation (https://docs.stripe.com/api). A field that these do not determine
is left out of an entity, and then nothing is expected of it. `money.py` has invoices and payments.
"""

from collections.abc import Collection
from typing import Any, Final

from local.stripe.engine.store import Object, Store
from tests.torture.money import SUBSCRIBED, Own, has_event, iso, own_invoice, payment, stripe_invoice, subscription_of

LIVE: Final = {"trialing", "active", "past_due", "unpaid", "paused", "incomplete"}
NEVER_BEGAN: Final = {"incomplete", "incomplete_expired"}
CHARGING: Final = LIVE - NEVER_BEGAN
ACCESS: Final = {"trialing", "active", "past_due"}

type Fields = dict[str, Any]
type Expected = dict[str, Fields]


def expected(
    store: Store,
    tenant_id: str,
    plans: dict[str, str],
    own_invoices: dict[str, Own],
    customers: Collection[str] = (),
) -> Expected:
    """Maps each id to its fields, for the tenant and for everything that belongs to it.

    `plans` maps prices to plans. `own_invoices` are the platform's own, by id.
    `customers`: those that are linked to the tenant. If none is given, those whose metadata at Stripe names it.
    """
    ours = set(customers) or customers_of(store, tenant_id)
    known: Expected = {
        one["id"]: subscription(store, one, plans)
        for one in _told(store, "subscription")
        if one["customer"] in ours or one["metadata"].get("tenantId") == tenant_id
    }
    others: Expected = {one["id"]: stripe_invoice(store, one) for one in _told(store, "invoice") if _is_of(one, ours)}
    for intent in _told(store, "payment_intent"):
        named = intent["metadata"].get("tenantId") == tenant_id or intent["metadata"].get("invoiceId") in own_invoices
        if _is_of(intent, ours) or named:
            others[intent["id"]] = payment(store, intent)
    others |= {one: own_invoice(store, one, own) for one, own in own_invoices.items()}
    for fields in (*known.values(), *others.values()):
        fields["tenantId"] = tenant_id
    status, current = meaning(known)
    for key, fields in known.items():
        fields["duplicate"] = is_duplicate(key, fields, current)
    tenant = {"tenantId": tenant_id, "status": status, "currentSubscriptionId": current} | _customer(store, ours)
    return known | others | {tenant_id: tenant}


def customers_of(store: Store, tenant_id: str) -> set[str]:
    """The customers whose metadata names the tenant, also those that were deleted since."""
    deleted = [event["data"]["object"] for event in store.all("event", type="customer.deleted")]
    found = [*store.all("customer"), *deleted]
    return {one["id"] for one in found if (one.get("metadata") or {}).get("tenantId") == tenant_id}


def _customer(store: Store, ours: set[str]) -> Fields:
    """A tenant never has a deleted customer, and is not without one while one has its subscription.

    Which of several it has is not promised (docs/operations.md).
    """
    there = {one["id"] for one in store.all("customer") if one["id"] in ours}
    pays = any(one["customer"] in there for one in _told(store, "subscription"))
    if len(ours) == 1:
        return {"stripeCustomerId": next(iter(there), None)}
    return {"_customers": there if pays else there | {None}}


def _told(store: Store, kind: str) -> list[Object]:
    """The objects of which an event tells that we subscribe to. Of drafts, for example, none does."""
    named = {event["data"]["object"]["id"] for event in store.all("event") if event["type"] in SUBSCRIBED}
    return [one for one in store.all(kind) if one["id"] in named]


def _is_of(stripe_object: Object, customers: set[str]) -> bool:
    return stripe_object["customer"] in customers


# -- subscriptions and their tenant


def subscription(store: Store, stripe_object: Object, plans: dict[str, str]) -> Fields:
    pause = stripe_object["pause_collection"] or {}
    details = stripe_object["cancellation_details"] or {}
    return {
        "stripeSubscriptionId": stripe_object["id"],
        "stripeCustomerId": stripe_object["customer"],
        "status": stripe_object["status"],
        "items": [_item(one) for one in stripe_object["items"]["data"]],
        "startedAt": iso(stripe_object["start_date"]),
        "trialEnd": iso(stripe_object["trial_end"]),
        "cancelAt": iso(stripe_object["cancel_at"]),
        "cancelAtPeriodEnd": stripe_object["cancel_at_period_end"],
        "cancellationReason": details.get("reason"),
        "cancellationFeedback": details.get("feedback"),
        "cancellationComment": details.get("comment"),
        "pauseBehavior": pause.get("behavior"),
        "pauseResumesAt": iso(pause.get("resumes_at")),
        "_noticed": has_event(store, "customer.subscription.trial_will_end", stripe_object),
        "_waits": waiting(store, stripe_object),
        "_order": (iso(stripe_object["start_date"]), stripe_object["id"]),
        **_plan(stripe_object["items"]["data"], plans),
        **_checkout(store, stripe_object),
    }


def _item(item: Object) -> Fields:
    metered = (item["price"].get("recurring") or {}).get("usage_type") == "metered"
    return {
        "stripePriceId": item["price"]["id"],
        "quantity": item.get("quantity"),
        "metered": metered,
        "periodStart": iso(item["current_period_start"]),
        "periodEnd": iso(item["current_period_end"]),
    }


def _plan(items: list[Object], plans: dict[str, str]) -> Fields:
    """The plan, its quantity and its period are those of the item whose price is a plan's (CHANGELOG).

    Which one it is of several such items is not promised, and neither is the period of a subscription without one.
    """
    found = [one for one in items if one["price"]["id"] in plans]
    if len(found) != 1 and len(items) != 1:
        return {} if found else {"planId": None}
    [item] = found or items
    return {
        "planId": plans.get(item["price"]["id"]),
        "stripePriceId": item["price"]["id"],
        "quantity": item.get("quantity"),
        "currentPeriodStart": iso(item["current_period_start"]),
        "currentPeriodEnd": iso(item["current_period_end"]),
    }


def _session(store: Store, stripe_object: Object) -> Object | None:
    """The Checkout Session that made the subscription, or that began to (`_begun`)."""
    sessions = store.all("checkout.session")
    return next((one for one in sessions if stripe_object["id"] in one.get("_begun", [one["subscription"]])), None)


def _first_invoice(store: Store, stripe_object: Object) -> Object | None:
    return next((one for one in store.all("invoice")[::-1] if subscription_of(one) == stripe_object["id"]), None)


def waiting(store: Store, stripe_object: Object) -> bool:
    """Whether the subscription's checkout waits for its money, or the bank has refused to pay (decision 4)."""
    session = _session(store, stripe_object)
    if not session or session["payment_status"] != "unpaid" or session["status"] == "expired":
        return False
    if session["status"] == "open" and "checkoutAttempt" not in session["metadata"]:
        return False  # nobody can tell that a Payment Link began it
    invoice = _first_invoice(store, stripe_object)
    return not invoice or invoice["status"] not in ("paid", "void")


def _checkout(store: Store, stripe_object: Object) -> Fields:
    """`checkoutPayment` is pending, failed or settled, and moves in this order only (decision 4).

    An open session tells nothing yet, nor does one of a subscription that it began and that ended before it was paid.
    """
    session = _session(store, stripe_object)
    if not session:
        return {"checkoutPayment": None}
    if session["subscription"] != stripe_object["id"]:
        return {}
    if not waiting(store, stripe_object):
        return {"checkoutPayment": "settled"}
    if not has_event(store, "checkout.session.async_payment_failed", session):
        return {"checkoutPayment": "pending"}
    # If nobody knew the customer when the event came, the session was read later, and it does not show a refusal.
    return {"checkoutPayment": "failed"} if session["metadata"].get("tenantId") else {}


def meaning(known: Expected) -> tuple[str, str | None]:
    """Returns the tenant's status, and the subscription that decides it.

    This is the oldest one that gives access. If none does, it is the oldest live one; otherwise the newest one. A
    subscription that never began decides only if no subscription began.
    """
    ordered = sorted(known, key=lambda key: known[key]["_order"])
    ordered = [key for key in ordered if known[key]["status"] not in NEVER_BEGAN] or ordered
    live = [key for key in ordered if known[key]["status"] in LIVE]
    giving = [key for key in live if _means(known[key]) == "ACTIVE"]
    current = next(iter(giving or live or ordered[::-1]), None)
    return (_means(known[current]) if current else "PENDING"), current


def _means(fields: Fields) -> str:
    """What one subscription means for its tenant. `void`: nobody pays for this time."""
    status = fields["status"]
    if status in NEVER_BEGAN:
        return "PENDING"
    if status not in LIVE:
        return "CANCELED"
    if status not in ACCESS or fields.get("pauseBehavior") == "void":
        return "SUSPENDED"
    return "PENDING" if fields["_waits"] else "ACTIVE"


def is_duplicate(key: str, fields: Fields, current: str | None) -> bool:
    """It charges beside the tenant's current subscription."""
    return fields["status"] in CHARGING and key != current
