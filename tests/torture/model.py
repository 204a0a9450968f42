"""What the table must hold, told from Stripe's objects alone: written apart from the code that it judges."""

from typing import Any

from billing.replica.effects import EFFECTS
from local.stripe.engine.store import Object, Store

LIVE = {"trialing", "active", "past_due", "unpaid", "paused", "incomplete"}
CHARGING = LIVE - {"incomplete"}
ACCESS = {"trialing": "ACTIVE", "active": "ACTIVE", "past_due": "ACTIVE", "unpaid": "SUSPENDED", "paused": "SUSPENDED"}

type Expected = dict[str, dict[str, Any]]


def expected(store: Store, tenant_id: str, plans: dict[str, str], own_invoices: dict[str, int]) -> Expected:
    """Id -> fields, for the tenant and all that is its own. `plans`: price -> plan; `own_invoices`: id -> due."""
    subscriptions = {s["id"]: s for s in store.all("subscription")}
    told = {event["data"]["object"]["id"] for event in store.all("event") if event["type"] in EFFECTS}
    everything: Expected = {
        s["id"]: subscription(s, plans, waits=waiting(store, s)) for s in subscriptions.values() if s["id"] in told
    }
    for invoice in store.all("invoice"):
        if invoice["id"] in told:
            everything[invoice["id"]] = stripe_invoice(invoice)
    for intent in store.all("payment_intent"):
        if intent["id"] in told:
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


def waiting(store: Store, thing: Object) -> bool:
    """Whether the bank has still to pay for the checkout that made it, or refused to."""
    for session in store.all("checkout.session", subscription=thing["id"]):
        invoice = store.get("invoice", session["invoice"])
        return bool(session["payment_status"] == "unpaid" and invoice["status"] not in ("paid", "void"))
    return False


def subscription(thing: Object, plans: dict[str, str], *, waits: bool) -> dict[str, Any]:
    item = thing["items"]["data"][0]
    return {
        "status": thing["status"],
        "planId": plans.get(item["price"]["id"]),
        "quantity": item["quantity"],
        "cancelAtPeriodEnd": thing["cancel_at_period_end"],
        "_waits": waits,
        "_order": (thing["created"], thing["id"]),
    }


def deciding(known: Expected) -> str | None:
    """The oldest subscription that gives access, else the oldest that lives, else the last that ended."""
    ordered = sorted(known, key=lambda key: known[key]["_order"])
    live = [key for key in ordered if known[key]["status"] in LIVE]
    giving = [key for key in live if _meaning(known[key]) == "ACTIVE"]
    return next(iter(giving or live or ordered[::-1]), None)


def _meaning(entry: dict[str, Any]) -> str:
    meaning = ACCESS.get(entry["status"], "SUSPENDED" if entry["status"] in LIVE else "CANCELED")
    return "PENDING" if entry["_waits"] and meaning == "ACTIVE" else meaning


def stripe_invoice(thing: Object) -> dict[str, Any]:
    status = thing["status"].upper()
    if status == "OPEN":
        status = "OVERDUE" if thing["attempt_count"] else "PENDING"
    return {
        "status": status,
        "amountPaid": thing["amount_paid"],
        "amountRemaining": thing["amount_remaining"],
        "attemptCount": thing["attempt_count"],
    }


def payment(store: Store, intent: Object) -> dict[str, Any]:
    invoice = intent["metadata"].get("invoiceId")
    for tie in store.all("invoice_payment", status="paid"):
        if tie["payment"].get("payment_intent") == intent["id"]:
            invoice = tie["invoice"]
    charge = store.get("charge", intent["latest_charge"]) if intent["latest_charge"] else None
    ended = {"succeeded": "SUCCEEDED", "canceled": "CANCELED"}
    return {
        "status": ended.get(intent["status"], "FAILED"),
        "amount": intent["amount"],
        "stripeChargeId": intent["latest_charge"],
        "amountRefunded": charge["amount_refunded"] if charge else 0,
        "disputed": charge["disputed"] if charge else False,
        "invoiceId": invoice,
    }


def own_invoice(store: Store, invoice_id: str, due: int) -> dict[str, Any]:
    intents = [
        i for i in store.all("payment_intent", status="succeeded") if i["metadata"].get("invoiceId") == invoice_id
    ]
    paid = sum(i["amount_received"] for i in intents)
    status = "PENDING" if not paid else "PAID" if paid >= due else "PARTIALLY_PAID"
    return {"status": status, "amountPaid": paid, "amountRemaining": max(0, due - paid)}
