"""Stripe's API: quotes and payment links, which both offer prices.

https://docs.stripe.com/api/quotes and https://docs.stripe.com/api/payment-link
"""

from typing import Final

from local.stripe.api.catalogue import sold_in
from local.stripe.api.lists import paged
from local.stripe.engine import quotes
from local.stripe.engine.objects import Operation, needed, on, set_fields
from local.stripe.engine.store import Object, Store
from local.stripe.errors import invalid

# A session takes these parameters of its payment link.
_OF_LINK: Final = ("metadata", "payment_intent_data", "subscription_data")


# -- quotes


def _create_quote(store: Store, form: Object, _: str) -> Object:
    if form.get("customer"):
        store.named("customer", form["customer"], "customer")
    return quotes.create(store, form, sold_in(store, needed(form, "line_items")))


def _update_quote(store: Store, form: Object, id: str) -> Object:
    """Stripe has no event for it: https://docs.stripe.com/api/events/types"""
    quote = store.get("quote", id)
    if quote["status"] != "draft" and form.keys() - {"metadata", "expires_at"}:
        raise invalid("Only a draft can be changed.")
    if "line_items" in form:
        raise invalid("This stand-in changes no line items of a quote.", "line_items")
    set_fields("quote", quote, form)
    return quote


def _quote_lines(store: Store, form: Object, id: str) -> Object:
    return paged(store.get("quote", id)["_items"], f"/v1/quotes/{id}/line_items", form)


# -- payment links


def _create_link(store: Store, form: Object, _: str) -> Object:
    sold = sold_in(store, form.pop("line_items"))
    made = store.create("payment_link", active=True, currency=sold[0][0]["currency"], _sold=sold)
    made |= {"_data": {name: form[name] for name in _OF_LINK if name in form}, "_items": quotes.items_of(sold)}
    made["after_completion"] = {"type": "hosted_confirmation", "hosted_confirmation": {"custom_message": None}}
    _set_link(made, form)
    made["url"] = f"{store.public_url}/b/{made['id']}"
    store.emit("payment_link.created", made)
    return made


def _update_link(store: Store, form: Object, id: str) -> Object:
    link = store.get("payment_link", id)
    _set_link(link, form)
    store.emit("payment_link.updated", link)
    return link


def _set_link(link: Object, form: Object) -> None:
    shown = ("active", "allow_promotion_codes", "metadata", "billing_address_collection", "customer_creation")
    set_fields("payment_link", link, {name: form[name] for name in shown if name in form})


def _link_lines(store: Store, form: Object, id: str) -> Object:
    return paged(store.get("payment_link", id)["_items"], f"/v1/payment_links/{id}/line_items", form)


OPERATIONS: Final[tuple[tuple[str, str, Operation], ...]] = (
    ("POST", "/v1/quotes", _create_quote),
    ("POST", "/v1/quotes/{quote}", _update_quote),
    ("POST", "/v1/quotes/{quote}/finalize", on("quote", quotes.finalize)),
    ("POST", "/v1/quotes/{quote}/accept", on("quote", quotes.accept)),
    ("POST", "/v1/quotes/{quote}/cancel", on("quote", quotes.cancel)),
    ("GET", "/v1/quotes/{quote}/line_items", _quote_lines),
    ("POST", "/v1/payment_links", _create_link),
    ("POST", "/v1/payment_links/{payment_link}", _update_link),
    ("GET", "/v1/payment_links/{payment_link}/line_items", _link_lines),
)
