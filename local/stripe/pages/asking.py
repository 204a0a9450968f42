"""The portal's questions before a change of plan and before a cancellation. They only show, and change nothing.

Stripe's portal asks the same: https://docs.stripe.com/customer-management
"""

from werkzeug.wrappers import Response

from local.stripe.engine import invoices
from local.stripe.engine.store import Object, Store
from local.stripe.errors import invalid
from local.stripe.pages.changes import Portal, change_plan, open_portal, own, period_end
from local.stripe.pages.components import described, line_text, per, product_name, sums
from local.web import day, page


def ask_plan(portal: Portal, id: str) -> Response:
    """Shows what the change will do. It is done in a rehearsal, by the same code that does it after the answer."""
    trial = open_portal(portal.visit._replace(store=portal.store.rehearsal()), portal.session["id"])
    change_plan(trial, id)
    before, after = own(portal, id), own(trial, id)
    now, then = before["items"]["data"][0]["price"], after["items"]["data"][0]["price"]
    planned = trial.store.find(after.get("_next_price") or "")
    kept = not planned and now["id"] == then["id"]
    if kept and not before.get("_next_price"):
        raise invalid("This is your plan already.", "price")
    values = {
        "address": portal.address,
        "action": f"{portal.address}/subscriptions/{id}/plan",
        "price": (planned or then)["id"],
        "name": product_name(portal.store, planned or then),
        "now": plan(portal.store, before),
        "then": plan(trial.store, after, planned),
        "kept": kept,
        "starts": day(period_end(after)) if planned else "",
        "ends": day(after["cancel_at"]) if after["cancel_at"] else "",
        "renews": day(period_end(after)),
        **_bill(portal.store, trial.store, after, before["latest_invoice"]),
    }
    return page("ask_plan.html", **values)


def _bill(store: Store, trial: Store, subscription: Object, latest: str | None) -> Object:
    """What the change costs: the invoice that it makes at once, or else the items that it leaves for the next one."""
    if subscription["latest_invoice"] != latest:
        invoice = trial.get("invoice", subscription["latest_invoice"])
        method = invoices.method_of(trial, invoice)
        return {"bill": sums(trial, invoice), "method": described(trial, method), "later": []}
    known = store.objects.get("invoiceitem", {})
    left = [item for item in trial.all("invoiceitem", invoice=None) if item["id"] not in known]
    later = [(line_text(trial, item["description"], item["_price"]), item["amount"]) for item in left]
    return {"bill": None, "later": later, "currency": subscription["currency"]}


def plan(store: Store, subscription: Object, price: Object | None = None) -> str:
    """The plan with what it costs: `Pro, 49.00 USD per month`. `price`: another one than the subscription's."""
    item = subscription["items"]["data"][0]
    price = price or item["price"]
    count = f" \N{MULTIPLICATION SIGN} {item['quantity']}" if item["quantity"] != 1 else ""
    return f"{product_name(store, price)}, {per(price['unit_amount'], price)}{count}"


def ask_cancel(portal: Portal, id: str) -> Response:
    portal.check_allowed("subscription_cancel")
    subscription = own(portal, id)
    planned = portal.store.find(subscription.get("_next_price") or "")
    values: Object = {
        "address": portal.address,
        "action": f"{portal.address}/subscriptions/{id}/cancel",
        "name": product_name(portal.store, subscription["items"]["data"][0]["price"]),
        "ends": day(period_end(subscription)),
        "planned": product_name(portal.store, planned) if planned else "",
    }
    return page("ask_cancel.html", **values)
