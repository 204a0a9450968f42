"""Checks the invoices of Stripe, the platform's own invoices, and the payments for both."""

import copy
import itertools
from contextlib import suppress
from datetime import datetime

import pytest

from billing.domain.statuses import InvoiceStatus, PaymentStatus
from billing.domain.writes import StripeId
from local.stripe.engine import collecting, invoices, payments, periods
from local.stripe.engine.cards import BANK
from local.stripe.engine.store import Object
from local.stripe.errors import ApiError
from tests.integration.support import at, first_subscription, only_subscription, own_invoice
from tests.world import CUSTOMER, TENANT, World


def test_a_failed_renewal_and_its_recovery_in_any_order(active: World) -> None:
    subscription = first_subscription(active)
    invoice = periods.renew(active.stripe.store, subscription, "pm_card_chargeCustomerFail")
    failed = [at(e, 100) for e in active.new_events()]
    for event in failed:
        active.deliver(event)
    recorded = active.invoice(invoice["id"])
    assert recorded
    assert (recorded.status, recorded.attempt_count) == (InvoiceStatus.OVERDUE, 1)
    assert recorded.next_attempt
    assert only_subscription(active).status == "past_due"
    collecting.pay_invoice(active.stripe.store, invoice, "pm_card_visa")
    for event in [at(e, 200) for e in active.new_events()]:
        active.deliver(event)
    late = {**failed[-2], "id": "evt_again", "type": "invoice.payment_failed"}
    late["data"] = next(e for e in failed if e["type"] == "invoice.payment_failed")["data"]
    assert active.deliver(late).body["status"] == "STALE"
    recorded = active.invoice(invoice["id"])
    assert recorded
    assert (recorded.status, recorded.amount_paid, recorded.next_attempt) == (InvoiceStatus.PAID, 4900, None)
    assert only_subscription(active).status == "active"


@pytest.mark.parametrize(("status", "expected"), [("void", "VOID"), ("uncollectible", "UNCOLLECTIBLE")])
def test_closed_invoices(active: World, status: str, expected: str) -> None:
    invoice = periods.renew(active.stripe.store, first_subscription(active), "pm_card_chargeCustomerFail")
    invoices.close_invoice(active.stripe.store, invoice, status)
    for event in active.new_events():
        active.deliver(event)
    recorded = active.invoice(invoice["id"])
    assert recorded
    assert recorded.status == expected


def test_an_invoice_is_found_by_its_customer_alone(active: World) -> None:
    invoice = copy.deepcopy(active.stripe.store.all("invoice")[0])
    invoice |= {"id": "in_manual", "parent": None, "status": "open", "amount_paid": 0, "amount_remaining": 4900}
    invoice["attempt_count"] = 0
    assert active.deliver(active.stripe.store.emit("invoice.finalized", invoice)).body["status"] == "PROCESSED"
    assert active.table.owner(StripeId("in_manual")) == TENANT


def test_a_payment_of_an_unknown_invoice_brings_it_in(world: World, bought: list[Object]) -> None:
    paid = next(e for e in bought if e["type"] == "invoice_payment.paid")
    assert world.deliver(paid).body["status"] == "PROCESSED"
    invoice = world.invoice(paid["data"]["object"]["invoice"])
    assert invoice
    assert invoice.status is InvoiceStatus.PAID
    intent = paid["data"]["object"]["payment"]["payment_intent"]
    payment = world.payment(intent)
    assert payment
    assert (payment.invoice_id, payment.status, payment.amount) == (invoice.invoice_id, PaymentStatus.SUCCEEDED, 4900)


def test_a_payment_of_an_invoice_of_nobody(world: World, bought: list[Object]) -> None:
    paid = next(e for e in bought if e["type"] == "invoice_payment.paid")
    invoice = world.stripe.store.all("invoice")[0]
    invoice |= {"customer": "cus_elsewhere", "parent": None}
    assert world.deliver(paid).body["status"] == "IGNORED"


