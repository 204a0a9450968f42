"""The customer portal: plans, cancellation, the payment method and the invoices of a session's customer."""

from collections.abc import Callable
from typing import Final, NamedTuple

from werkzeug.utils import redirect
from werkzeug.wrappers import Response

from local.stripe.engine import payments, schedules
from local.stripe.engine.cards import SAVABLE, outcome, refusal
from local.stripe.engine.objects import change
from local.stripe.engine.periods import update_subscription
from local.stripe.engine.store import Object, Store
from local.stripe.engine.subscriptions import ENDED, after
from local.stripe.errors import ApiError, declined, invalid, missing
from local.stripe.pages.components import Route, Visit, chosen, entry, payable, per, product_name, web_link
from local.web import day, money, page

# Subscriptions with these statuses cannot be changed. An incomplete one can only be paid.
_FIXED: Final = (*ENDED, "incomplete")


class Portal(NamedTuple):
    visit: Visit
    session: Object
    customer: Object

    @property
    def store(self) -> Store:
        return self.visit.store

    @property
    def features(self) -> Object | None:
        """The features of the session's configuration. None means that the default configuration allows everything."""
        configuration = self.store.find(self.session["configuration"])
        return None if configuration is None or configuration["is_default"] else configuration["features"]

    def allows(self, feature: str) -> bool:
        return self.features is None or bool(self.features[feature]["enabled"])

    def check_allowed(self, feature: str) -> None:
        if not self.allows(feature):
            raise invalid("This portal does not offer that.")

    def all(self, kind: str) -> list[Object]:
        """The customer's own objects of this kind, newest first."""
        return self.store.all(kind, customer=self.customer["id"])


def _portal(visit: Visit, id: str) -> Portal:
    session = visit.store.get("billing_portal.session", id)
    return Portal(visit, session, visit.store.get("customer", session["customer"]))


def _show(visit: Visit, id: str) -> Response:
    return _page(_portal(visit, id))


def _changing(act: Callable[[Portal, str], None]) -> Callable[..., Response]:
    """Makes the handler of a form.

    It redirects to the page, which shows the change. After an error, it answers with the page and the message.
    """

    def answer(visit: Visit, id: str, subscription: str = "") -> Response:
        portal = _portal(visit, id)
        try:
            act(portal, subscription)
        except ApiError as error:
            return _page(portal, error.status, str(error))
        return redirect(_address(portal), 303)

    return answer


def _address(portal: Portal) -> str:
    return f"/p/session/{portal.session['id']}"


# -- changes


def _change_plan(portal: Portal, id: str) -> None:
    portal.check_allowed("subscription_update")
    subscription = _own(portal, id)
    price = next((p for p in _offered(portal, subscription) if p["id"] == portal.visit.field("price")), None)
    if price is None:
        raise invalid("This plan is not on offer.", "price")
    item = subscription["items"]["data"][0]
    schedules.release(portal.store, subscription)
    if price["id"] == item["price"]["id"]:
        return
    update = (portal.features or {}).get("subscription_update", {})
    if _waits(item["price"], price, update.get("schedule_at_period_end", {}).get("conditions", [])):
        schedules.schedule(portal.store, subscription, price)
        return
    items = [{"id": item["id"], "price": price["id"]}]
    behavior = update.get("proration_behavior", "create_prorations")
    update_subscription(portal.store, subscription, {"items": items, "proration_behavior": behavior})


def _waits(old: Object, new: Object, conditions: list[Object]) -> bool:
    """Whether the configuration lets this change wait for the end of the period.

    https://docs.stripe.com/api/customer_portal/configurations/object (features.subscription_update)
    """
    begin = 0
    shorter = after(begin, new) < after(begin, old)
    smaller = new["unit_amount"] < old["unit_amount"] and new["recurring"] == old["recurring"]
    holds = {"decreasing_item_amount": smaller, "shortening_interval": shorter}
    return any(holds[condition["type"]] for condition in conditions)


def _cancel(portal: Portal, id: str) -> None:
    """Like Stripe's portal, it sets `cancel_at` to a moment. `cancel_at_period_end` stays false."""
    portal.check_allowed("subscription_cancel")
    subscription = _own(portal, id)
    ends = portal.visit.field("cancel_at_period_end") == "true"
    schedules.release(portal.store, subscription)
    update_subscription(portal.store, subscription, {"cancel_at": _period_end(subscription) if ends else ""})


