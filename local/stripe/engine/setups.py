"""SetupIntents: a customer's payment method is saved for later charges. https://docs.stripe.com/payments/setup-intents"""

from local.stripe.engine import cards, payments
from local.stripe.engine.store import Object, Store
from local.stripe.errors import ApiError


def confirm(store: Store, intent: Object, name: str) -> Object:
    """`name`: a payment method, or the name of a test card. Raises `ApiError`, 402, when the card is declined."""
    payments.check_status(intent, *payments.CONFIRMABLE)
    method = payments.payment_method(store, name)
    intent |= {"payment_method": method["id"], "last_setup_error": None}
    card = method["_card"]
    result = cards.outcome(card)
    if result == "action":
        payments.ask_customer(store, intent)
        return intent
    if result in (*cards.PAID, *cards.LATER) or card in cards.SAVABLE:
        return _succeed(store, intent, method)
    return _fail(store, intent, cards.refusal(result))


def answer(store: Store, intent: Object, *, accepted: bool) -> Object:
    """The customer answered the question of the bank."""
    payments.check_status(intent, "requires_action")
    method = payments.payment_method(store, intent["payment_method"])
    if accepted:
        return _succeed(store, intent, method)
    message = (
        "We are unable to authenticate your payment method. Please choose a different payment method and try again."
    )
    error = {"code": "setup_intent_authentication_failure", "message": message}
    intent |= {"status": "requires_payment_method", "next_action": None}
    intent["last_setup_error"] = {"type": "invalid_request_error", **error}
    store.emit("setup_intent.setup_failed", intent)
    return intent


def _succeed(store: Store, intent: Object, method: Object) -> Object:
    method["_set_up"] = True
    if intent["customer"] and not method["customer"]:
        payments.attach(store, method, intent["customer"])
    intent |= {"status": "succeeded", "next_action": None}
    store.emit("setup_intent.succeeded", intent)
    return intent


def _fail(store: Store, intent: Object, error: Object) -> Object:
    intent |= {"status": "requires_payment_method", "last_setup_error": {"type": "card_error", **error}}
    store.emit("setup_intent.setup_failed", intent)
    raise ApiError(402, "card_error", **error, setup_intent=intent)


def cancel(store: Store, intent: Object, reason: str | None) -> Object:
    payments.check_status(intent, *payments.CONFIRMABLE)
    intent |= {"status": "canceled", "cancellation_reason": reason, "next_action": None}
    store.emit("setup_intent.canceled", intent)
    return intent
