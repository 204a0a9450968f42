"""Stripe's API: the kinds of objects and where they are, and the operations that do more than keep fields.

Which parameters an operation takes, in which types, says Stripe's OpenAPI document (`document.py`). Lists, reading,
and the plain making and changing of an object follow from it for every kind; what has consequences has a function.
"""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from local.stripe import checkout, document, invoices, lines, payments, subscriptions
from local.stripe.cards import CARDS, named_by
from local.stripe.check import missing
from local.stripe.errors import invalid
from local.stripe.store import Object, Store

type Operation = Callable[[Store, Object, str], Object]

# Kind -> where its collection is.
COLLECTIONS: Final = {
    "charge": "/v1/charges",
    "checkout.session": "/v1/checkout/sessions",
    "customer": "/v1/customers",
    "dispute": "/v1/disputes",
    "event": "/v1/events",
    "invoice": "/v1/invoices",
    "invoice_payment": "/v1/invoice_payments",
    "invoiceitem": "/v1/invoiceitems",
    "payment_intent": "/v1/payment_intents",
    "payment_method": "/v1/payment_methods",
    "price": "/v1/prices",
    "product": "/v1/products",
    "refund": "/v1/refunds",
    "subscription": "/v1/subscriptions",
    "subscription_item": "/v1/subscription_items",
}

# Made and changed by setting the fields that the parameters name; the others have functions below.
PLAIN: Final = ("customer", "product", "price", "invoiceitem")
CHANGED_PLAINLY: Final = (*PLAIN, "invoice", "payment_intent", "payment_method", "charge", "checkout.session", "refund")


def routes() -> Iterator[tuple[str, str, Operation]]:
    """(method, path in the document, what it does)."""
    paths = document.load()["paths"]
    for kind, path in COLLECTIONS.items():
        one = next(p for p in paths if re.fullmatch(re.escape(path) + r"/\{\w+\}", p))
        yield "GET", path, partial(_list, kind, path)
        yield "GET", one, partial(_get, kind)
        if kind in CHANGED_PLAINLY:
            yield "POST", one, partial(_change, kind)
    yield from OPERATIONS


# -- what holds for every kind


def _list(kind: str, path: str, store: Store, form: Object, _: str) -> Object:
    return listed(store, kind, path, form)


def _get(kind: str, store: Store, _: Object, id: str) -> Object:
    return store.get(kind, id)


def _change(kind: str, store: Store, form: Object, id: str) -> Object:
    return change(store, kind, store.get(kind, id), form)


def listed(store: Store, kind: str, path: str, form: Object) -> Object:
    """A page of the objects that the filters let through, newest first."""
    found = [thing for thing in store.all(kind) if _passes(thing, form)]
    if kind == "subscription" and "status" not in form:
        found = [thing for thing in found if thing["status"] != "canceled"]
    limit = form.get("limit", 10)
    if not 1 <= limit <= 100:
        raise invalid("Invalid integer: limit must be between 1 and 100.", "limit")
    start = 0
    if "starting_after" in form:
        start = _position(found, form["starting_after"], "starting_after") + 1
    if "ending_before" in form:
        end = _position(found, form["ending_before"], "ending_before")
        start = max(0, end - limit)
        return _page(found[start:end], path, more=start > 0)
    return _page(found[start : start + limit], path, more=len(found) > start + limit)


def _page(data: list[Object], path: str, *, more: bool) -> Object:
    return {"object": "list", "data": data, "has_more": more, "url": path}


def _position(found: list[Object], object_id: str, param: str) -> int:
    for n, thing in enumerate(found):
        if thing["id"] == object_id:
            return n
    raise invalid(f"No such object: '{object_id}'", param, code="resource_missing")


_PAGING: Final = ("limit", "starting_after", "ending_before", "expand")
_ONE_OF: Final = {"lookup_keys": "lookup_key", "types": "type", "ids": "id"}


def _passes(thing: Object, form: Object) -> bool:
    return all(_matches(thing, name, wanted) for name, wanted in form.items() if name not in _PAGING)


