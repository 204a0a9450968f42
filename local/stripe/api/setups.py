"""Stripe's API: SetupIntents. https://docs.stripe.com/api/setup_intents"""

from typing import Final

from local.stripe.engine import payments, setups
from local.stripe.engine.objects import Operation, set_fields
from local.stripe.engine.store import Object, Store, new_id
from local.stripe.errors import invalid


def _create(store: Store, form: Object, _: str) -> Object:
    customer, name = form.get("customer"), form.get("payment_method")
    if customer:
        store.named("customer", customer, "customer")
    method = payments.payment_method(store, name) if name else None
    made = store.create("setup_intent", customer=customer, usage=form.get("usage", "off_session"))
    made |= {
        "client_secret": f"{made['id']}_secret_{new_id('x')[2:]}",
        "description": form.get("description"),
        "metadata": form.get("metadata", {}),
        "payment_method": method["id"] if method else None,
        "payment_method_types": form.get("payment_method_types", ["card"]),
        "status": "requires_confirmation" if method else "requires_payment_method",
    }
    store.emit("setup_intent.created", made)
    return _confirm(store, {}, made["id"]) if form.get("confirm") else made


def _update(store: Store, form: Object, id: str) -> Object:
    intent = store.get("setup_intent", id)
    if form.get("payment_method"):
        method = payments.payment_method(store, form.pop("payment_method"))
        intent |= {"payment_method": method["id"], "status": "requires_confirmation"}
    set_fields("setup_intent", intent, form)  # Stripe has no event for it: https://docs.stripe.com/api/events/types
    return intent


def _confirm(store: Store, form: Object, id: str) -> Object:
    intent = store.get("setup_intent", id)
    name = form.get("payment_method") or intent["payment_method"]
    if not name:
        raise invalid("You cannot confirm this SetupIntent because it's missing a payment method.", "payment_method")
    return setups.confirm(store, intent, name)


def _cancel(store: Store, form: Object, id: str) -> Object:
    return setups.cancel(store, store.get("setup_intent", id), form.get("cancellation_reason"))


OPERATIONS: Final[tuple[tuple[str, str, Operation], ...]] = (
    ("POST", "/v1/setup_intents", _create),
    ("POST", "/v1/setup_intents/{intent}", _update),
    ("POST", "/v1/setup_intents/{intent}/confirm", _confirm),
    ("POST", "/v1/setup_intents/{intent}/cancel", _cancel),
)