def test_an_invoice_not_paid_by_a_payment_intent(active: World, bought: list[Object]) -> None:
    event = copy.deepcopy(next(e for e in bought if e["type"] == "invoice_payment.paid"))
    event["id"] = "evt_out_of_band"
    event["data"]["object"]["payment"] = {"type": "out_of_band_payment"}
    assert active.deliver(event).body["status"] == "IGNORED"


@pytest.mark.parametrize("order", list(itertools.permutations([0, 1, 2, 3])))
def test_the_own_invoice_is_paid_once_whatever_comes_first(world: World, order: tuple[int, ...]) -> None:
    world.customer()
    intent = own_invoice(world)
    payments.fail_intent(world.stripe.store, intent)
    collecting.confirm_intent(world.stripe.store, intent, "pm_card_visa")
    payments.refund(world.stripe.store, world.stripe.store.get("charge", intent["latest_charge"]), 100)
    failed, succeeded, refunded = world.new_events()
    # Two events may report the same change at different seconds.
    events = [failed, succeeded, at(succeeded, 5), refunded]
    for index in order:
        assert world.deliver(events[index]).status == 200
    invoice, payment = world.invoice("inv-001"), world.payment(intent["id"])
    assert invoice
    assert payment
    assert (invoice.status, invoice.amount_paid) == (InvoiceStatus.PAID, 25000)
    assert (payment.status, payment.invoice_id, payment.failure_code) == (PaymentStatus.SUCCEEDED, "inv-001", None)
    assert (payment.stripe_charge_id, payment.amount_refunded) == (intent["latest_charge"], 100)


def test_a_failed_payment_has_its_code_and_message(world: World) -> None:
    world.customer()
    intent = own_invoice(world)
    payments.fail_intent(world.stripe.store, intent, "insufficient_funds")
    world.deliver_new()
    payment, invoice = world.payment(intent["id"]), world.invoice("inv-001")
    assert payment
    assert invoice
    assert (payment.status, payment.failure_code) == (PaymentStatus.FAILED, "insufficient_funds")
    assert payment.failure_message == "Your card has insufficient funds."
    assert invoice.status is InvoiceStatus.PENDING


@pytest.mark.parametrize("named", [{"invoiceId": "inv-none"}, {}])
def test_money_for_no_invoice_of_ours_is_recorded_all_the_same(world: World, named: dict[str, str]) -> None:
    world.customer()
    store = world.stripe.store
    intent = payments.create_intent(store, 500, "usd", customer=CUSTOMER, metadata={"tenantId": TENANT, **named})
    collecting.confirm_intent(store, intent, "pm_card_visa")
    world.deliver_new()
    payment = world.payment(intent["id"])
    assert payment
    assert (payment.amount, payment.invoice_id) == (500, None)


def test_another_currency_pays_nothing(world: World) -> None:
    world.customer()
    intent = own_invoice(world)
    intent["currency"] = "jpy"
    collecting.confirm_intent(world.stripe.store, intent, "pm_card_visa")
    world.deliver_new()
    invoice = world.invoice("inv-001")
    assert invoice
    assert (invoice.status, invoice.amount_paid) == (InvoiceStatus.PENDING, 0)


def test_a_debit_on_its_way_is_no_failure(active: World) -> None:
    """Stripe counts the attempt at once. Only the PaymentIntent shows that the bank has not answered yet."""
    store = active.stripe.store
    subscription = first_subscription(active)
    invoice = periods.renew(store, subscription, later=True)
    invoices.finalize(store, invoice)
    [tie] = store.all("invoice_payment", invoice=invoice["id"])
    intent = store.get("payment_intent", tie["payment"]["payment_intent"])
    intent["status"] = "processing"
    invoice |= {"attempted": True, "attempt_count": 1}
    active.new_events()
    assert active.deliver(store.emit("invoice.finalized", invoice)).status == 200
    recorded = active.invoice(invoice["id"])
    assert recorded
    assert (recorded.status, recorded.attempt_count) == (InvoiceStatus.PENDING, 0)
    intent["status"] = "requires_payment_method"
    assert active.deliver(at(store.emit("invoice.payment_failed", invoice), 5)).status == 200
    recorded = active.invoice(invoice["id"])
    assert recorded
    assert (recorded.status, recorded.attempt_count) == (InvoiceStatus.OVERDUE, 1)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("method", [BANK, "pm_card_threeDSecure2Required"])
