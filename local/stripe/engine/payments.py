"""Changes payment methods, PaymentIntents, charges, refunds and disputes, and emits the events of the changes.

`collecting.py` applies a payment to its invoices.
"""

from typing import Any, Final

from local.stripe.engine import balance
from local.stripe.engine.cards import BANK, CARDS, Card, refusal
from local.stripe.engine.store import DAY, Object, Store, new_id
from local.stripe.errors import invalid, missing

SETTLES_AFTER: Final = 4 * DAY  # seconds until the bank answers after a debit
CONFIRMABLE: Final = ("requires_payment_method", "requires_confirmation", "requires_action")


# -- payment methods


def payment_method(store: Store, name: str, customer: str | None = None) -> Object:
    """Finds a payment method by its id, or makes one from the name of a test card and attaches it to the customer."""
    if name not in CARDS:
        found = store.find(name)
        if found is None:
            raise missing("PaymentMethod", name, "payment_method")
        return found
    made = store.create("payment_method", type="card", livemode=False, _card=name)
    made["billing_details"] = {"address": None, "email": None, "name": None, "phone": None, "tax_id": None}
    made |= _details(name, CARDS[name])
    return attach(store, made, customer) if customer else made


def _details(name: str, card: Card) -> Object:
    if name.startswith("pm_sepaDebit"):
        empty = dict.fromkeys(("bank_code", "branch_code", "fingerprint", "generated_from"))
        return {"type": "sepa_debit", "sepa_debit": {"last4": card.number[-4:], "country": card.number[:2], **empty}}
    if name == BANK:
        return {"type": "us_bank_account", "us_bank_account": _bank(card)}
    return {"type": "card", "card": _card(card)}


def _card(card: Card) -> Object:
    empty = dict.fromkeys(("checks", "generated_from", "networks", "three_d_secure_usage", "wallet"))
    expiry = {"exp_month": 12, "exp_year": 2034}
    kind = {"brand": card.brand, "country": card.country, "funding": card.funding}
    return {"last4": card.number[-4:], **kind, **expiry, **empty}


def _bank(card: Card) -> Object:
    kinds = {"account_holder_type": "individual", "account_type": "checking", "bank_name": "STRIPE TEST BANK"}
    empty = dict.fromkeys(("financial_connections_account", "fingerprint", "networks", "status_details"))
    return {"last4": card.number[-4:], "routing_number": "110000000", **kinds, **empty}


def attach(store: Store, method: Object, customer: str) -> Object:
    method["customer"] = store.named("customer", customer, "customer")["id"]
    store.emit("payment_method.attached", method)
    return method


# -- PaymentIntents


def create_intent(store: Store, amount: int, currency: str, **values: Any) -> Object:
    """`amount` is in minor units of `currency`."""
    intent = store.create(
        "payment_intent",
        amount=amount,
        amount_capturable=0,
        amount_received=0,
        capture_method="automatic_async",
        confirmation_method="automatic",
        currency=currency,
        payment_method_types=["card", "us_bank_account"],
        metadata={},
        status="requires_payment_method",
    )
    intent |= {"client_secret": f"{intent['id']}_secret_{new_id('x')[2:]}", **values}
    store.emit("payment_intent.created", intent)
    return intent


def wait_for_bank(store: Store, intent: Object, *, pays: bool) -> None:
    """`pays`: whether the bank will pay."""
    made = _attempt(store, intent)
    answer = {"_settles_at": store.now() + SETTLES_AFTER, "_pays": pays, "latest_charge": made["id"]}
    intent |= {"status": "processing", "last_payment_error": None, **answer}
    store.emit("charge.pending", made)
    store.emit("payment_intent.processing", intent)


def ask_customer(store: Store, intent: Object) -> None:
    """Of a PaymentIntent or a SetupIntent."""
    url = f"https://hooks.stripe.com/3d_secure_2/hosted?{intent['object']}={intent['id']}"
    action = {"type": "redirect_to_url", "redirect_to_url": {"url": url, "return_url": None}}
    intent |= {"status": "requires_action", "next_action": action}
    store.emit(f"{intent['object']}.requires_action", intent)