def _matches(thing: Object, name: str, wanted: Any) -> bool:
    if name in _ONE_OF:
        return thing.get(_ONE_OF[name]) in wanted
    if name == "status" and wanted in ("all", "ended"):
        return wanted == "all" or thing["status"] in subscriptions.ENDED
    if name == "type" and str(wanted).endswith("*"):
        return bool(thing["type"].startswith(wanted[:-1]))
    value = _value(thing, name)
    if isinstance(wanted, dict):
        return _fits(value, wanted)
    return bool(value == wanted)


def _fits(value: Any, wanted: Object) -> bool:
    """A range of times, or fields of a nested object."""
    if isinstance(value, int):
        tests = {"gt": value.__gt__, "gte": value.__ge__, "lt": value.__lt__, "lte": value.__le__}
        return all(tests[test](bound) for test, bound in wanted.items())
    return isinstance(value, dict) and all(value.get(key) == inner for key, inner in wanted.items())


def _value(thing: Object, name: str) -> Any:
    if name == "price" and thing["object"] == "subscription":
        return thing["items"]["data"][0]["price"]["id"]
    if name == "subscription" and thing["object"] == "invoice":
        return ((thing["parent"] or {}).get("subscription_details") or {}).get("subscription")
    return thing.get(name)


def change(store: Store, kind: str, thing: Object, form: Object) -> Object:
    """Sets the fields that the parameters name, and tells it."""
    set_fields(kind, thing, form)
    store.emit(f"{kind}.updated", thing)
    return thing


def set_fields(kind: str, thing: Object, form: Object) -> None:
    known = document.load()["components"]["schemas"][kind]["properties"]
    for name, value in form.items():
        if name == "metadata":
            subscriptions.merge(thing, {"metadata": value})
        elif name in known and name != "expand":
            nested = isinstance(value, dict) and isinstance(thing.get(name), dict)
            thing[name] = thing[name] | value if nested else None if value == "" else value


def _make(store: Store, kind: str, form: Object, **values: Any) -> Object:
    thing = store.create(kind, **values)
    set_fields(kind, thing, form)
    store.emit(f"{kind}.created", thing)
    return thing


def needed(form: Object, name: str) -> Any:
    """What the document leaves optional and Stripe does not."""
    if not form.get(name):
        raise missing(name)
    return form[name]


def _on(kind: str, act: Callable[..., Object], *arguments: Any) -> Operation:
    return lambda store, _, id: act(store, store.get(kind, id), *arguments)


# -- customers and what is sold


def _create_customer(store: Store, form: Object, _: str) -> Object:
    method = form.pop("payment_method", None)
    settings = form.pop("invoice_settings", {})
    customer = _make(store, "customer", form)
    customer["invoice_prefix"] = customer["id"][-8:].upper()
    if method:
        payments.payment_method(store, method, customer["id"])
    _set_default(store, customer, settings)
    return customer


def _set_default(store: Store, customer: Object, settings: Object) -> None:
    name = settings.get("default_payment_method")
    if name:
        method = payments.payment_method(store, name, customer["id"] if name in CARDS else None)
        customer["invoice_settings"]["default_payment_method"] = method["id"]


def _update_customer(store: Store, form: Object, id: str) -> Object:
    customer = store.get("customer", id)
    _set_default(store, customer, form.pop("invoice_settings", {}))
    return change(store, "customer", customer, form)


def _delete_customer(store: Store, _: Object, id: str) -> Object:
    """Ends its subscriptions, as at Stripe."""
    customer = store.get("customer", id)
    for subscription in store.all("subscription", customer=id):
        if subscription["status"] not in subscriptions.ENDED:
            subscriptions.cancel_subscription(store, subscription)
    for invoice in store.all("invoice", customer=id, status="draft"):
        invoices.delete_draft(store, invoice)
    store.emit("customer.deleted", customer)
    return store.delete(customer)


def _create_product(store: Store, form: Object, _: str) -> Object:
    needed(form, "name")
    return _make(store, "product", {"active": True, **form}, updated=store.now())


def recurring(interval: str = "month", **values: Any) -> Object:
    """A price's `recurring`: every so many days, weeks, months or years."""
    unset: Object = {"meter": None, "trial_period_days": None, "usage_type": "licensed", "interval_count": 1}
    return {**unset, "interval": interval, **values}


