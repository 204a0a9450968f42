"""The customer portal: the plans, the payment method and the invoices of a session's customer, and what was done."""

from collections.abc import Callable
from typing import Final
from urllib.parse import urlencode

from werkzeug.utils import redirect
from werkzeug.wrappers import Response

from local.stripe.engine.store import Object
from local.stripe.engine.subscriptions import ENDED
from local.stripe.errors import ApiError
from local.stripe.pages.asking import ask_cancel, ask_plan
from local.stripe.pages.changes import (
    FIXED,
    Portal,
    cancel,
    change_plan,
    offered,
    open_portal,
    period_end,
    save_method,
)
from local.stripe.pages.components import Link, Route, Visit, described, entry, payable, per, product_name, web_link
from local.web import day, money, page


def _show(portal: Portal, _: str) -> Response:
    return _page(portal)


def _at(act: Callable[[Portal, str], Response]) -> Callable[..., Response]:
    """Makes the handler of an address. After an error, it answers with the portal and the message."""

    def answer(visit: Visit, id: str, subscription: str = "") -> Response:
        portal = open_portal(visit, id)
        try:
            return act(portal, subscription)
        except ApiError as error:
            return _page(portal, error.status, str(error))

    return answer


def _doing(act: Callable[[Portal, str], None], code: str) -> Callable[..., Response]:
    """Makes the handler of a form. It redirects to the portal, which says what was done."""

    def do(portal: Portal, subscription: str) -> Response:
        act(portal, subscription)
        return redirect(f"{portal.address}?{urlencode({'done': code, 'subscription': subscription})}", 303)

    return _at(do)


def _back(portal: Portal, _: str) -> Response:
    """Redirects to the portal, because the page after an error exists only as an answer to a form."""
    return redirect(portal.address, 303)


# -- what was done


def _said(portal: Portal) -> str:
    """What was done, in words. The address only says which; the words are those of the present state.

    So an old address says nothing that is no longer so.
    """
    asked = portal.visit.request.args
    if asked.get("done") == "method":
        return "Your payment method is saved." if _saved(portal) else ""
    subscription = next((one for one in portal.live() if one["id"] == asked.get("subscription")), None)
    if subscription is None:
        return ""
    if asked.get("done") == "plan":
        return _plan_said(portal, subscription)
    if asked.get("done") == "cancel":
        ends = subscription["cancel_at"]
        return f"Your subscription ends on {day(ends)}." if ends else "Your subscription goes on."
    return ""


def _plan_said(portal: Portal, subscription: Object) -> str:
    planned = portal.store.find(subscription.get("_next_price") or "")
    if planned:
        return f"From {day(period_end(subscription))} your plan is {product_name(portal.store, planned)}."
    name = product_name(portal.store, subscription["items"]["data"][0]["price"])
    invoice = portal.store.find(subscription["latest_invoice"] or "")
    if invoice and payable(portal.store, invoice):
        due = money(invoice["amount_remaining"], invoice["currency"])
        return f"Your plan is now {name}. An invoice of {due} is not paid yet."
    return f"Your plan is now {name}."


# -- the page


def _page(portal: Portal, status: int = 200, alert: str = "") -> Response:
    values = {
        "alert": alert,
        "said": "" if alert else _said(portal),
        "address": portal.address,
        "who": portal.customer["name"] or portal.customer["email"] or portal.customer["id"],
        "subscriptions": [_subscription(portal, subscription) for subscription in portal.all("subscription")],
        "saved": _saved(portal),
        "invoices": [_invoice(portal, invoice) for invoice in portal.all("invoice")],
        "allows": portal.allows,
        "query": urlencode({"portal": portal.session["id"]}),
        "back": Link(web_link(portal.session["return_url"]), "Return to the app"),
    }
    return page("portal.html", status, **values, **entry(portal.visit, portal.address))


def _subscription(portal: Portal, subscription: Object) -> Object:
    item, fixed = subscription["items"]["data"][0], subscription["status"] in FIXED
    price = item["price"]
    plans = [] if fixed else [_plan(portal, offer) for offer in offered(portal, subscription)]
    return {
        "id": subscription["id"],
        "name": product_name(portal.store, price),
        "each": per(price["unit_amount"], price),
        "quantity": item["quantity"],
        "status": subscription["status"],
        "when": _when(portal, subscription),
        "fixed": fixed,
        "ending": bool(subscription["cancel_at"]),
        "price": price["id"],
        "plans": plans,
    }


def _plan(portal: Portal, price: Object) -> Object:
    text = f"{product_name(portal.store, price)}: {per(price['unit_amount'], price)}"
    return {"id": price["id"], "text": text}


def _when(portal: Portal, subscription: Object) -> str:
    if subscription["status"] in ENDED:
        return f"Ended on {day(subscription['ended_at'])}" if subscription["ended_at"] else "Ended"
    if subscription["cancel_at"]:
        return f"Ends on {day(subscription['cancel_at'])}"
    if subscription["status"] == "incomplete":
        return "Waits for its first payment"
    planned = portal.store.find(subscription.get("_next_price") or "")
    if planned:
        return f"Becomes {product_name(portal.store, planned)} on {day(period_end(subscription))}"
    verb = "Trial ends on" if subscription["status"] == "trialing" else "Renews on"
    return f"{verb} {day(period_end(subscription))}"


def _saved(portal: Portal) -> str:
    """Describes the payment method for the next invoice.

    Checkout saves a card only for the subscription. The portal saves it for the customer too.
    """
    names = [(portal.customer.get("invoice_settings") or {}).get("default_payment_method")]
    names += [subscription["default_payment_method"] for subscription in portal.live()]
    return described(portal.store, next(filter(None, names), None))


def _invoice(portal: Portal, invoice: Object) -> Object:
    return {
        "id": invoice["id"],
        "number": invoice["number"] or "Draft",
        "date": day(invoice["created"]),
        "total": money(invoice["total"], invoice["currency"]),
        "status": invoice["status"],
        "payable": payable(portal.store, invoice),
    }


ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/p/session/<id>", _at(_show)),
    ("GET", "/p/session/<id>/subscriptions/<subscription>/plan", _at(ask_plan)),
    ("POST", "/p/session/<id>/subscriptions/<subscription>/plan", _doing(change_plan, "plan")),
    ("GET", "/p/session/<id>/subscriptions/<subscription>/cancel", _at(ask_cancel)),
    ("POST", "/p/session/<id>/subscriptions/<subscription>/cancel", _doing(cancel, "cancel")),
    ("GET", "/p/session/<id>/payment_method", _at(_back)),
    ("POST", "/p/session/<id>/payment_method", _doing(save_method, "method")),
)
