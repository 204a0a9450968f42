"""What a customer may do in the portal, and does there: change the plan, cancel, save a payment method."""

from typing import Final, NamedTuple

from local.stripe.engine import payments, schedules
from local.stripe.engine.cards import SAVABLE, outcome, refusal
from local.stripe.engine.objects import change
from local.stripe.engine.periods import update_subscription
from local.stripe.engine.store import Object, Store
from local.stripe.engine.subscriptions import ENDED, after
from local.stripe.errors import declined, invalid, missing
from local.stripe.pages.components import Visit, chosen, product_name
from local.web import day

# Subscriptions with these statuses cannot be changed. An incomplete one can only be paid.
FIXED: Final = (*ENDED, "incomplete")


class Portal(NamedTuple):
    visit: Visit
    session: Object
    customer: Object

    @property
    def store(self) -> Store:
        return self.visit.store

    @property
    def address(self) -> str:
        return f"/p/session/{self.session['id']}"

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

    def live(self) -> list[Object]:
        return [s for s in self.all("subscription") if s["status"] not in ENDED]


def open_portal(visit: Visit, id: str) -> Portal:
    session = visit.store.get("billing_portal.session", id)
    return Portal(visit, session, visit.store.get("customer", session["customer"]))


def own(portal: Portal, id: str) -> Object:
    """The customer's subscription with this id. Raises `ApiError` if there is none that can be changed."""
    found = next((s for s in portal.all("subscription") if s["id"] == id), None)
    if found is None:
        raise missing("subscription", id)
    if found["status"] in FIXED:
        raise invalid(f"This subscription is {found['status'].replace('_', ' ')} and cannot be changed.")
    return found


def period_end(subscription: Object) -> int:
    end: int = subscription["items"]["data"][0]["current_period_end"]
    return end


# -- the plan


def offered(portal: Portal, subscription: Object) -> list[Object]:
    """The plans to which this subscription can switch, by name and price. It cannot change its currency."""
    if not portal.allows("subscription_update"):
        return []
    sold = portal.store.all("price", active=True, type="recurring", currency=subscription["currency"])
    if portal.features:
        listed = {price for one in portal.features["subscription_update"]["products"] for price in one["prices"]}
        sold = [price for price in sold if price["id"] in listed]
    return sorted(sold, key=lambda price: (product_name(portal.store, price), price["unit_amount"]))


def change_plan(portal: Portal, id: str) -> None:
    """Changes to the price that the request names: the question does in its address, its answer in its form."""
    portal.check_allowed("subscription_update")
    subscription, wanted = own(portal, id), portal.visit.request.values.get("price")
    price = next((price for price in offered(portal, subscription) if price["id"] == wanted), None)
    if price is None:
        raise invalid("This plan is not on offer.", "price")
    item = subscription["items"]["data"][0]
    update = (portal.features or {}).get("subscription_update", {})
    waits = _waits(item["price"], price, update.get("schedule_at_period_end", {}).get("conditions", []))
    if waits and subscription["cancel_at"]:
        ends = day(subscription["cancel_at"])
        raise invalid(f"Your subscription ends on {ends}, before this plan could begin. Keep the subscription first.")
    schedules.release(portal.store, subscription)
    if price["id"] == item["price"]["id"]:
        return
    if waits:
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


# -- the end


def cancel(portal: Portal, id: str) -> None:
    """Like Stripe's portal, it sets `cancel_at` to a moment. `cancel_at_period_end` stays false."""
    portal.check_allowed("subscription_cancel")
    subscription = own(portal, id)
    ends = portal.visit.field("cancel_at_period_end") == "true"
    schedules.release(portal.store, subscription)
    update_subscription(portal.store, subscription, {"cancel_at": period_end(subscription) if ends else ""})


# -- the payment method


def save_method(portal: Portal, _: str) -> None:
    """Saves the payment method for the customer and for each subscription.

    A subscription needs it too, because its own payment method would come before the customer's.
    """
    portal.check_allowed("payment_method_update")
    name = chosen(portal.visit)
    _check_savable(name)
    method = payments.payment_method(portal.store, name, portal.customer["id"])["id"]
    settings = {"invoice_settings": {"default_payment_method": method}}
    change(portal.store, "customer", portal.customer, settings)
    for subscription in portal.live():
        update_subscription(portal.store, subscription, {"default_payment_method": method})


def _check_savable(name: str) -> None:
    """Stripe tests a card before it saves it, except for the cards in SAVABLE. Raises `ApiError` if the test fails."""
    result = outcome(name)
    if result not in ("paid", "processing", "action") and name not in SAVABLE:
        raise declined({"last_payment_error": refusal(result)})