def _create_price(store: Store, form: Object, _: str) -> Object:
    """With a product of its own when `product_data` describes one."""
    data = form.pop("product_data", None)
    product = _create_product(store, data, "") if data else store.named("product", needed(form, "product"), "product")
    amount = form.get("unit_amount")
    if amount is None:
        raise missing("unit_amount")
    every = form.pop("recurring", None)
    values = {"recurring": recurring(**every) if every else None, "type": "recurring" if every else "one_time"}
    values |= {"unit_amount_decimal": str(amount), "billing_scheme": "per_unit"}
    return _make(store, "price", {"active": True, **form, "product": product["id"]}, **values)


def _create_payment_method(store: Store, form: Object, _: str) -> Object:
    card, debit = form.get("card", {}), form.get("sepa_debit", {})
    name = named_by(card.get("number") or debit.get("iban") or "")
    name = name or card.get("token", "").replace("tok_", "pm_card_")
    if name not in CARDS:
        raise invalid("Your card number is incorrect: only Stripe's test cards are known here.", "card[number]")
    return payments.payment_method(store, name)


def _attach(store: Store, form: Object, id: str) -> Object:
    customer = needed(form, "customer")
    if id in CARDS:
        return payments.payment_method(store, id, store.named("customer", customer, "customer")["id"])
    return payments.attach(store, store.get("payment_method", id), customer)


def _detach(store: Store, _: Object, id: str) -> Object:
    method = store.get("payment_method", id)
    store.emit("payment_method.detached", method | {"customer": None})
    return method


# -- Checkout and the portal


def create_session(store: Store, form: Object, _: str) -> Object:
    mode = form.get("mode", "payment")
    if mode == "setup":
        raise invalid("This stand-in knows the modes subscription and payment.", "mode")
    sold = [_line_of(store, line, n) for n, line in enumerate(needed(form, "line_items"))]
    if mode == "subscription" and not any(price["recurring"] for price, _ in sold):
        raise invalid("You must provide at least one recurring price in `subscription` mode.", "line_items[0][price]")
    customer = form.get("customer")
    session = store.create(
        "checkout.session",
        mode=mode,
        status="open",
        payment_status="unpaid",
        ui_mode="hosted_page",
        customer=store.named("customer", customer, "customer")["id"] if customer else None,
        currency=sold[0][0]["currency"],
        payment_method_types=["card", "us_bank_account"],
        expires_at=form.get("expires_at", store.now() + invoices.DAY),
        metadata={},
        _lines=sold,
        _subscription_data=form.get("subscription_data", {}),
        _intent_data=form.get("payment_intent_data", {}),
    )
    total = sum(price["unit_amount"] * quantity for price, quantity in sold)
    trial = checkout.trial_days(session) > 0
    session |= {"amount_total": 0 if trial else total, "amount_subtotal": 0 if trial else total}
    for name in ("client_reference_id", "success_url", "cancel_url", "customer_email", "metadata"):
        session[name] = form.get(name, session[name])
    session["url"] = f"{store.public_url}/c/pay/{session['id']}"
    return session


def _line_of(store: Store, line: Object, n: int) -> tuple[Object, int]:
    if "price_data" in line:
        price = _create_price(store, line["price_data"], "")
    else:
        price = store.named("price", needed(line, "price"), f"line_items[{n}][price]")
    if not price["active"]:
        raise invalid("The price specified is inactive.", f"line_items[{n}][price]")
    return price, line.get("quantity", 1)


def _create_portal_session(store: Store, form: Object, _: str) -> Object:
    customer = store.named("customer", needed(form, "customer"), "customer")
    values = {"configuration": "bpc_local", "customer": customer["id"], "return_url": form.get("return_url")}
    session = store.create("billing_portal.session", **values)
    session["url"] = f"{store.public_url}/p/session/{session['id']}"
    return session


# -- subscriptions and invoices


