"""Quotes: an offer that becomes a subscription or an invoice when it is accepted. https://docs.stripe.com/quotes"""

from typing import Any, Final

from local.stripe.engine import discounts, invoices, lines, scheduling, subscriptions
from local.stripe.engine.objects import merge
from local.stripe.engine.store import DAY, Object, Sold, Store, new_id
from local.stripe.errors import invalid

LIVES: Final = 30 * DAY  # an example of Stripe has it: https://docs.stripe.com/api/quotes/object
_OPEN: Final = ("draft", "open")


def create(store: Store, form: Object, sold: Sold) -> Object:
    """Raises `ApiError`."""
    given = form.get("discounts") or []
    currency = sold[0][0]["currency"]
    made = store.create("quote", status="draft", customer=form.get("customer"), currency=currency, _sold=sold)
    made |= {"expires_at": form.get("expires_at", store.now() + LIVES), "description": form.get("description")}
    made |= {"header": form.get("header"), "footer": form.get("footer"), "metadata": form.get("metadata", {})}
    made["collection_method"] = form.get("collection_method", "charge_automatically")
    data = form.get("subscription_data", {})
    plain = ("description", "trial_period_days")
    made["subscription_data"] |= {name: data.get(name) for name in plain} | {"effective_date": None}
    made["subscription_data"]["metadata"] = data.get("metadata", {})
    made["invoice_settings"] |= {"days_until_due": form.get("invoice_settings", {}).get("days_until_due")}
    made["_discounts"] = given
    _add_up(store, made)
    store.emit("quote.created", made)
    return made


def _add_up(store: Store, quote: Object) -> None:
    amounts = [price["unit_amount"] * quantity for price, quantity in quote["_sold"]]
    subtotal = sum(amounts)
    if quote["_discounts"]:
        owner = {"customer": quote["customer"]} if quote["customer"] else {}
        quote["discounts"] = discounts.redeem(store, quote["_discounts"], quote["currency"], **owner)
    taken = [0] * len(amounts)
    for coupon in (store.get("discount", one)["_coupon"] for one in quote["discounts"]):
        left = [amount - off for amount, off in zip(amounts, taken, strict=True)]
        taken = [old + more for old, more in zip(taken, discounts.off(left, coupon), strict=True)]
    details = {"amount_discount": sum(taken), "amount_shipping": 0, "amount_tax": 0}
    sums = {"amount_subtotal": subtotal, "amount_total": subtotal - sum(taken), "total_details": details}
    every = next((price["recurring"] for price, _ in quote["_sold"] if price["recurring"]), None)
    items = [_item(price, number, off) for (price, number), off in zip(quote["_sold"], taken, strict=True)]
    of = f"/v1/quotes/{quote['id']}"
    recurring = every and {**sums, "interval": every["interval"], "interval_count": every["interval_count"]}
    upfront = {**sums, "line_items": _list(items, f"{of}/computed_upfront_line_items")}
    quote |= {**sums, "computed": {"recurring": recurring, "upfront": upfront}, "_items": items}


def _item(price: Object, quantity: int, off: int) -> Object:
    """A line of a quote, or of a payment link."""
    subtotal = price["unit_amount"] * quantity
    return {
        "id": new_id("li"),
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": off,
        "amount_subtotal": subtotal,
        "amount_tax": 0,
        "amount_total": subtotal - off,
        "currency": price["currency"],
        "description": price["nickname"],
        "metadata": {},
        "price": price,
        "quantity": quantity,
    }


def items_of(sold: Sold) -> list[Object]:
    return [_item(price, quantity, 0) for price, quantity in sold]


def _list(data: list[Object], url: str) -> Object:
    return {"object": "list", "data": data, "has_more": False, "url": url}


def finalize(store: Store, quote: Object) -> Object:
    _check(quote, "draft")
    count = sum(one["number"] is not None for one in store.all("quote")) + 1
    quote |= {"status": "open", "number": f"QT-LOCAL-{count:04}-1"}
    quote["status_transitions"]["finalized_at"] = store.now()
    store.emit("quote.finalized", quote)
    return quote


def accept(store: Store, quote: Object) -> Object:
    """Makes a subscription if a price is recurring, and else an invoice, which stays a draft."""
    _check(quote, "open")
    if not quote["customer"]:
        raise invalid("A quote needs a customer before it can be accepted.", "customer")
    quote["status"] = "accepted"
    quote["status_transitions"]["accepted_at"] = store.now()
    recurring = [line for line in quote["_sold"] if line[0]["recurring"]]
    if recurring:
        _subscribe(store, quote, recurring)
    else:
        _pend(store, quote, None)
        quote["invoice"] = _invoice(store, quote)["id"]
    store.emit("quote.accepted", quote)
    return quote


def _subscribe(store: Store, quote: Object, recurring: Sold) -> None:
    data: dict[str, Any] = quote["subscription_data"]
    customer, days = quote["customer"], data["trial_period_days"] or 0
    (price, quantity), *more = recurring
    made = subscriptions.create_subscription(store, customer, price, data["metadata"] or {}, days, quantity)
    for other, number in more:
        subscriptions.add_item(store, made, other, number, made["items"]["data"][0]["current_period_end"])
    merge(made, {"description": data["description"]})
    made["discounts"] = list(quote["discounts"])
    _pend(store, quote, made["id"])
    quote["subscription"] = made["id"]
    scheduling.begin_unpaid(store, made)


def _pend(store: Store, quote: Object, subscription: str | None) -> None:
    for price, quantity in (line for line in quote["_sold"] if not line[0]["recurring"]):
        known = {"_subscription": subscription, "_price": price, "quantity": quantity}
        lines.pend(store, quote["customer"], price["unit_amount"] * quantity, price["currency"], **known)


def _invoice(store: Store, quote: Object) -> Object:
    parent = {"type": "quote_details", "quote_details": {"quote": quote["id"]}, "subscription_details": None}
    known = {"currency": quote["currency"], "discounts": list(quote["discounts"]), "parent": parent}
    return invoices.create_draft(store, quote["customer"], "quote_accept", None, "none", **known)


def cancel(store: Store, quote: Object) -> Object:
    """A person does it, or the quote expires."""
    _check(quote, *_OPEN)
    quote["status"] = "canceled"
    quote["status_transitions"]["canceled_at"] = store.now()
    store.emit("quote.canceled", quote)
    return quote


def _check(quote: Object, *statuses: str) -> None:
    if quote["status"] not in statuses:
        raise invalid(f"This quote is {quote['status']}, which does not allow that.")
