"""Stripe's API: Checkout Sessions and sessions of the customer portal."""

from typing import Final

from local.stripe.api.account import DEFAULT_CONFIGURATION
from local.stripe.api.catalogue import sold_in
from local.stripe.engine import checkout, sessions
from local.stripe.engine.objects import Operation, needed, on
from local.stripe.engine.store import DAY, HOUR, Object, Store
from local.stripe.errors import invalid
from local.stripe.limits import amount_to_charge

MOST_OF_A_KIND: Final = 20  # https://docs.stripe.com/api/checkout/sessions/create#create_checkout_session-line_items


def _create_session(store: Store, form: Object, _: str) -> Object:
    if form.get("ui_mode", "hosted_page") == "hosted_page":
        needed(form, "success_url")  # https://github.com/stripe/stripe-node/issues/1944
    for n, line in enumerate(needed(form, "line_items")):
        if "quantity" not in line:  # https://github.com/stripe/openapi/issues/93
            raise invalid(f"Quantity is required. Add `quantity` to `line_items[{n}]`", f"line_items[{n}]")
    return create_session(store, form, "")


def create_session(store: Store, form: Object, _: str) -> Object:
    """Also for sessions that the API did not create, such as a Payment Link's."""
    mode = form.get("mode", "payment")
    if mode == "setup":
        raise invalid("This stand-in knows the modes subscription and payment.", "mode")
    if form.get("discounts"):
        raise invalid("This stand-in has no discounts in Checkout.", "discounts")
    sold = sold_in(store, needed(form, "line_items"))
    _check_sold(mode, [price for price, _ in sold])
    _check_expiry(store, form)
    _check_total(sum(price["unit_amount"] * quantity for price, quantity in sold), sold[0][0]["currency"])
    return sessions.open_session(store, form, sold)


def _check_sold(mode: str, prices: list[Object]) -> None:
    """https://docs.stripe.com/api/checkout/sessions/create#create_checkout_session-line_items

    The words: https://github.com/enupal/stripe/issues/370
    """
    recurring = [bool(price["recurring"]) for price in prices]
    if mode == "subscription" and True not in recurring:
        message = "You must provide at least one recurring price in `subscription` mode when using prices."
        raise invalid(message, "line_items[0][price]")
    if mode == "payment" and True in recurring:
        message = "You specified `payment` mode but passed a recurring price."
        raise invalid(message, f"line_items[{recurring.index(True)}][price]")
    if mode == "subscription" and max(recurring.count(True), recurring.count(False)) > MOST_OF_A_KIND:
        raise invalid(f"You may only specify up to {MOST_OF_A_KIND} recurring and {MOST_OF_A_KIND} one-time prices.")
    if len({price["currency"] for price in prices}) > 1:
        raise invalid("All line items must have the same currency.", "line_items")


def _check_total(total: int, currency: str) -> None:
    """A free session is allowed: https://docs.stripe.com/payments/checkout/no-cost-orders"""
    if total:
        amount_to_charge(total, currency, "The Checkout Session's total amount due must add up to", None)


def _check_expiry(store: Store, form: Object) -> None:
    """https://docs.stripe.com/api/checkout/sessions/create#create_checkout_session-expires_at"""
    if not HOUR // 2 <= form.get("expires_at", store.now() + DAY) - store.now() <= DAY:
        raise invalid("The `expires_at` timestamp must be 30 minutes to 24 hours from now.", "expires_at")


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
    ("POST", "/v1/checkout/sessions", _create_session),
    ("POST", "/v1/checkout/sessions/{session}/expire", on("checkout.session", checkout.expire_checkout)),
    ("POST", "/v1/billing_portal/sessions", _create_portal_session),
)
