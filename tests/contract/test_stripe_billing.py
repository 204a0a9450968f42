"""Checks with Stripe's own SDK what coupons, schedules, quotes, credit notes, SetupIntents and test clocks lead to.

Every answer and every event must also match Stripe's OpenAPI document.
"""

from typing import Any

import pytest
import requests
import stripe

from local.stripe.engine.cards import CARDS
from tests.contract.test_stripe_life import DAY, Life, life

__all__ = ["life"]


def coupon(life: Life, **form: Any) -> str:
    whole: Any = {"duration": "forever", **form}
    return life.api.coupons.create(whole).id


def totals(life: Life) -> list[int]:
    return [invoice["total"] for invoice in life.invoices()]


# -- coupons and promotion codes


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"percent_off": 20}, [2400, 2400, 2400, 2400]),
        ({"percent_off": 20, "duration": "once"}, [2400, 3000, 3000, 3000]),
        ({"percent_off": 50, "duration": "repeating", "duration_in_months": 2}, [1500, 1500, 3000, 3000]),
        ({"amount_off": 700, "currency": "usd"}, [2300, 2300, 2300, 2300]),
        ({"amount_off": 9000, "currency": "usd", "duration": "once"}, [0, 3000, 3000, 3000]),
    ],
)
def test_a_coupon_makes_invoices_smaller(life: Life, form: Any, expected: list[int]) -> None:
    made = life.subscribe(discounts=[{"coupon": coupon(life, **form)}])
    life.advance(100)
    assert totals(life) == expected
    first = life.invoices()[0]
    assert (first["subtotal"], first["total_discount_amounts"][0]["amount"]) == (3000, 3000 - expected[0])
    assert first["lines"]["data"][0]["discount_amounts"] == first["total_discount_amounts"]
    assert first["amount_paid"] == expected[0]
    forever = form.get("duration", "forever") == "forever"
    assert bool(life.subscription(made)["discounts"]) == forever
    assert life.events().count("customer.discount.created") == 1
    assert life.events().count("customer.discount.deleted") == (0 if forever else 1)


def test_a_change_of_plan_is_prorated_with_the_discount(life: Life) -> None:
    made = life.subscribe(discounts=[{"coupon": coupon(life, percent_off=50)}])
    item = life.subscription(made)["items"]["data"][0]
    change: Any = {"items": [{"id": item["id"], "price": life.big}], "proration_behavior": "always_invoice"}
    life.api.subscriptions.update(made, change)
    assert totals(life) == [1500, pytest.approx(1500, abs=2)]
    assert life.invoices()[1]["total_discount_amounts"][0]["amount"] == 0


def test_a_discount_is_taken_away(life: Life) -> None:
    made = life.subscribe(discounts=[{"coupon": coupon(life, percent_off=50)}])
    life.api.subscriptions.delete_discount(made)
    life.advance(31)
    assert totals(life) == [1500, 3000]


def test_a_promotion_code_is_redeemed_as_often_as_it_allows(life: Life) -> None:
    promotion: Any = {"type": "coupon", "coupon": coupon(life, percent_off=10)}
    code = life.api.promotion_codes.create({"promotion": promotion, "code": "SPRING", "max_redemptions": 1})
    life.subscribe(discounts=[{"promotion_code": code.id}])
    assert totals(life) == [2700]
    spent = life.api.promotion_codes.retrieve(code.id)
    assert (spent.code, spent.active, spent.times_redeemed) == ("SPRING", False, 1)
    with pytest.raises(stripe.InvalidRequestError, match="cannot be redeemed"):
        life.subscribe(discounts=[{"promotion_code": code.id}])
    life.api.coupons.delete(promotion["coupon"])
    life.advance(31)
    assert totals(life) == [2700, 2700], "the discount outlives its coupon"


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"percent_off": 10, "amount_off": 5},
        {"percent_off": 101},
        {"amount_off": 100},
        {"percent_off": 10, "duration": "repeating"},
    ],
)
def test_a_coupon_that_makes_no_sense_is_refused(life: Life, form: Any) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        life.api.coupons.create(form)


def test_a_coupon_of_another_currency_or_used_up_is_refused(life: Life) -> None:
    foreign = coupon(life, amount_off=100, currency="eur")
    used_up = coupon(life, percent_off=10, max_redemptions=1)
    life.subscribe(discounts=[{"coupon": used_up}])
    for wrong, message in ((foreign, "currency"), (used_up, "Coupon expired")):
        with pytest.raises(stripe.InvalidRequestError, match=message):
            life.subscribe(discounts=[{"coupon": wrong}])


# -- schedules


