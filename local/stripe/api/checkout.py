"""Stripe's API: Checkout Sessions and sessions of the customer portal."""

from typing import Final

from local.stripe.api.account import DEFAULT_CONFIGURATION
from local.stripe.api.catalogue import create_price
from local.stripe.engine import checkout, sessions
from local.stripe.engine.objects import Operation, needed, on
from local.stripe.engine.store import Object, Store
from local.stripe.errors import invalid


def create_session(store: Store, form: Object, _: str) -> Object:
    mode = form.get("mode", "payment")
    if mode == "setup":
        raise invalid("This stand-in knows the modes subscription and payment.", "mode")
    if form.get("discounts"):
        raise invalid("This stand-in has no discounts in Checkout.", "discounts")
    sold = [_line_of(store, line, n) for n, line in enumerate(needed(form, "line_items"))]
    return sessions.open_session(store, form, sold)


def _line_of(store: Store, line: Object, n: int) -> tuple[Object, int]:
    if "price_data" in line:
        price = create_price(store, line["price_data"], "")
    else:
        price = store.named("price", needed(line, "price"), f"line_items[{n}][price]")
    if not price["active"]:
        raise invalid("The price specified is inactive.", f"line_items[{n}][price]")
    return price, line.get("quantity", 1)


def _create_portal_session(store: Store, form: Object, _: str) -> Object:
    customer = store.named("customer", needed(form, "customer"), "customer")
    values = {"customer": customer["id"], "return_url": form.get("return_url")}
    session = store.create("billing_portal.session", configuration=_configuration(store, form), **values)
    session["url"] = f"{store.public_url}/p/session/{session['id']}"
    store.emit("billing_portal.session.created", session)
    return session


def _configuration(store: Store, form: Object) -> str:
    if "configuration" not in form:
        return DEFAULT_CONFIGURATION
    named = store.named("billing_portal.configuration", form["configuration"], "configuration")
    if not named["active"]:
        raise invalid("You cannot use an inactive portal configuration.", "configuration")
    return str(named["id"])


OPERATIONS: Final[tuple[tuple[str, str, Operation], ...]] = (
    ("POST", "/v1/checkout/sessions", create_session),
    ("POST", "/v1/checkout/sessions/{session}/expire", on("checkout.session", checkout.expire_checkout)),
    ("POST", "/v1/billing_portal/sessions", _create_portal_session),
)