def _create_subscription(store: Store, form: Object, _: str) -> Object:
    customer = store.named("customer", needed(form, "customer"), "customer")
    item = needed(form, "items")[0]
    price = store.named("price", needed(item, "price"), "items[0][price]")
    days, quantity = form.get("trial_period_days", 0), item.get("quantity", 1)
    made = subscriptions.create_subscription(store, customer["id"], price, {}, days, quantity)
    subscriptions.merge(made, {"metadata": form.get("metadata", {}), "description": form.get("description")})
    if form.get("default_payment_method"):
        method = payments.payment_method(store, form["default_payment_method"], customer["id"])
        made["default_payment_method"] = method["id"]
    made["trial_settings"] = form.get("trial_settings", {"end_behavior": {"missing_payment_method": "create_invoice"}})
    if form.get("cancel_at_period_end"):
        made |= {"cancel_at_period_end": True, "cancel_at": made["items"]["data"][0]["current_period_end"]}
    _check_payable(store, made, form)
    return subscriptions.begin(store, made)


def _check_payable(store: Store, subscription: Object, form: Object) -> None:
    """Stripe begins no subscription that nothing can pay, unless it is told to wait."""
    settings = store.get("customer", subscription["customer"])["invoice_settings"]
    saved = subscription["default_payment_method"] or settings["default_payment_method"]
    if subscription["status"] == "trialing" or saved or form.get("payment_behavior") == "default_incomplete":
        return
    store.delete(subscription)
    message = "This customer has no attached payment source or default payment method."
    raise invalid(f"{message} Please consider adding a default payment method.", code="resource_missing")


def _update_subscription(store: Store, form: Object, id: str) -> Object:
    return subscriptions.update_subscription(store, store.get("subscription", id), form)


def _cancel_subscription(store: Store, form: Object, id: str) -> Object:
    thing = store.get("subscription", id)
    details = {"comment": None, "feedback": None, "reason": "cancellation_requested"}
    details |= form.get("cancellation_details", {})
    return subscriptions.cancel_subscription(store, thing, cancellation_details=details)


def _create_invoiceitem(store: Store, form: Object, _: str) -> Object:
    customer = store.named("customer", needed(form, "customer"), "customer")
    price = form.get("pricing", {}).get("price")
    quantity = form.get("quantity", 1)
    if price:
        of = store.named("price", price, "pricing[price]")
        amount, currency = of["unit_amount"] * quantity, of["currency"]
    else:
        amount, currency = form.get("amount", 0), form.get("currency", "usd")
    known = {"quantity": quantity, "description": form.get("description"), "metadata": form.get("metadata", {})}
    item = lines.pend(store, customer["id"], amount, currency, _subscription=form.get("subscription"), **known)
    if "invoice" in form:
        invoices.add_item(store, store.named("invoice", form["invoice"], "invoice"), item)
    return item


def _delete_invoiceitem(store: Store, _: Object, id: str) -> Object:
    item = store.get("invoiceitem", id)
    if item["invoice"]:
        raise invalid("This invoice item is on an invoice.")
    return store.delete(item)


def _create_invoice(store: Store, form: Object, _: str) -> Object:
    customer = needed(form, "customer")
    names = ("auto_advance", "collection_method", "description", "due_date", "currency", "metadata", "footer")
    values = {name: form[name] for name in names if name in form}
    if "days_until_due" in form:
        values["due_date"] = store.now() + form["days_until_due"] * invoices.DAY
    of = store.named("subscription", form["subscription"], "subscription") if "subscription" in form else None
    return invoices.create_draft(store, customer, "manual", of, "none", **values)


def _pay_invoice(store: Store, form: Object, id: str) -> Object:
    invoice = store.get("invoice", id)
    if invoice["status"] == "draft":
        invoices.finalize(store, invoice)
    if form.get("paid_out_of_band"):
        return invoices.pay_out_of_band(store, invoice)
    return invoices.pay_invoice(store, invoice, form.get("payment_method"))


def _attach_payment(store: Store, form: Object, id: str) -> Object:
    invoice = store.get("invoice", id)
    intent = store.named("payment_intent", needed(form, "payment_intent"), "payment_intent")
    invoices.tie(store, invoice, intent, default=False)
    if intent["status"] == "succeeded":
        invoices.paid_by(store, intent)
    return invoice


