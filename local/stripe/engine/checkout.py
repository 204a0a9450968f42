"""Completes, settles and expires Checkout Sessions. https://docs.stripe.com/payments/checkout"""

from local.stripe.engine import collecting, invoices, lines, payments, subscriptions
from local.stripe.engine.cards import CARDS, LATER, PAID, SAVABLE, outcome, refusal
from local.stripe.engine.store import Object, Store
from local.stripe.errors import declined, invalid


class NeedsAction(Exception):
    """The customer's bank wants a confirmation first."""


def complete_checkout(
    store: Store, session: Object, method: str = "pm_card_visa", *, confirmed: bool = False
) -> Object:
    """The customer pays with a test payment method.

    Stripe makes a subscription when the customer sends the form, before the payment is accepted. If the card is
    declined or must be confirmed, the subscription stays `incomplete`, and the session stays open for another try.
    Sources: users of pay, polar and cashier, such as https://github.com/laravel/cashier-stripe/issues/1086 and
    https://github.com/Yellow-Dog-Man/Resonite-Issues/issues/3842 (it can be retried until it expires).
    `checkout.session.completed` comes last: a recorded order is in https://github.com/pay-rails/pay/issues/282

    Raises `ApiError` (402) when the card is declined: the session stays open. Also raises `NeedsAction`.
    """
    if session["status"] == "open" and session["expires_at"] <= store.now():
        expire_checkout(store, session)
    if session["status"] != "open":
        raise invalid(f"The Checkout Session is {session['status']}.")
    begins = session["mode"] == "subscription"
    if not begins or trial_days(session):
        _try(session, method, confirmed=confirmed)
    if not session["customer"]:
        session["customer"] = _customer(store, session)
    if not begins:
        return _pay(store, session, method, confirmed=confirmed)
    made = _begun(store, session) or _begin(store, session)
    return _pay_first(store, session, made, method, confirmed=confirmed)


def refuse_checkout(store: Store, session: Object) -> None:
    """The customer's bank asked for a confirmation and did not get it."""
    begun = _begun(store, session)
    intent = begun and invoices.intent_of(store, store.get("invoice", session["_first_invoice"]))
    if intent and intent["status"] == "requires_action":
        collecting.answer_intent(store, intent, paid=False)


def _try(session: Object, method: str, *, confirmed: bool) -> None:
    """A card that is declined, or is not confirmed yet, makes nothing but an error here."""
    result, then = outcome(method), CARDS[method].then
    if result in (*PAID, *LATER) or (trial_days(session) and method in SAVABLE):
        return
    if result == "action" and not confirmed:
        raise NeedsAction
    if result != "action" or then:
        raise declined({"last_payment_error": refusal(then or result)})


def _customer(store: Store, session: Object) -> str:
    made = store.create("customer", email=session["customer_email"])
    store.emit("customer.created", made)
    return str(made["id"])


# -- subscriptions


def _begun(store: Store, session: Object) -> Object | None:
    """The subscription that an earlier try of this session made, if it did not end. Perhaps it is paid by now."""
    made = store.find(session.get("_begun", [""])[-1])
    return made if made and made["status"] not in subscriptions.ENDED else None


def _begin(store: Store, session: Object) -> Object:
    """The subscription and its first invoice. A trial begins at once; otherwise the first payment is awaited."""
    made = _subscription(store, session, session["_subscription_data"].get("metadata", {}))
    free = trial_days(session) > 0
    if not free:
        made["status"] = "incomplete"
    draft = invoices.create_draft(
        store, session["customer"], "subscription_create", made, "free" if free else "charged"
    )
    subscriptions.tell_created(store, made)
    invoices.finalize(store, draft)
    session |= {"_begun": [*session.get("_begun", []), made["id"]], "_first_invoice": draft["id"]}
    return made