def _own(portal: Portal, id: str) -> Object:
    found = next((s for s in portal.all("subscription") if s["id"] == id), None)
    if found is None:
        raise missing("subscription", id)
    if found["status"] in _FIXED:
        raise invalid(f"This subscription is {_words(found['status'])} and cannot be changed.")
    return found


def _offered(portal: Portal, subscription: Object) -> list[Object]:
    """The plans to which this subscription can switch, by name and price. It cannot change its currency."""
    if not portal.allows("subscription_update"):
        return []
    sold = portal.store.all("price", active=True, type="recurring", currency=subscription["currency"])
    if portal.features:
        listed = {price for one in portal.features["subscription_update"]["products"] for price in one["prices"]}
        sold = [price for price in sold if price["id"] in listed]
    return sorted(sold, key=lambda price: (product_name(portal.store, price), price["unit_amount"]))


def _save_card(portal: Portal, _: str) -> None:
    """Saves the payment method for the customer and for each subscription.

    A subscription needs it too, because its own payment method would come before the customer's.
    """
    portal.check_allowed("payment_method_update")
    name = chosen(portal.visit)
    _check_savable(name)
    method = payments.payment_method(portal.store, name, portal.customer["id"])["id"]
    settings = {"invoice_settings": {"default_payment_method": method}}
    change(portal.store, "customer", portal.customer, settings)
    for subscription in _live(portal):
        update_subscription(portal.store, subscription, {"default_payment_method": method})


def _check_savable(name: str) -> None:
    """Stripe tests a card before it saves it, except for the cards in SAVABLE. Raises `ApiError` if the test fails."""
    result = outcome(name)
    if result not in ("paid", "processing", "action") and name not in SAVABLE:
        raise declined({"last_payment_error": refusal(result)})


def _live(portal: Portal) -> list[Object]:
    return [s for s in portal.all("subscription") if s["status"] not in ENDED]


# -- the page


def _page(portal: Portal, status: int = 200, alert: str = "") -> Response:
    values = {
        "alert": alert,
        "action": _address(portal),
        "who": portal.customer["name"] or portal.customer["email"] or portal.customer["id"],
        "subscriptions": [_subscription(portal, subscription) for subscription in portal.all("subscription")],
        "saved": _saved(portal),
        "invoices": [_invoice(portal, invoice) for invoice in portal.all("invoice")],
        "allows": portal.allows,
        "back": web_link(portal.session["return_url"]),
    }
    return page("portal.html", status, **values, **entry(portal.visit))


def _subscription(portal: Portal, subscription: Object) -> Object:
    item, fixed = subscription["items"]["data"][0], subscription["status"] in _FIXED
    price = item["price"]
    plans = [] if fixed else [_plan(portal, offer) for offer in _offered(portal, subscription)]
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
        return f"Becomes {product_name(portal.store, planned)} on {day(_period_end(subscription))}"
    verb = "Trial ends on" if subscription["status"] == "trialing" else "Renews on"
    return f"{verb} {day(_period_end(subscription))}"


def _period_end(subscription: Object) -> int:
    end: int = subscription["items"]["data"][0]["current_period_end"]
    return end


def _words(status: str) -> str:
    return status.replace("_", " ")


def _saved(portal: Portal) -> str:
    """Describes the payment method for the next invoice.

    Checkout saves a card only for the subscription. The portal saves it for the customer too.
    """
    names = [(portal.customer.get("invoice_settings") or {}).get("default_payment_method")]
    names += [subscription["default_payment_method"] for subscription in _live(portal)]
    method = next((portal.store.find(name) for name in names if name), None)
    if method is None:
        return ""
    details = method[method["type"]]
    return f"{details.get('brand', 'bank account').capitalize()} ending in {details['last4']}"


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
    ("GET", "/p/session/<id>", _show),
    ("POST", "/p/session/<id>/subscriptions/<subscription>/plan", _changing(_change_plan)),
    ("POST", "/p/session/<id>/subscriptions/<subscription>/cancel", _changing(_cancel)),
    ("POST", "/p/session/<id>/payment_method", _changing(_save_card)),
)
