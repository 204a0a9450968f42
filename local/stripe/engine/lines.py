"""The lines of an invoice, and the credits and charges for a change within a period."""

from local.stripe.engine import discounts
from local.stripe.engine.store import Object, Store, new_id

_EMPTY_LISTS = ("discount_amounts", "discounts", "pretax_credit_amounts", "taxes")


def of_period(invoice: Object, item: Object, *, free: bool) -> Object:
    """The line for the period of a subscription item. `free`: the period is a trial."""
    details = {
        "invoice_item": None,
        "proration": False,
        "proration_details": None,
        "subscription": item["subscription"],
        "subscription_item": item["id"],
    }
    parent = {"type": "subscription_item_details", "invoice_item_details": None, "subscription_item_details": details}
    amount = 0 if free else item["price"]["unit_amount"] * item["quantity"]
    period = {"start": item["current_period_start"], "end": item["current_period_end"]}
    return _line(invoice, amount, "Subscription", period, item) | {"parent": parent}


def of_item(invoice: Object, item: Object) -> Object:
    """The line for a pending invoice item. It puts the item on this invoice."""
    item["invoice"] = invoice["id"]
    details = {
        "invoice_item": item["id"],
        "proration": item["proration"],
        "proration_details": None,
        "subscription": item["_subscription"],
    }
    parent = {"type": "invoice_item_details", "subscription_item_details": None, "invoice_item_details": details}
    shown = {"price": item["_price"], "quantity": item["quantity"]}
    line = _line(invoice, item["amount"], item["description"], item["period"], shown)
    return line | {"parent": parent, "discountable": item["discountable"]}


def _line(invoice: Object, amount: int, text: str | None, period: Object, item: Object) -> Object:
    price = item["price"]
    pricing = price and {
        "type": "price_details",
        "price_details": {"price": price["id"], "product": price["product"]},
        "unit_amount_decimal": str(price["unit_amount"]),
    }
    empty: Object = {name: [] for name in _EMPTY_LISTS}
    return {
        "id": new_id("il"),
        "object": "line_item",
        "amount": amount,
        "currency": invoice["currency"],
        "description": text,
        "discountable": True,
        "invoice": invoice["id"],
        "livemode": False,
        "metadata": {},
        "period": period,
        "pricing": pricing,
        "quantity": item["quantity"],
        "subtotal": amount,
        **empty,
    }


def pend(store: Store, customer: str, amount: int, currency: str, **values: object) -> Object:
    """Creates an invoice item that waits for the customer's next invoice.

    `amount` is in minor units; a negative amount is a credit.
    """
    now = store.now()
    made = store.create("invoiceitem", customer=customer, amount=amount, currency=currency, date=now)
    made |= {"period": {"start": now, "end": now}, "quantity": 1, "metadata": {}, "invoice": None}
    made |= {
        "discountable": not values.get("proration"),
        "_subscription": None,
        "_price": None,
        "net_amount": amount,
        **values,
    }
    made["quantity_decimal"] = str(made["quantity"])
    store.emit("invoiceitem.created", made)
    return made


def prorate(store: Store, subscription: Object, item: Object, price: Object, quantity: int) -> None:
    """Credits the unused time at the present price, and charges the remaining time at the new price."""
    start, end, now = item["current_period_start"], item["current_period_end"], store.now()
    left = min(1, max(0, end - now) / max(1, end - start))
    left *= discounts.share(store, subscription)
    customer, currency = subscription["customer"], subscription["currency"]
    for text, amount, of in (
        ("Unused time", -round(item["price"]["unit_amount"] * item["quantity"] * left), item["price"]),
        ("Remaining time", round(price["unit_amount"] * quantity * left), price),
    ):
        if amount:
            known = {"_subscription": subscription["id"], "_price": of, "proration": True, "description": text}
            pend(store, customer, amount, currency, **known, period={"start": now, "end": end})
