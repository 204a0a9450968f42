"""What time brings: every moment at which something becomes due at Stripe, and what happens then."""

from collections.abc import Callable, Iterator
from contextlib import suppress

from local.stripe.engine import checkout, collecting, invoices, periods, subscriptions
from local.stripe.engine.store import HOUR, Clock, Object, Store
from local.stripe.errors import ApiError

type Due = tuple[int, Callable[[], object]]

_FIRST_PAYMENT = 23 * HOUR


def advance(store: Store, clock: Clock, seconds: float) -> int:
    """Moves the clock, and at each moment on the way does what is due. How many things happened."""
    until = clock() + seconds
    happened = 0
    while True:
        moment, act = min(_due(store), key=lambda due: due[0], default=(until + 1, None))
        if act is None or moment > until:
            break
        clock.move_to(moment)
        with suppress(ApiError):  # a card is declined: what follows from that has happened
            act()
        happened += 1
    clock.move_to(until)
    return happened


def _due(store: Store) -> Iterator[Due]:
    for session in store.all("checkout.session", status="open"):
        yield session["expires_at"], _on(checkout.expire_checkout, store, session)
    # Objects that were brought in without their customer stand still.
    for subscription in store.all("subscription"):
        if store.find(subscription["customer"]):
            yield from _of_subscription(store, subscription)
    for invoice in store.all("invoice"):
        if store.find(invoice["customer"]):
            yield from _of_invoice(store, invoice)
    for intent in store.all("payment_intent", status="processing"):
        if "_settles_at" in intent:
            yield intent["_settles_at"], _on(_settle, store, intent)


def _on(act: Callable[..., object], *arguments: object) -> Callable[[], object]:
    return lambda: act(*arguments)


def _of_subscription(store: Store, thing: Object) -> Iterator[Due]:
    status = thing["status"]
    if status == "incomplete":
        yield thing["created"] + _FIRST_PAYMENT, _on(periods.expire, store, thing)
    if status in (*subscriptions.ENDED, "incomplete", "paused"):
        return
    if thing["cancel_at"]:
        yield thing["cancel_at"], _on(subscriptions.cancel_subscription, store, thing)
    if status == "trialing" and not thing.get("_trial_noticed"):
        yield thing["trial_end"] - subscriptions.TRIAL_NOTICE, _on(subscriptions.notice_trial, store, thing)
    end = thing["items"]["data"][0]["current_period_end"]
    if not thing["cancel_at"] or thing["cancel_at"] > end:
        yield end, lambda: periods.renew(store, thing, later=True)


def _of_invoice(store: Store, invoice: Object) -> Iterator[Due]:
    if invoice["status"] == "draft" and invoice["automatically_finalizes_at"]:
        yield invoice["automatically_finalizes_at"], _on(_finalize, store, invoice)
    if invoice["status"] == "open" and invoice["next_payment_attempt"]:
        yield invoice["next_payment_attempt"], _on(_try, store, invoice)


def _finalize(store: Store, invoice: Object) -> None:
    invoices.finalize(store, invoice)
    _try(store, invoice)


def _try(store: Store, invoice: Object) -> None:
    """Nothing is tried for a subscription that is over or unpaid: its invoices wait for a person."""
    subscription = invoices.subscription_of(store, invoice)
    intent = invoices.intent_of(store, invoice)
    invoice["next_payment_attempt"] = None
    if subscription and subscription["status"] in (*subscriptions.ENDED, "unpaid"):
        return
    if intent and intent["status"] == "processing":
        return
    collecting.pay_invoice(store, invoice, automatic=True)


def _settle(store: Store, intent: Object) -> None:
    del intent["_settles_at"]  # asked once, whatever comes of it
    session = _session_of(store, intent)
    if session:
        checkout.settle_checkout(store, session, paid=intent["_pays"])
    else:
        collecting.answer_intent(store, intent, paid=intent["_pays"])


def _session_of(store: Store, intent: Object) -> Object | None:
    for session in store.all("checkout.session", status="complete", payment_status="unpaid"):
        if checkout.intent_of(store, session) is intent:
            return session
    return None
