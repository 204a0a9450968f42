"""Moves Stripe's time: finds every moment at which something becomes due, and does what is due."""

from collections.abc import Callable, Iterator
from contextlib import suppress

from local.stripe.engine import checkout, collecting, invoices, payments, periods, quotes, scheduling, subscriptions
from local.stripe.engine.store import HOUR, Clock, Object, Store
from local.stripe.errors import ApiError

type Due = tuple[int, Callable[[], object]]

_FIRST_PAYMENT = 23 * HOUR


def advance(store: Store, clock: Clock, seconds: float) -> int:
    """Moves the clock forward and does everything that becomes due. Returns how many actions were due."""
    until = clock() + seconds
    happened = 0
    while True:
        moment, act = min(_due(store), key=lambda due: due[0], default=(until + 1, None))
        if act is None or moment > until:
            break
        clock.move_to(moment)
        with suppress(ApiError):  # the card was declined; the failure is already applied
            act()
        happened += 1
    clock.move_to(until)
    return happened


def _due(store: Store) -> Iterator[Due]:
    for session in store.all("checkout.session", status="open"):
        yield session["expires_at"], _on(checkout.expire_checkout, store, session)
    yield from _of_plans(store)
    # For objects that were added without their customer, nothing becomes due.
    for subscription in store.all("subscription"):
        if store.find(subscription["customer"]):
            yield from _of_subscription(store, subscription)
    for invoice in store.all("invoice"):
        if store.find(invoice["customer"]):
            yield from _of_invoice(store, invoice)
    for intent in store.all("payment_intent", status="processing"):
        if "_settles_at" in intent:
            yield intent["_settles_at"], _on(_settle, store, intent)
    for refund in store.all("refund", status="succeeded"):
        if "_fails_at" in refund:
            yield refund["_fails_at"], _on(payments.fail_refund, store, refund)


def _on(act: Callable[..., object], *arguments: object) -> Callable[[], object]:
    return lambda: act(*arguments)


def _of_subscription(store: Store, subscription: Object) -> Iterator[Due]:
    status = subscription["status"]
    if status == "incomplete":
        yield subscription["created"] + _FIRST_PAYMENT, _on(periods.expire, store, subscription)
    if status in (*subscriptions.ENDED, "incomplete", "paused"):
        return
    if subscription["cancel_at"]:
        yield subscription["cancel_at"], _on(subscriptions.cancel_subscription, store, subscription)
    if status == "trialing" and not subscription.get("_trial_noticed"):
        yield (
            subscription["trial_end"] - subscriptions.TRIAL_NOTICE,
            _on(subscriptions.notice_trial, store, subscription),
        )
    pause = subscription["pause_collection"]
    if pause and pause.get("resumes_at"):
        yield pause["resumes_at"], _on(subscriptions.pause_collection, store, subscription, None)
    end = subscription["items"]["data"][0]["current_period_end"]
    if not subscription["cancel_at"] or subscription["cancel_at"] > end:
        yield end, lambda: periods.renew(store, subscription, later=True)


def _of_plans(store: Store) -> Iterator[Due]:
    """A phase ends before a period that ends at the same time, so the renewal is that of the next phase."""
    for schedule in store.all("subscription_schedule"):
        yield from _of_schedule(store, schedule)
    for quote in (*store.all("quote", status="draft"), *store.all("quote", status="open")):
        yield quote["expires_at"], _on(quotes.cancel, store, quote)


def _of_schedule(store: Store, schedule: Object) -> Iterator[Due]:
    phases = schedule["phases"]
    if schedule["status"] == "not_started":
        yield phases[0]["start_date"], _on(scheduling.start_now, store, schedule)
    if schedule["status"] != "active" or not phases:
        return
    last = phases[-1]["end_date"]
    if not schedule.get("_noticed"):
        yield last - scheduling.NOTICE, _on(scheduling.notice, store, schedule)
    if not (schedule["current_phase"]["end_date"] == last and schedule["end_behavior"] == "cancel"):
        yield schedule["current_phase"]["end_date"], _on(scheduling.end_phase, store, schedule)


def _of_invoice(store: Store, invoice: Object) -> Iterator[Due]:
    if invoice["status"] == "draft" and invoice["automatically_finalizes_at"]:
        yield invoice["automatically_finalizes_at"], _on(_finalize, store, invoice)
    if invoice["status"] == "open" and invoice["next_payment_attempt"]:
        yield invoice["next_payment_attempt"], _on(_try, store, invoice)


def _finalize(store: Store, invoice: Object) -> None:
    invoices.finalize(store, invoice)
    if invoice["collection_method"] == "send_invoice":
        store.emit("invoice.sent", invoice)
    elif not periods.close_if_paused(store, invoice):
        _try(store, invoice)


def _try(store: Store, invoice: Object) -> None:
    """Charges the invoice, unless its subscription has ended or is unpaid: then the invoice waits for a person."""
    subscription = invoices.subscription_of(store, invoice)
    intent = invoices.intent_of(store, invoice)
    invoice["next_payment_attempt"] = None
    if subscription and subscription["status"] in (*subscriptions.ENDED, "unpaid"):
        return
    if intent and intent["status"] == "processing":
        return
    collecting.pay_invoice(store, invoice, automatic=True)


def _settle(store: Store, intent: Object) -> None:
    del intent["_settles_at"]  # the bank answers only once, whatever the result
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
