"""Stripe's API: payment methods, PaymentIntents and refunds."""

from typing import Final

from local.stripe.engine import balance, collecting, payments
from local.stripe.engine.cards import CARDS, LATER, PAID, SAVABLE, named_by, outcome, refusal, refusal_of_number
from local.stripe.engine.objects import Operation, change, merge, needed, on
from local.stripe.engine.store import Object, Store
from local.stripe.errors import ApiError, invalid
from local.stripe.limits import amount_to_charge


def _create_payment_method(store: Store, form: Object, _: str) -> Object:
    card, debit = form.get("card", {}), form.get("sepa_debit", {})
    if "number" in card and not named_by(card["number"]):
        raise _refused(refusal_of_number(card["number"]))
    name = named_by(card.get("number") or debit.get("iban") or "")
    name = name or card.get("token", "").replace("tok_", "pm_card_")
    if name not in CARDS:
        raise invalid(f"No such token: '{card.get('token')}'", "card[token]", code="resource_missing")
    made = payments.payment_method(store, name)
    if "number" in card:  # a brand has several test numbers
        made["card"]["last4"] = card["number"][-4:]
    return made


def _refused(error: Object) -> ApiError:
    return ApiError(402, "card_error", **error)


_ATTACHED: Final = (*PAID, *LATER, "action")


def _attach(store: Store, form: Object, id: str) -> Object:
    customer = needed(form, "customer")
    card = id if id in CARDS else store.get("payment_method", id)["_card"]
    code = outcome(card)
    if card not in SAVABLE and code not in _ATTACHED:  # Stripe asks the bank: https://docs.stripe.com/testing
        raise _refused(refusal(code))
    if id in CARDS:
        return payments.payment_method(store, id, store.named("customer", customer, "customer")["id"])
    return payments.attach(store, store.get("payment_method", id), customer)


def _detach(store: Store, _: Object, id: str) -> Object:
    method = store.get("payment_method", id)
    method["customer"] = None
    store.emit("payment_method.detached", method)
    return method


def _create_intent(store: Store, form: Object, _: str) -> Object:
    amount_to_charge(form["amount"], form["currency"])
    customer = form.get("customer")
    values: Object = {name: form[name] for name in ("description", "metadata") if name in form}
    if customer:
        values["customer"] = store.named("customer", customer, "customer")["id"]
    if "automatic_payment_methods" in form:
        values["automatic_payment_methods"] = {"allow_redirects": "always", **form["automatic_payment_methods"]}
    if "capture_method" in form:
        values["capture_method"] = form["capture_method"]
    # The second name is of API versions before 2026-10-28.endive: https://github.com/stripe/stripe-ruby/pull/1944
    allowed = form.get("allowed_payment_method_types") or form.get("payment_method_types")
    if allowed:
        values["payment_method_types"] = allowed
    intent = payments.create_intent(store, form["amount"], form["currency"], **values)
    return _confirm_intent(store, form, intent["id"]) if form.get("confirm") else intent


def _update_intent(store: Store, form: Object, id: str) -> Object:
    intent = store.get("payment_intent", id)
    if {"amount", "currency"} & form.keys():
        payments.check_status(intent, *payments.CONFIRMABLE)  # https://docs.stripe.com/api/payment_intents/update
        changed = intent | form
        amount_to_charge(changed["amount"], changed["currency"])
    return change(store, "payment_intent", intent, form)


def _confirm_intent(store: Store, form: Object, id: str) -> Object:
    intent = store.get("payment_intent", id)
    name = form.get("payment_method") or intent["payment_method"]
    if not name:
        # The words: https://github.com/activemerchant/active_merchant/pull/3570
        message = "You cannot confirm this PaymentIntent because it's missing a payment method."
        raise invalid(message, code="payment_intent_unexpected_state")
    payments.check_status(intent, *payments.CONFIRMABLE)
    _check_return(intent, form)
    if name not in CARDS:
        _check_fits(intent, store.named("payment_method", name, "payment_method"))
    return collecting.confirm_intent(store, intent, name)


def _check_return(intent: Object, form: Object) -> None:
    """With the dashboard's payment methods, some lead the customer to another page, so an address to come back to is
    needed, also for a card.

    https://github.com/opencollective/opencollective-frontend/pull/12346
    """
    automatic = intent["automatic_payment_methods"]
    if automatic and automatic["enabled"] and automatic["allow_redirects"] == "always" and "return_url" not in form:
        raise invalid(
            "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because some of "
            "these payment methods might redirect your customer off of your page, you must provide a `return_url`."
        )