def phases(life: Life, *prices: str) -> list[Any]:
    return [{"items": [{"price": price}], "duration": {"interval": "month"}} for price in prices]


def test_a_schedule_moves_at_the_end_of_a_phase(life: Life) -> None:
    form: Any = {"customer": life.customer, "start_date": "now", "phases": phases(life, life.small, life.big)}
    schedule = life.api.subscription_schedules.create(form)
    assert (schedule.status, life.subscription(str(schedule.subscription))["status"]) == ("active", "active")
    life.advance(32)
    assert totals(life) == [3000, 6000]
    life.advance(32)
    ended = life.api.subscription_schedules.retrieve(schedule.id)
    assert (ended.status, ended.subscription) == ("completed", None)
    assert life.subscription(str(ended.released_subscription))["schedule"] is None
    assert totals(life) == [3000, 6000, 6000]
    told = [event for event in life.events() if event.startswith("subscription_schedule")]
    assert told[0] == "subscription_schedule.created"
    assert told[-2:] == ["subscription_schedule.expiring", "subscription_schedule.completed"]


def test_a_schedule_ends_its_subscription(life: Life) -> None:
    form: Any = {"customer": life.customer, "start_date": "now", "phases": phases(life, life.small)}
    form["end_behavior"] = "cancel"
    schedule = life.api.subscription_schedules.create(form)
    made = str(schedule.subscription)
    assert life.subscription(made)["cancel_at"] == schedule.phases[0].end_date
    life.advance(32)
    assert life.subscription(made)["status"] == "canceled"
    assert life.api.subscription_schedules.retrieve(schedule.id).status == "completed"
    assert totals(life) == [3000]


def test_a_schedule_of_a_subscription_changes_in_the_middle_of_a_period(life: Life) -> None:
    made = life.subscribe()
    schedule = life.api.subscription_schedules.create({"from_subscription": made})
    begin = schedule.phases[0].start_date
    now, later = {"items": [{"price": life.small}], "end_date": begin + 10 * DAY}, phases(life, life.big)[0]
    form: Any = {"phases": [now, later]}
    life.api.subscription_schedules.update(schedule.id, form)
    with pytest.raises(stripe.InvalidRequestError, match="schedule"):
        life.api.subscriptions.update(made, {"cancel_at_period_end": True})
    life.advance(11)
    assert life.subscription(made)["items"]["data"][0]["price"]["id"] == life.big
    life.api.subscription_schedules.release(schedule.id)
    assert life.subscription(made)["schedule"] is None
    life.advance(21)
    assert totals(life)[-1] > 6000, "the new price is charged from the change on"


def test_a_schedule_begins_later_or_never(life: Life) -> None:
    begin = life.server.store.now() + 5 * DAY
    form: Any = {"customer": life.customer, "start_date": begin, "phases": phases(life, life.small)}
    first, second = (life.api.subscription_schedules.create(form) for _ in range(2))
    assert first.status == "not_started"
    life.api.subscription_schedules.cancel(first.id)
    life.advance(6)
    assert life.api.subscription_schedules.retrieve(second.id).status == "active"
    assert totals(life) == [3000]


def test_a_schedule_ends_with_its_unpaid_subscription(life: Life) -> None:
    made = life.subscribe()
    schedule = life.api.subscription_schedules.create({"from_subscription": made})
    form: Any = {"phases": [{"items": [{"price": life.small}], "duration": {"interval": "year"}}]}
    life.api.subscription_schedules.update(schedule.id, form)
    bad: Any = {"default_payment_method": "pm_card_chargeCustomerFail"}
    life.api.customers.update(life.customer, {"invoice_settings": bad})
    life.advance(60)
    assert life.subscription(made)["status"] == "canceled"
    assert "subscription_schedule.aborted" in life.events()


# -- test clocks


def test_a_test_clock_moves_the_time_of_the_stand_in(life: Life) -> None:
    clock = life.api.test_helpers.test_clocks.create({"frozen_time": life.server.store.now()})
    settings: Any = {"default_payment_method": "pm_card_visa"}
    form: Any = {"test_clock": clock.id, "invoice_settings": settings}
    life.customer = life.api.customers.create(form).id
    made = life.subscribe()
    before = life.server.store.now()
    advancing = life.api.test_helpers.test_clocks.advance(clock.id, {"frozen_time": clock.frozen_time + 33 * DAY})
    assert advancing.status == "advancing"
    assert life.api.test_helpers.test_clocks.retrieve(clock.id).status == "ready"
    assert 0 <= life.server.store.now() - before - 33 * DAY < 600
    assert totals(life) == [3000, 3000]
    assert life.events()[-1] == "test_helpers.test_clock.ready"
    for wrong in (-1, 100 * DAY):
        with pytest.raises(stripe.InvalidRequestError):
            life.api.test_helpers.test_clocks.advance(clock.id, {"frozen_time": clock.frozen_time + 33 * DAY + wrong})
    life.api.test_helpers.test_clocks.delete(clock.id)
    assert life.api.customers.retrieve(life.customer).to_dict()["deleted"]
    assert life.subscription(made)["status"] == "canceled"