def _send_invoice(store: Store, _: Object, id: str) -> Object:
    invoice = store.get("invoice", id)
    if invoice["status"] == "draft":
        invoices.finalize(store, invoice)
    store.emit("invoice.sent", invoice)
    return invoice


# -- payments


def _create_intent(store: Store, form: Object, _: str) -> Object:
    customer = form.get("customer")
    values: Object = {name: form[name] for name in ("description", "metadata") if name in form}
    if customer:
        values["customer"] = store.named("customer", customer, "customer")["id"]
    if "automatic_payment_methods" in form:
        values["automatic_payment_methods"] = {"allow_redirects": "always", **form["automatic_payment_methods"]}
    if "payment_method_types" in form:
        values["payment_method_types"] = form["payment_method_types"]
    intent = payments.create_intent(store, form["amount"], form["currency"], **values)
    return _confirm_intent(store, form, intent["id"]) if form.get("confirm") else intent


def _confirm_intent(store: Store, form: Object, id: str) -> Object:
    intent = store.get("payment_intent", id)
    name = form.get("payment_method") or intent["payment_method"]
    if not name:
        raise invalid("You cannot confirm this PaymentIntent because it's missing a payment method.", "payment_method")
    return payments.confirm_intent(store, intent, name)


def _create_refund(store: Store, form: Object, _: str) -> Object:
    charge = form.get("charge")
    if not charge:
        intent = store.named("payment_intent", needed(form, "payment_intent"), "payment_intent")
        charge = intent["latest_charge"]
        if not charge:
            raise invalid("This PaymentIntent does not have a successful charge to refund.", "payment_intent")
    values = {name: form[name] for name in ("reason", "metadata") if name in form}
    return payments.refund(store, store.named("charge", charge, "charge"), form.get("amount"), **values)


OPERATIONS: Final[tuple[tuple[str, str, Operation], ...]] = (
    ("POST", "/v1/customers", _create_customer),
    ("POST", "/v1/customers/{customer}", _update_customer),
    ("DELETE", "/v1/customers/{customer}", _delete_customer),
    ("POST", "/v1/products", _create_product),
    ("POST", "/v1/prices", _create_price),
    ("POST", "/v1/payment_methods", _create_payment_method),
    ("POST", "/v1/payment_methods/{payment_method}/attach", _attach),
    ("POST", "/v1/payment_methods/{payment_method}/detach", _detach),
    ("POST", "/v1/checkout/sessions", create_session),
    ("POST", "/v1/checkout/sessions/{session}/expire", _on("checkout.session", checkout.expire_checkout)),
    ("POST", "/v1/billing_portal/sessions", _create_portal_session),
    ("POST", "/v1/subscriptions", _create_subscription),
    ("POST", "/v1/subscriptions/{subscription_exposed_id}", _update_subscription),
    ("DELETE", "/v1/subscriptions/{subscription_exposed_id}", _cancel_subscription),
    ("POST", "/v1/invoiceitems", _create_invoiceitem),
    ("DELETE", "/v1/invoiceitems/{invoiceitem}", _delete_invoiceitem),
    ("POST", "/v1/invoices", _create_invoice),
    ("DELETE", "/v1/invoices/{invoice}", _on("invoice", invoices.delete_draft)),
    ("POST", "/v1/invoices/{invoice}/finalize", _on("invoice", invoices.finalize)),
    ("POST", "/v1/invoices/{invoice}/pay", _pay_invoice),
    ("POST", "/v1/invoices/{invoice}/send", _send_invoice),
    ("POST", "/v1/invoices/{invoice}/void", _on("invoice", invoices.close_invoice, "void")),
    ("POST", "/v1/invoices/{invoice}/mark_uncollectible", _on("invoice", invoices.close_invoice, "uncollectible")),
    ("POST", "/v1/invoices/{invoice}/attach_payment", _attach_payment),
    ("POST", "/v1/payment_intents", _create_intent),
    ("POST", "/v1/payment_intents/{intent}/confirm", _confirm_intent),
    ("POST", "/v1/payment_intents/{intent}/cancel", _on("payment_intent", payments.cancel_intent)),
    ("POST", "/v1/refunds", _create_refund),
)
