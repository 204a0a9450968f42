"""Coupons and promotion codes become discounts, and discounts make invoices smaller.

https://docs.stripe.com/billing/subscriptions/coupons and https://docs.stripe.com/api/discounts
"""

from datetime import UTC, datetime

from dateutil.relativedelta import relativedelta

from local.stripe.engine.store import Object, Store
from local.stripe.errors import invalid


def put(store: Store, subscription: Object, given: list[Object]) -> None:
    """Gives the subscription these discounts, and takes all others away. Raises `ApiError`."""
    before = subscription["discounts"]
    kept = {one["discount"] for one in given if "discount" in one}
    owner = {"customer": subscription["customer"], "subscription": subscription["id"]}
    made = redeem(store, given, subscription["currency"], **owner)
    for one in (one for one in before if one not in kept):
        _end(store, subscription, one)
    subscription["discounts"] = made
    for one in (one for one in made if one not in before):
        store.emit("customer.discount.created", store.get("discount", one))


def redeem(store: Store, given: list[Object], currency: str, **owner: str) -> list[str]:
    """Makes a discount of each coupon or promotion code. Returns the ids of the discounts.

    Each of `given` has one of `coupon`, `promotion_code` and `discount`. Raises `ApiError` before anything is made.
    """
    found = check(store, given, currency, owner.get("customer"))
    return [kept or _discount(store, coupon, code, owner)["id"] for coupon, code, kept in found]


type Named = tuple[
    Object, Object | None, str | None
]  # coupon, promotion code, the id of a discount that exists already


def check(store: Store, given: list[Object], currency: str, customer: str | None) -> list[Named]:
    """What `given` names. Raises `ApiError` if the customer cannot redeem it."""
    found = [_named(store, one, customer, f"discounts[{n}]") for n, one in enumerate(given)]
    for coupon in (coupon for coupon, _, _ in found if coupon["amount_off"] and coupon["currency"] != currency):
        raise invalid(
            f"The coupon `{coupon['id']}` has the currency {coupon['currency']}, not {currency}.", "discounts"
        )
    return found


def _named(store: Store, one: Object, customer: str | None, param: str) -> Named:
    if "discount" in one:
        discount = store.named("discount", one["discount"], f"{param}[discount]")
        return discount["_coupon"], None, discount["id"]
    if "promotion_code" not in one:
        coupon = store.named("coupon", one.get("coupon", ""), f"{param}[coupon]")
        return _valid(store, coupon, f"{param}[coupon]"), None, None
    code = store.named("promotion_code", one["promotion_code"], f"{param}[promotion_code]")
    ended = code["expires_at"] and code["expires_at"] <= store.now()
    if not code["active"] or ended or code["customer"] not in (None, customer):
        raise invalid("This promotion code cannot be redeemed.", f"{param}[promotion_code]")
    coupon = store.named("coupon", code["promotion"]["coupon"], f"{param}[promotion_code]")
    return _valid(store, coupon, f"{param}[promotion_code]"), code, None


def _valid(store: Store, coupon: Object, param: str) -> Object:
    if not coupon["valid"] or (coupon["redeem_by"] and coupon["redeem_by"] <= store.now()):
        raise invalid(f"Coupon expired: {coupon['id']}", param, code="coupon_expired")
    return coupon


def _discount(store: Store, coupon: Object, code: Object | None, owner: dict[str, str]) -> Object:
    for counted in (one for one in (coupon, code) if one):
        counted["times_redeemed"] += 1
        used_up = counted["max_redemptions"] == counted["times_redeemed"]
        counted |= {"valid" if counted is coupon else "active": not used_up}
    months = coupon["duration_in_months"]  # only of a repeating coupon
    now = datetime.fromtimestamp(store.now(), UTC)
    return store.create(
        "discount",
        start=store.now(),
        end=int((now + relativedelta(months=months)).timestamp()) if months else None,
        source={"type": "coupon", "coupon": coupon["id"]},
        promotion_code=code["id"] if code else None,
        _coupon={**coupon},  # a discount stays as it is when its coupon is deleted
        **owner,
    )


def _end(store: Store, subscription: Object, discount: str) -> None:
    subscription["discounts"] = [one for one in subscription["discounts"] if one != discount]
    store.emit("customer.discount.deleted", store.get("discount", discount))


def active(store: Store, subscription: Object) -> list[str]:
    """The discounts of an invoice that begins now. Those of a repeating coupon that are over end."""
    for discount in (store.get("discount", one) for one in subscription.get("discounts", [])):
        if discount["end"] and discount["end"] <= store.now():
            _end(store, subscription, discount["id"])
    return list(subscription.get("discounts", []))


def spend(store: Store, subscription: Object, invoice: Object) -> None:
    """A coupon with the duration `once` counts for one invoice that it makes smaller."""
    for used in invoice["total_discount_amounts"]:
        once = store.get("discount", used["discount"])["_coupon"]["duration"] == "once"
        if once and used["amount"] and used["discount"] in subscription["discounts"]:
            _end(store, subscription, used["discount"])


def reduce(store: Store, invoice: Object) -> None:
    """Sets the invoice's `total_discount_amounts`, and each line's part of them.

    The discounts are applied one after the other.
    """
    lines = [line for line in invoice["lines"]["data"] if line["discountable"] and line["amount"] > 0]
    for line in lines:
        line["discount_amounts"] = []
    invoice["total_discount_amounts"] = [
        {"discount": one, "amount": sum(_shares(lines, one, store.get("discount", one)["_coupon"]))}
        for one in invoice["discounts"]
    ]


def _shares(lines: list[Object], discount: str, coupon: Object) -> list[int]:
    left = [line["amount"] - sum(one["amount"] for one in line["discount_amounts"]) for line in lines]
    shares = off(left, coupon)
    for line, amount in zip(lines, shares, strict=True):
        line["discount_amounts"].append({"discount": discount, "amount": amount})
    return shares


def off(amounts: list[int], coupon: Object) -> list[int]:
    """What the coupon takes off each amount, in minor units."""
    if coupon["percent_off"]:
        return [round(amount * coupon["percent_off"] / 100) for amount in amounts]
    left, shares = min(sum(amounts), coupon["amount_off"]), []
    for amount in amounts:
        shares.append(min(amount, left))
        left -= shares[-1]
    return shares


def share(store: Store, subscription: Object) -> float:
    """The share of a price that remains after the percentages of the subscription's discounts.

    Prorations are not discounted on the invoice; their amounts already are.
    https://docs.stripe.com/api/invoiceitems/object#invoiceitem_object-discountable
    """
    remains = 1.0
    for one in active(store, subscription):
        remains *= 1 - (store.get("discount", one)["_coupon"]["percent_off"] or 0) / 100
    return remains