# -- credit notes


def one_off(life: Life, amount: int) -> str:
    invoice = life.api.invoices.create({"customer": life.customer, "auto_advance": False}).id
    life.api.invoice_items.create({"customer": life.customer, "amount": amount, "currency": "usd", "invoice": invoice})
    life.api.invoices.finalize_invoice(invoice)
    return invoice


def test_a_credit_note_lowers_what_is_to_be_paid(life: Life) -> None:
    invoice = one_off(life, 2000)
    note = life.api.credit_notes.create({"invoice": invoice, "amount": 500})
    lowered = life.api.invoices.retrieve(invoice)
    assert (lowered.amount_due, lowered.amount_remaining, lowered.total) == (1500, 1500, 2000)
    life.api.credit_notes.void_credit_note(note.id)
    assert life.api.invoices.retrieve(invoice).amount_remaining == 2000
    life.api.credit_notes.create({"invoice": invoice, "amount": 700})
    life.api.invoices.pay(invoice)
    assert life.server.store.all("charge")[0]["amount"] == 1300
    with pytest.raises(stripe.InvalidRequestError):
        life.api.credit_notes.create({"invoice": invoice, "amount": 1301, "credit_amount": 1301})
    back = life.api.credit_notes.create({"invoice": invoice, "amount": 300, "refund_amount": 100, "credit_amount": 200})
    assert (back.type, back.post_payment_amount) == ("post_payment", 300)
    assert life.server.store.all("charge")[0]["amount_refunded"] == 100
    assert life.api.customers.retrieve(life.customer).to_dict()["balance"] == -200
    assert life.api.invoices.retrieve(invoice).post_payment_credit_notes_amount == 300


def test_a_credit_note_over_everything_pays_the_invoice(life: Life) -> None:
    invoice = one_off(life, 2000)
    life.api.credit_notes.create({"invoice": invoice, "amount": 2000})
    assert life.api.invoices.retrieve(invoice).status == "paid"
    assert not life.server.store.all("charge")


# -- SetupIntents and cards


def test_a_setup_intent_saves_a_card(life: Life) -> None:
    life.customer = life.api.customers.create({"name": "No card"}).id
    form: Any = {"customer": life.customer, "payment_method": "pm_card_visa", "confirm": True}
    made = life.api.setup_intents.create(form)
    assert made.status == "succeeded"
    settings: Any = {"default_payment_method": str(made.payment_method)}
    life.api.customers.update(life.customer, {"invoice_settings": settings})
    assert life.subscription(life.subscribe())["status"] == "active"


@pytest.mark.parametrize("accepted", [True, False])
def test_a_card_that_must_be_confirmed_once(life: Life, accepted: bool) -> None:
    form: Any = {"customer": life.customer, "payment_method": "pm_card_authenticationRequiredOnSetup", "confirm": True}
    made = life.api.setup_intents.create(form)
    assert made.status == "requires_action"
    url = f"{life.address}/_control/setup_intents/{made.id}/answer"
    requests.post(url, {"outcome": "paid" if accepted else "failed"}, timeout=600).raise_for_status()
    answered = life.api.setup_intents.retrieve(made.id)
    assert answered.status == ("succeeded" if accepted else "requires_payment_method")
    if accepted:
        settings: Any = {"default_payment_method": str(answered.payment_method)}
        life.api.customers.update(life.customer, {"invoice_settings": settings})
        life.subscribe()
        life.advance(32)
        assert [invoice["status"] for invoice in life.invoices()] == ["paid", "paid"]


def test_a_declined_card_cannot_be_set_up(life: Life) -> None:
    form: Any = {"payment_method": "pm_card_chargeDeclined", "confirm": True}
    with pytest.raises(stripe.CardError) as caught:
        life.api.setup_intents.create(form)
    assert caught.value.code == "card_declined"
    assert life.events()[-1] == "setup_intent.setup_failed"


