"""Computes what the table must hold, from Stripe's objects alone.

This module does not use the code that it checks, so it cannot repeat that code's errors.
"""

from typing import Any

from billing.replica.effects import EFFECTS
from local.stripe.engine.store import Object, Store

LIVE = {"trialing", "active", "past_due", "unpaid", "paused", "incomplete"}
NEVER_BEGAN = {"incomplete", "incomplete_expired"}
CHARGING = LIVE - NEVER_BEGAN
ACCESS = {"trialing": "ACTIVE", "active": "ACTIVE", "past_due": "ACTIVE", "unpaid": "SUSPENDED", "paused": "SUSPENDED"}

type Expected = dict[str, dict[str, Any]]


def expected(store: Store, tenant_id: str, plans: dict[str, str], own_invoices: dict[str, int]) -> Expected:
    """Maps each id to its fields, for the tenant and for everything that belongs to it.

    `plans` maps prices to plans. `own_invoices` maps the platform's own invoices to the amounts that are due.
    """
    subscriptions = {s["id"]: s for s in store.all("subscription")}
    with_event = {event["data"]["object"]["id"] for event in store.all("event") if event["type"] in EFFECTS}
    everything: Expected = {
        s["id"]: subscription(s, plans, waits=waiting(store, s))
        for s in subscriptions.values()
        if s["id"] in with_event
    }
    for invoice in store.all("invoice"):
        if invoice["id"] in with_event:
            everything[invoice["id"]] = stripe_invoice(store, invoice)
    for intent in store.all("payment_intent"):
        if intent["id"] in with_event:
            everything[intent["id"]] = payment(store, intent)
    for invoice_id, due in own_invoices.items():
        everything[invoice_id] = own_invoice(store, invoice_id, due)
    known = {key: entry for key, entry in everything.items() if key in subscriptions}
    current = deciding(known)
    for key, entry in known.items():
        entry["duplicate"] = entry["status"] in CHARGING and key != current
    status = _meaning(known[current]) if current else "PENDING"
    everything[tenant_id] = {"status": status, "currentSubscriptionId": current}
    return everything


def waiting(store: Store, stripe_object: Object) -> bool:
    """Tells whether the bank has not paid yet for the checkout of this subscription, or has refused to pay."""
    for session in store.all("checkout.session"):
        if stripe_object["id"] not in (session["subscription"], session.get("_begun")):
            continue
        invoice = store.get("invoice", session["invoice"] or stripe_object["latest_invoice"])
        return bool(session["payment_status"] == "unpaid" and invoice["status"] not in ("paid", "void"))
    return False


def subscription(stripe_object: Object, plans: dict[str, str], *, waits: bool) -> dict[str, Any]:
    items = stripe_object["items"]["data"]
    item = next((one for one in items if one["price"]["id"] in plans), items[0])
    pause = stripe_object["pause_collection"] or {}
    return {
        "status": stripe_object["status"],
        "planId": plans.get(item["price"]["id"]),
        "quantity": item["quantity"],
        "cancelAtPeriodEnd": stripe_object["cancel_at_period_end"],
        "pauseBehavior": pause.get("behavior"),
        "_waits": waits,
        "_order": (stripe_object["created"], stripe_object["id"]),
    }


def deciding(known: Expected) -> str | None:
    """Returns the subscription that decides the tenant's status.

    This is the oldest one that gives access. If none does, it is the oldest live one; otherwise the newest one. A
    subscription that never began decides only if no subscription began.
    """
    ordered = sorted(known, key=lambda key: known[key]["_order"])
    ordered = [key for key in ordered if known[key]["status"] not in NEVER_BEGAN] or ordered
    live = [key for key in ordered if known[key]["status"] in LIVE]
    giving = [key for key in live if _meaning(known[key]) == "ACTIVE"]
    return next(iter(giving or live or ordered[::-1]), None)


def _meaning(entry: dict[str, Any]) -> str:
    if entry["status"] in NEVER_BEGAN:
        return "PENDING"
    if entry["pauseBehavior"] == "void" and ACCESS.get(entry["status"]) == "ACTIVE":
        return "SUSPENDED"
    meaning = ACCESS.get(entry["status"], "SUSPENDED" if entry["status"] in LIVE else "CANCELED")
    return "PENDING" if entry["_waits"] and meaning == "ACTIVE" else meaning


def stripe_invoice(store: Store, invoice: Object) -> dict[str, Any]:
    """An attempt that waits for the bank or for the customer has not failed."""
    tied = [tie["payment"].get("payment_intent") for tie in store.all("invoice_payment", invoice=invoice["id"])]
    waits = {store.get("payment_intent", one)["status"] for one in tied if one} & {"processing", "requires_action"}
    failed = max(0, invoice["attempt_count"] - bool(waits))
    status = invoice["status"].upper()
    if status == "OPEN":
        first = invoice["billing_reason"] == "subscription_create"
        part = "PARTIALLY_PAID" if invoice["amount_paid"] else "PENDING"
        status = "OVERDUE" if failed and not first else part
    return {
        "status": status,
        "amountPaid": invoice["amount_paid"],
        "amountRemaining": invoice["amount_remaining"],
        "attemptCount": failed if invoice["status"] == "open" else invoice["attempt_count"],
        "actionRequired": invoice["status"] == "open" and "requires_action" in waits,
        "amountOverpaid": invoice["amount_overpaid"] or 0,
    }


def payment(store: Store, intent: Object) -> dict[str, Any]:
    invoice = intent["metadata"].get("invoiceId")
    for tie in store.all("invoice_payment", status="paid"):
        if tie["payment"].get("payment_intent") == intent["id"]:
            invoice = tie["invoice"]
    charge = store.get("charge", intent["latest_charge"]) if intent["latest_charge"] else None
    named = {"succeeded": "SUCCEEDED", "canceled": "CANCELED", "requires_payment_method": "FAILED"}
    refunds = store.all("refund", charge=charge["id"]) if charge else []
    disputes = store.all("dispute", charge=charge["id"]) if charge else []
    return {
        "status": named.get(intent["status"], "PROCESSING"),
        "amount": intent["amount_received"] if intent["status"] == "succeeded" else intent["amount"],
        "stripeChargeId": intent["latest_charge"],
        "amountRefunded": sum(r["amount"] for r in refunds if r["status"] == "succeeded"),
        "amountRefundFailed": sum(r["amount"] for r in refunds if r["status"] == "failed"),
        "disputed": any(d["status"] in ("needs_response", "under_review", "lost") for d in disputes),
        "disputeStatus": disputes[0]["status"] if disputes else None,
        "actionRequired": intent["status"] == "requires_action",
        "invoiceId": invoice,
    }


def own_invoice(store: Store, invoice_id: str, due: int) -> dict[str, Any]:
    intents = [
        i for i in store.all("payment_intent", status="succeeded") if i["metadata"].get("invoiceId") == invoice_id
    ]
    paid = sum(i["amount_received"] for i in intents)
    status = "PENDING" if not paid else "PAID" if paid >= due else "PARTIALLY_PAID"
    return {"status": status, "amountPaid": paid, "amountRemaining": max(0, due - paid)}