def _check_fits(intent: Object, method: Object) -> None:
    """https://docs.stripe.com/error-codes#payment-intent-incompatible-payment-method

    The words: https://github.com/stripe/stripe-terminal-react-native/issues/745,
    https://github.com/ezet/stripe-sdk/issues/49
    """
    kind, allowed = method["type"], intent["payment_method_types"]
    if not intent["automatic_payment_methods"] and kind not in allowed:
        message = (
            f"The PaymentMethod provided ({kind}) is not allowed for this PaymentIntent. Please attach a PaymentMethod "
            f"of one of the following types: {', '.join(allowed)}. Alternatively, update the allowed "
            f'payment_method_types for this PaymentIntent to include "{kind}"'
        )
        raise invalid(message, "payment_method", code="payment_intent_incompatible_payment_method")
    if method["customer"] and method["customer"] != intent["customer"]:
        message = (
            f"The `payment_method` parameter supplied {method['id']} belongs to the Customer {method['customer']}. "
            "Please include the Customer in the `customer` parameter on the PaymentIntent."
        )
        raise invalid(message, "payment_method")


def _capture_intent(store: Store, form: Object, id: str) -> Object:
    return payments.capture(store, store.get("payment_intent", id), form.get("amount_to_capture"))


def _create_refund(store: Store, form: Object, _: str) -> Object:
    charge = form.get("charge")
    if not charge:
        intent = store.named("payment_intent", needed(form, "payment_intent"), "payment_intent")
        charge = intent["latest_charge"]
        if not charge:
            raise invalid("This PaymentIntent does not have a successful charge to refund.", "payment_intent")
    values = {name: form[name] for name in ("reason", "metadata") if name in form}
    return payments.refund(store, store.named("charge", charge, "charge"), form.get("amount"), **values)


def _update_refund(store: Store, form: Object, id: str) -> Object:
    """Stripe tells of it twice: https://docs.stripe.com/api/events/types#event_types-charge.refund.updated"""
    refund = change(store, "refund", store.get("refund", id), form)
    store.emit("charge.refund.updated", refund)
    return refund


def _update_dispute(store: Store, form: Object, id: str) -> Object:
    """Evidence is sent to the bank. Two texts make the bank decide: https://docs.stripe.com/testing#evidence"""
    found = store.get("dispute", id)
    evidence = form.get("evidence", {})
    found["evidence"] = {**found["evidence"], **evidence}
    merge(found, {"metadata": form.get("metadata", {})})
    if not evidence:
        store.emit("charge.dispute.updated", found)
    elif form.get("submit", True):
        payments.review_dispute(store, found)
        verdict = {"winning_evidence": True, "losing_evidence": False}.get(evidence.get("uncategorized_text", ""))
        if verdict is not None:
            payments.close_dispute(store, found, won=verdict)
    return found


def _close_dispute(store: Store, _: Object, id: str) -> Object:
    """Gives the dispute up: https://docs.stripe.com/api/disputes/close"""
    return payments.close_dispute(store, store.get("dispute", id), won=False)


OPERATIONS: Final[tuple[tuple[str, str, Operation], ...]] = (
    ("POST", "/v1/payment_methods", _create_payment_method),
    ("POST", "/v1/payment_methods/{payment_method}/attach", _attach),
    ("POST", "/v1/payment_methods/{payment_method}/detach", _detach),
    ("POST", "/v1/payment_intents", _create_intent),
    ("POST", "/v1/payment_intents/{intent}", _update_intent),
    ("POST", "/v1/payment_intents/{intent}/confirm", _confirm_intent),
    ("POST", "/v1/payment_intents/{intent}/capture", _capture_intent),
    ("POST", "/v1/payment_intents/{intent}/cancel", on("payment_intent", payments.cancel_intent)),
    ("POST", "/v1/refunds", _create_refund),
    ("POST", "/v1/refunds/{refund}", _update_refund),
    ("GET", "/v1/balance", lambda store, _, __: balance.balance(store)),
    ("POST", "/v1/disputes/{dispute}", _update_dispute),
    ("POST", "/v1/disputes/{dispute}/close", _close_dispute),
)