def test_an_invoice_stays_overdue_while_a_person_tries_again(active: World, method: str, order: int) -> None:
    """Stripe counts the first attempt and its own, and not those of a person after them."""
    store = active.stripe.store
    invoice = periods.renew(store, first_subscription(active), "pm_card_chargeDeclined")
    active.deliver_new()
    collecting.pay_invoice(store, invoice, method)
    assert invoice["attempt_count"] == 1
    for event in active.new_events()[::order]:
        assert active.deliver(event).status == 200
    recorded = active.invoice(invoice["id"])
    assert recorded
    assert (recorded.status, recorded.attempt_count) == (InvoiceStatus.OVERDUE, 1)


def test_the_attempts_of_a_debit_after_a_failure_are_stripes_own(active: World) -> None:
    """Only one of two counted attempts has failed while Stripe's own second one is on its way."""
    store = active.stripe.store
    invoice = periods.renew(store, first_subscription(active), "pm_card_chargeDeclined")
    collecting.pay_invoice(store, invoice, BANK, automatic=True)
    assert invoice["attempt_count"] == 2
    active.deliver_new()
    recorded = active.invoice(invoice["id"])
    assert recorded
    assert (recorded.status, recorded.attempt_count) == (InvoiceStatus.OVERDUE, 1)


def test_two_failures_of_one_second_end_with_the_reason_of_the_second(active: World) -> None:
    """Their payloads are alike: the reason is only in the PaymentIntent, and a person's attempt is not counted.

    The first attempt had no payment method, so it has no reason.
    """
    store = active.stripe.store
    subscription = first_subscription(active)
    subscription["default_payment_method"] = None
    invoice = invoices.finalize(store, periods.renew(store, subscription, later=True))
    with suppress(ApiError):
        collecting.pay_invoice(store, invoice, automatic=True)
    active.deliver_new()
    recorded = active.invoice(invoice["id"])
    assert recorded
    second = int(datetime.fromisoformat(recorded.snapshot_at).timestamp())
    with suppress(ApiError):
        collecting.pay_invoice(store, invoice, "pm_card_chargeDeclinedExpiredCard")
    for event in active.new_events():
        assert active.deliver({**event, "created": second}).status == 200
    recorded = active.invoice(invoice["id"])
    assert recorded
    assert (recorded.attempt_count, recorded.failure_code) == (1, "expired_card")


def test_a_new_url_of_an_invoice_is_not_a_new_state(active: World) -> None:
    """Stripe makes new URLs whenever it shows an invoice.

    If two events of the same second differ only in these URLs, no fetch is needed.
    """
    [invoice] = active.stripe.store.all("invoice")
    recorded = active.invoice(invoice["id"])
    assert recorded
    second = int(datetime.fromisoformat(recorded.snapshot_at).timestamp())
    active.stripe.calls.clear()
    for _ in range(2):
        event = active.stripe.store.emit("invoice.payment_succeeded", invoice)
        assert active.deliver(event | {"created": second}).body["status"] == "STALE"
    assert active.stripe.calls == []
    assert active.invoice(invoice["id"]) == recorded


def test_a_canceled_payment(active: World) -> None:
    intent = own_invoice(active)
    with pytest.raises(ApiError):
        collecting.confirm_intent(active.stripe.store, intent, "pm_card_chargeDeclined")
    failed = active.new_events()
    payments.cancel_intent(active.stripe.store, intent)
    for event in [*active.new_events(), *failed]:
        assert active.deliver(event).status == 200
    payment = active.payment(intent["id"])
    assert payment
    assert payment.status is PaymentStatus.CANCELED
