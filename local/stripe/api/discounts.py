"""Stripe's API: coupons, promotion codes, and the discounts of subscriptions.

https://docs.stripe.com/api/coupons and https://docs.stripe.com/api/promotion_codes
"""

import string
from typing import Final

from local.stripe.check import missing
from local.stripe.engine import discounts
from local.stripe.engine import store as engine_store
from local.stripe.engine.objects import Operation, make, on
from local.stripe.engine.store import Object, Store
from local.stripe.errors import invalid

_ALPHABET: Final = string.ascii_uppercase + string.digits


def _random(length: int) -> str:
    return "".join(engine_store.chance.choices(_ALPHABET, k=length))


def _create_coupon(store: Store, form: Object, _: str) -> Object:
    if ("percent_off" in form) == ("amount_off" in form):
        raise invalid("You must pass either percent_off or amount_off, and not both.", "percent_off")
    if not 0 < form.get("percent_off", 1) <= 100:
        raise invalid("Invalid percent_off: it must be greater than 0 and at most 100.", "percent_off")
    if form.get("amount_off", 1) <= 0:
        raise invalid("Invalid positive integer", "amount_off", code="parameter_invalid_integer")
    if "amount_off" in form and "currency" not in form:
        raise missing("currency")
    duration = form.get("duration", "once")
    if (duration == "repeating") != ("duration_in_months" in form):
        raise invalid("duration_in_months goes with the duration repeating, and only with it.", "duration_in_months")
    name = form.pop("id", None) or _random(8)
    if name in store.objects.get("coupon", {}):
        raise invalid("Coupon already exists.", "id", code="resource_already_exists")
    return make(store, "coupon", form, id=name, valid=True, duration=duration)


def _delete_coupon(store: Store, coupon: Object) -> Object:
    """Discounts that were made of it stay: https://docs.stripe.com/api/coupons/delete"""
    coupon["valid"] = False
    store.emit("coupon.deleted", coupon)
    return store.delete(coupon)


def _create_code(store: Store, form: Object, _: str) -> Object:
    coupon = store.named("coupon", form["promotion"].get("coupon", ""), "promotion[coupon]")
    code = form.get("code") or _random(8)
    if any(one["code"].lower() == code.lower() for one in store.all("promotion_code", active=True)):
        raise invalid(f"An active promotion code with `code: {code}` already exists.", "code")
    if form.get("customer"):
        store.named("customer", form["customer"], "customer")
    promotion = {"type": "coupon", "coupon": coupon["id"]}
    return make(store, "promotion_code", {**form, "code": code, "promotion": promotion, "active": True})


def _delete_discounts(store: Store, _: Object, id: str) -> Object:
    subscription = store.get("subscription", id)
    if not subscription["discounts"]:
        raise invalid("The subscription has no discount.", code="resource_missing")
    last = store.get("discount", subscription["discounts"][-1])
    discounts.put(store, subscription, [])
    return {**last, "deleted": True}


OPERATIONS: Final[tuple[tuple[str, str, Operation], ...]] = (
    ("POST", "/v1/coupons", _create_coupon),
    ("DELETE", "/v1/coupons/{coupon}", on("coupon", _delete_coupon)),
    ("POST", "/v1/promotion_codes", _create_code),
    ("DELETE", "/v1/subscriptions/{subscription_exposed_id}/discount", _delete_discounts),
)