def authorize(store: Store, intent: Object) -> None:
    """The bank holds the money until it is captured. https://docs.stripe.com/payments/place-a-hold-on-a-payment-method"""
    made = _attempt(store, intent)
    made |= {"status": "succeeded", "paid": True}
    done = {"latest_charge": made["id"], "last_payment_error": None, "next_action": None}
    intent |= {"status": "requires_capture", "amount_capturable": intent["amount"], **done}
    store.emit("charge.succeeded", made)
    store.emit("payment_intent.amount_capturable_updated", intent)


def capture(store: Store, intent: Object, amount: int | None) -> Object:
    """Takes the amount in minor units (None: all of it). The rest goes back, which Stripe counts as refunded.

    https://docs.stripe.com/api/charges/object#charge_object-amount_captured
    """
    check_status(intent, "requires_capture")
    taken = intent["amount"] if amount is None else amount
    if not 0 < taken <= intent["amount"]:
        raise invalid("The amount to capture is more than was authorized.", "amount_to_capture")
    made = store.get("charge", intent["latest_charge"])
    made |= {"captured": True, "amount_captured": taken, "amount_refunded": intent["amount"] - taken}
    intent |= {"status": "succeeded", "amount_capturable": 0, "amount_received": taken}
    store.emit("charge.captured", made)
    store.emit("payment_intent.succeeded", intent)
    return intent


def charge(store: Store, intent: Object) -> Object:
    """The money arrives. Returns the charge."""
    made = _attempt(store, intent)
    made |= {"status": "succeeded", "paid": True, "captured": True, "amount_captured": intent["amount"]}
    done = {"amount_received": intent["amount"], "latest_charge": made["id"], "last_payment_error": None}
    intent |= {"status": "succeeded", "next_action": None, **done}
    store.emit("charge.succeeded", made)
    store.emit("payment_intent.succeeded", intent)
    store.emit("charge.updated", made)  # its balance transaction is known a little later: `automatic_async`
    balance.tell(store, intent["payment_method"])
    return made


def _attempt(store: Store, intent: Object) -> Object:
    """The charge of this attempt: the one that waits for the customer's bank, or a new one."""
    found = store.find(intent["latest_charge"] or "")
    if found and found["status"] == "pending":
        return found
    return store.create(
        "charge",
        amount=intent["amount"],
        amount_captured=0,
        amount_refunded=0,
        captured=False,
        currency=intent["currency"],
        customer=intent["customer"],
        metadata={**intent["metadata"]},
        paid=False,
        payment_intent=intent["id"],
        payment_method=intent["payment_method"],
        status="pending",
    )


def fail_intent(store: Store, intent: Object, code: str = "generic_decline") -> Object:
    """The bank declines. Each attempt has a charge of its own, a failed one too; it is the intent's latest.

    https://docs.stripe.com/api/payment_intents/object#payment_intent_object-latest_charge
    """
    made = _attempt(store, intent)
    error = {"type": "card_error", **refusal(code), "charge": made["id"]}
    made |= {"status": "failed", "failure_code": error["code"], "failure_message": error["message"]}
    intent["latest_charge"] = made["id"]
    intent |= {"status": "requires_payment_method", "next_action": None, "last_payment_error": error}
    store.emit("charge.failed", made)
    store.emit("payment_intent.payment_failed", intent)
    return intent


def refuse_confirmation(store: Store, intent: Object) -> None:
    """The customer did not confirm, so nothing was charged. https://docs.stripe.com/error-codes"""
    message = "The provided PaymentMethod has failed authentication."
    error = {"type": "invalid_request_error", "code": "payment_intent_authentication_failure", "message": message}
    intent |= {"status": "requires_payment_method", "next_action": None, "last_payment_error": error}
    store.emit("payment_intent.payment_failed", intent)


def cancel_intent(store: Store, intent: Object) -> Object:
    check_status(intent, *CONFIRMABLE, "processing")
    intent |= {"status": "canceled", "canceled_at": store.now()}
    store.emit("payment_intent.canceled", intent)
    return intent