@pytest.mark.parametrize(
    ("card", "code", "decline_code"),
    [
        ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_visa_chargeDeclinedLostCard", "card_declined", "lost_card"),
        ("pm_card_visa_chargeDeclinedStolenCard", "card_declined", "stolen_card"),
        ("pm_card_visa_chargeDeclinedVelocityLimitExceeded", "card_declined", "card_velocity_exceeded"),
        ("pm_card_radarBlock", "card_declined", "fraudulent"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", None),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", None),
    ],
)
def test_a_declined_card_tells_why(life: Life, card: str, code: str, decline_code: str | None) -> None:
    form: Any = {"amount": 900, "currency": "usd", "payment_method": card, "confirm": True}
    with pytest.raises(stripe.CardError) as caught:
        life.api.payment_intents.create(form)
    error: Any = caught.value.error
    error = error.to_dict()
    assert (error["code"], error.get("decline_code")) == (code, decline_code)
    failed = life.server.store.all("charge")[0]
    assert (failed["status"], failed["failure_code"]) == ("failed", code)
    with pytest.raises(stripe.InvalidRequestError, match="failed"):
        life.api.refunds.create({"charge": failed["id"]})


@pytest.mark.parametrize(
    ("number", "code", "decline_code"),
    [
        ("4242424242424241", "incorrect_number", None),
        ("4539578763621486", "card_declined", "test_mode_live_card"),
        ("no number", "incorrect_number", None),
    ],
)
def test_a_number_that_is_no_test_card(life: Life, number: str, code: str, decline_code: str | None) -> None:
    form: Any = {"type": "card", "card": {"number": number, "exp_month": 12, "exp_year": 2034}}
    with pytest.raises(stripe.CardError) as caught:
        life.api.payment_methods.create(form)
    error: Any = caught.value.error
    error = error.to_dict()
    assert (error["code"], error.get("decline_code")) == (code, decline_code)


def test_every_test_card_has_a_valid_number(life: Life) -> None:
    """The check digit finds mistyped numbers in the table."""
    for card in (card for card in CARDS.values() if card.brand):
        digits = [int(digit) for digit in reversed(card.number)]
        assert not (sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])) % 10, card
    form: Any = {"type": "card", "card": {"number": "371449635398431", "exp_month": 12, "exp_year": 2034}}
    shown = life.api.payment_methods.create(form).to_dict()["card"]
    assert (shown["brand"], shown["last4"]) == ("amex", "8431")


# -- quotes and payment links


def test_an_accepted_quote_is_a_subscription(life: Life) -> None:
    off = coupon(life, percent_off=10)
    form: Any = {"customer": life.customer, "line_items": [{"price": life.small, "quantity": 2}]}
    form["discounts"] = [{"coupon": off}]
    quote = life.api.quotes.create(form)
    assert (quote.status, quote.amount_subtotal, quote.amount_total) == ("draft", 6000, 5400)
    with pytest.raises(stripe.InvalidRequestError, match="draft"):
        life.api.quotes.accept(quote.id)
    life.api.quotes.finalize_quote(quote.id)
    accepted = life.api.quotes.accept(quote.id)
    assert accepted.status == "accepted"
    assert life.subscription(str(accepted.subscription))["items"]["data"][0]["quantity"] == 2
    life.advance(0.1)
    assert [(i["total"], i["status"]) for i in life.invoices()] == [(5400, "paid")]


def test_a_quote_without_a_recurring_price_is_an_invoice(life: Life) -> None:
    price: Any = {"product_data": {"name": "Once"}, "currency": "usd", "unit_amount": 900}
    once = life.api.prices.create(price).id
    form: Any = {"customer": life.customer, "line_items": [{"price": once}]}
    quotes = [life.api.quotes.create(form).id for _ in range(2)]
    life.api.quotes.finalize_quote(quotes[0])
    invoice = life.api.invoices.retrieve(str(life.api.quotes.accept(quotes[0]).invoice))
    assert (invoice.status, invoice.total, invoice.billing_reason) == ("draft", 900, "quote_accept")
    life.advance(31)
    assert life.api.quotes.retrieve(quotes[1]).status == "canceled"


def test_a_payment_link_opens_a_session_for_an_unknown_customer(life: Life) -> None:
    form: Any = {"line_items": [{"price": life.small, "quantity": 1}], "metadata": {"a": "b"}}
    link = life.api.payment_links.create(form)
    opened = requests.get(f"{life.address}/b/{link.id}?client_reference_id=acme", allow_redirects=False, timeout=600)
    session = life.server.store.all("checkout.session")[0]
    assert opened.headers["Location"].endswith(session["id"])
    known = ("payment_link", "mode", "customer", "client_reference_id", "metadata")
    assert [session[name] for name in known] == [link.id, "subscription", None, "acme", {"a": "b"}]
    life.api.payment_links.update(link.id, {"active": False})
    closed = requests.get(f"{life.address}/b/{link.id}", allow_redirects=False, timeout=600)
    assert closed.status_code == 400