def _pay_first(store: Store, session: Object, made: Object, method: str, *, confirmed: bool) -> Object:
    """Nothing is charged if the invoice was paid elsewhere, such as on its own page."""
    invoice = store.get("invoice", session["_first_invoice"])
    invoices.check_status(invoice, "open", "uncollectible", "paid")
    intent = invoices.intent_of(store, invoice)
    saved = payments.payment_method(store, method, session["customer"])
    if invoice["status"] != "paid" and not (confirmed and intent and intent["status"] == "requires_action"):
        collecting.pay_invoice(store, invoice, saved["id"])
    if intent and intent["status"] == "requires_action":
        if not confirmed:
            raise NeedsAction
        collecting.answer_intent(store, intent, paid=True)
    if intent and intent["status"] == "requires_payment_method":
        raise declined(intent)
    made["default_payment_method"] = saved["id"]
    store.emit("customer.subscription.updated", made)
    session |= {"subscription": made["id"], "invoice": invoice["id"]}
    _complete(session, invoice["total"], paid=invoice["status"] == "paid")
    if trial_days(session):
        session["payment_status"] = "no_payment_required"
    store.emit("checkout.session.completed", session)
    return session


def trial_days(session: Object) -> int:
    return int(session["_subscription_data"].get("trial_period_days", 0))


def _subscription(store: Store, session: Object, metadata: Object) -> Object:
    """The subscription has an item for each recurring price. Prices that are paid once go on its first invoice."""
    customer, sold = session["customer"], session["_lines"]
    [(price, quantity), *more] = [line for line in sold if line[0]["recurring"]]
    made = subscriptions.create_subscription(store, customer, price, metadata, trial_days(session), quantity)
    for other, number in more:
        subscriptions.add_item(store, made, other, number, made["items"]["data"][0]["current_period_end"])
    for once, number in (line for line in sold if not line[0]["recurring"]):
        known = {"_subscription": made["id"], "_price": once, "quantity": number}
        lines.pend(store, customer, once["unit_amount"] * number, once["currency"], **known)
    return made


# -- single payments


def _pay(store: Store, session: Object, method: str, *, confirmed: bool) -> Object:
    total = sum(price["unit_amount"] * quantity for price, quantity in session["_lines"])
    known = {"customer": session["customer"], "metadata": session["_intent_data"].get("metadata", {})}
    intent = payments.create_intent(store, total, session["currency"], **known)
    collecting.confirm_intent(store, intent, payments.payment_method(store, method, session["customer"])["id"])
    if confirmed and intent["status"] == "requires_action":
        collecting.answer_intent(store, intent, paid=True)
    _complete(session, total, paid=intent["status"] == "succeeded")
    session["payment_intent"] = intent["id"]
    store.emit("checkout.session.completed", session)
    return session


def _complete(session: Object, total: int, *, paid: bool) -> None:
    status = "paid" if paid else "unpaid"
    session |= {"status": "complete", "payment_status": status, "url": None, "amount_total": total}
    session["amount_subtotal"] = total


def settle_checkout(store: Store, session: Object, *, paid: bool) -> Object:
    """Applies the bank's answer to a checkout that the customer paid by a bank debit."""
    if session["payment_status"] != "unpaid" or session["status"] != "complete":
        raise invalid("The Checkout Session does not wait for a payment.")
    intent = intent_of(store, session)
    if intent is None or intent["status"] != "processing":
        raise invalid("The payment of the Checkout Session is not waiting for the bank any more.")
    if paid:
        session["payment_status"] = "paid"
        store.emit("checkout.session.async_payment_succeeded", session)
        collecting.answer_intent(store, intent, paid=True)
    else:
        store.emit("checkout.session.async_payment_failed", session)
        collecting.answer_intent(store, intent, paid=False)
    return session


def intent_of(store: Store, session: Object) -> Object | None:
    """The PaymentIntent that pays for the session."""
    if session["invoice"]:
        return invoices.intent_of(store, store.get("invoice", session["invoice"]))
    return store.get("payment_intent", session["payment_intent"]) if session["payment_intent"] else None


def expire_checkout(store: Store, session: Object) -> Object:
    if session["status"] != "open":
        raise invalid('Only Checkout Sessions with a status in ["open"] can be expired.')
    session |= {"status": "expired", "url": None}
    store.emit("checkout.session.expired", session)
    return session