def check_status(intent: Object, *statuses: str) -> None:
    """Of a PaymentIntent or a SetupIntent. Raises `ApiError`."""
    if intent["status"] not in statuses:
        name = {"payment_intent": "PaymentIntent", "setup_intent": "SetupIntent"}[intent["object"]]
        message = f"This {name}'s status is {intent['status']}, which does not allow that."
        raise invalid(message, code=f"{intent['object']}_unexpected_state")


# -- refunds and disputes


def refund(store: Store, charge: Object, amount: int | None, **values: Any) -> Object:
    """`amount` is in minor units. None means the rest of the charge."""
    if not charge["paid"]:
        raise invalid(f"Charge {charge['id']} is {charge['status']}, so it cannot be refunded.", "charge")
    left = charge["amount"] - charge["amount_refunded"]
    amount = left if amount is None else amount
    if not 0 < amount <= left:
        message = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})."
        raise invalid(message, "amount", code="charge_already_refunded" if not left else "amount_too_large")
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    known = {"charge": charge["id"], "payment_intent": charge["payment_intent"], "currency": charge["currency"]}
    made = store.create("refund", amount=amount, status="succeeded", **known, **values)
    method = store.find(charge["payment_method"] or "")
    if method and CARDS[method["_card"]].outcome == "unrefundable":
        made["_fails_at"] = store.now() + DAY
    store.emit("charge.refunded", charge)
    store.emit("refund.created", made)
    return made


def fail_refund(store: Store, refund: Object, reason: str = "declined") -> Object:
    """The bank sends a refund back that had succeeded at first. https://docs.stripe.com/refunds#failed-refunds

    The money is not with the customer, so the charge counts it as refunded no more.
    """
    if refund["status"] not in ("succeeded", "pending"):
        raise invalid(f"The refund is {refund['status']}.")
    refund.pop("_fails_at", None)
    refund |= {"status": "failed", "failure_reason": reason}
    charge = store.get("charge", refund["charge"])
    charge["amount_refunded"] -= refund["amount"]
    charge["refunded"] = False
    store.emit("refund.updated", refund)
    store.emit("charge.refund.updated", refund)
    store.emit("refund.failed", refund)
    return refund


def dispute(store: Store, charge: Object, *, inquiry: bool = False) -> Object:
    """The customer's bank takes the money back until the dispute is decided. With an `inquiry` it only asks.

    https://docs.stripe.com/disputes/how-disputes-work
    """
    if charge["disputed"]:
        raise invalid("The charge is disputed already.")
    charge["disputed"] = True
    known = {"charge": charge["id"], "payment_intent": charge["payment_intent"], "currency": charge["currency"]}
    status = "warning_needs_response" if inquiry else "needs_response"
    made = store.create("dispute", amount=charge["amount"], reason="fraudulent", status=status, **known)
    store.emit("charge.dispute.created", made)
    if not inquiry:
        store.emit("charge.dispute.funds_withdrawn", made)
    return made


def escalate_inquiry(store: Store, dispute: Object) -> Object:
    """The bank makes a dispute of its inquiry, and takes the money."""
    _check_dispute(dispute, "warning_needs_response", "warning_under_review")
    dispute["status"] = "needs_response"
    store.emit("charge.dispute.updated", dispute)
    store.emit("charge.dispute.funds_withdrawn", dispute)
    return dispute


def review_dispute(store: Store, dispute: Object) -> Object:
    """The bank has the evidence and looks at it."""
    _check_dispute(dispute, "needs_response", "warning_needs_response")
    dispute["status"] = dispute["status"].replace("needs_response", "under_review")
    store.emit("charge.dispute.updated", dispute)
    return dispute


def close_dispute(store: Store, dispute: Object, *, won: bool) -> Object:
    """The bank decides. An inquiry is closed without a decision."""
    _check_dispute(dispute, "needs_response", "under_review", "warning_needs_response", "warning_under_review")
    inquiry = dispute["status"].startswith("warning_")
    dispute["status"] = "warning_closed" if inquiry else "won" if won else "lost"
    store.emit("charge.dispute.closed", dispute)
    if won and not inquiry:
        store.emit("charge.dispute.funds_reinstated", dispute)
    return dispute


def _check_dispute(dispute: Object, *statuses: str) -> None:
    if dispute["status"] not in statuses:
        raise invalid(f"This dispute is {dispute['status']}, which does not allow that.")
