"""Stripe's API: what newer kinds replaced. Plans are prices, and cards are payment methods.

https://docs.stripe.com/api/plans and https://docs.stripe.com/api/cards
"""

from typing import Final

from local.stripe.check import missing
from local.stripe.engine.cards import CARDS
from local.stripe.engine.objects import Operation, make, on
from local.stripe.engine.store import Object, Store
from local.stripe.errors import invalid

_SOURCE: Final = "/v1/customers/{customer}/sources"

# -- plans


def _create_plan(store: Store, form: Object, _: str) -> Object:
    product = form.pop("product", None)
    if isinstance(product, dict):
        product = make(store, "product", {"active": True, **product}, updated=store.now())["id"]
    elif product:
        store.named("product", product, "product")
    if "amount" not in form:
        raise missing("amount")
    known = {"active": True, "billing_scheme": "per_unit", "interval_count": 1, "usage_type": "licensed"}
    return make(store, "plan", {**known, **form, "product": product, "amount_decimal": str(form["amount"])})


def _delete_plan(store: Store, plan: Object) -> Object:
    store.emit("plan.deleted", plan)
    return store.delete(plan)


# -- cards of a customer


def save_card(store: Store, customer: Object, token: str, metadata: Object | None = None) -> Object:
    """Saves the card of a test token such as `tok_visa`. The first one is charged by itself. Raises `ApiError`."""
    name = token.replace("tok_", "pm_card_")
    if name not in CARDS:
        raise invalid(f"No such token: '{token}'", "source", code="resource_missing")
    known = {"customer": customer["id"], "exp_month": 12, "exp_year": 2034, "metadata": metadata or {}, "_card": name}
    card = CARDS[name]
    shown = {"last4": card.number[-4:], "brand": card.brand.title(), "funding": card.funding, "country": card.country}
    made = store.create("card", **shown, **known)
    customer["default_source"] = customer["default_source"] or made["id"]
    store.emit("customer.source.created", made)
    return made


def _create_source(store: Store, form: Object, id: str) -> Object:
    if "source" not in form:
        raise missing("source")
    return save_card(store, store.get("customer", id), form["source"], form.get("metadata"))


OPERATIONS: Final[tuple[tuple[str, str, Operation], ...]] = (
    ("POST", "/v1/plans", _create_plan),
    ("DELETE", "/v1/plans/{plan}", on("plan", _delete_plan)),
    ("POST", _SOURCE, _create_source),
)
