"""Checks with Stripe's own SDK what happens at the stand-in as time passes.

Every event must also match Stripe's OpenAPI document.
"""

from collections import Counter
from typing import Any

import pytest
import requests
import stripe

from local.stripe.account import Account
from local.stripe.engine.store import Object
from tests import openapi

type Served = tuple[Account, str]

DAY = 24 * 3600


class Life:
    """One customer and its subscription at the stand-in. The test can move the clock of the stand-in."""

    def __init__(self, server: Account, address: str) -> None:
        self.server = server
        self.address = address
        self.api = stripe.StripeClient(server.api_key, base_addresses={"api": address}).v1
        product = self.api.products.create({"name": "Pro"})
        self.small = self.price(product.id, 3000, "month")
        self.big = self.price(product.id, 6000, "month")
        self.yearly = self.price(product.id, 50000, "year")
        self.customer = self.customer_with("pm_card_visa")

    def price(self, product: str, amount: int, interval: str) -> str:
        form: Any = {"product": product, "currency": "usd", "unit_amount": amount, "recurring": {"interval": interval}}
        return self.api.prices.create(form).id

    def customer_with(self, card: str) -> str:
        settings: Any = {"default_payment_method": card}
        return self.api.customers.create({"name": "Acme", "invoice_settings": settings}).id

    def subscribe(self, **more: Any) -> str:
        form: Any = {"customer": self.customer, "items": [{"price": self.small}], **more}
        return self.api.subscriptions.create(form).id

    def subscription(self, subscription_id: str) -> Object:
        return self.api.subscriptions.retrieve(subscription_id).to_dict()

    def advance(self, days: float) -> None:
        requests.post(f"{self.address}/_control/clock", {"days": str(days)}, timeout=600).raise_for_status()

    def invoices(self) -> list[Object]:
        """Returns the invoices, oldest first."""
        return [invoice.to_dict() for invoice in self.api.invoices.list({"limit": 100}).data][::-1]

    def events(self) -> list[str]:
        """Returns the types of the events, oldest first."""
        return [event["type"] for event in self.server.store.all("event")][::-1]


@pytest.fixture
def life(stripe_server: Served) -> Any:
    server, address = stripe_server
    yield Life(server, address)
    wrong = {finding for event in server.store.all("event") for finding in openapi.of_event(event)}
    assert not wrong, wrong


def test_a_subscription_is_renewed_each_month(life: Life) -> None:
    made = life.subscribe()
    assert life.subscription(made)["status"] == "active"
    life.advance(100)
    assert [(i["status"], i["amount_paid"]) for i in life.invoices()] == [("paid", 3000)] * 4
    item = life.subscription(made)["items"]["data"][0]
    assert item["current_period_start"] <= life.server.store.now() < item["current_period_end"]
    reasons = Counter(i["billing_reason"] for i in life.invoices())
    assert reasons == {"subscription_create": 1, "subscription_cycle": 3}


def test_a_renewal_is_a_draft_for_an_hour(life: Life) -> None:
    life.subscribe()
    end = life.server.store.all("subscription")[0]["items"]["data"][0]["current_period_end"]
    life.advance((end - life.server.store.now()) / DAY + 0.01)
    assert life.invoices()[-1]["status"] == "draft"
    life.advance(0.05)
    assert life.invoices()[-1]["status"] == "paid"


@pytest.mark.parametrize("ends", ["canceled", "unpaid", "past_due"])
def test_dunning(life: Life, ends: str) -> None:
    made = life.subscribe()
    requests.post(f"{life.address}/_control/dunning", {"ends": ends}, timeout=600).raise_for_status()
    bad: Any = {"default_payment_method": "pm_card_chargeCustomerFail"}
    life.api.customers.update(life.customer, {"invoice_settings": bad})
    life.advance(32)
    assert life.subscription(made)["status"] == "past_due"
    failed = life.invoices()[-1]
    assert (failed["status"], failed["attempt_count"], failed["amount_remaining"]) == ("open", 1, 3000)
    assert failed["next_payment_attempt"] > life.server.store.now()
    life.advance(16)
    failed = life.invoices()[1]
    assert (failed["attempt_count"], failed["next_payment_attempt"]) == (4, None)
    assert life.subscription(made)["status"] == ends
    assert life.events().count("invoice.payment_failed") == 4


def test_a_new_card_recovers_what_failed(life: Life) -> None:
    made = life.subscribe()
    for card in ("pm_card_chargeCustomerFail", "pm_card_visa"):
        settings: Any = {"default_payment_method": card}
        life.api.customers.update(life.customer, {"invoice_settings": settings})
        life.advance(32 if card != "pm_card_visa" else 4)
    assert life.subscription(made)["status"] == "active"
    assert [i["status"] for i in life.invoices()] == ["paid", "paid"]


def test_a_first_charge_that_fails_leaves_it_incomplete_for_a_day(life: Life) -> None:
    life.customer = life.customer_with("pm_card_chargeCustomerFail")
    made = life.subscribe()
    assert life.subscription(made)["status"] == "incomplete"
    life.advance(1)
    assert life.subscription(made)["status"] == "incomplete_expired"
    assert [i["status"] for i in life.invoices()] == ["void"]


def test_a_customer_without_a_card_cannot_subscribe(life: Life) -> None:
    life.customer = life.api.customers.create({"name": "No card"}).id
    with pytest.raises(stripe.InvalidRequestError, match="no attached payment source"):
        life.subscribe()
    assert not life.server.store.all("subscription")


def test_a_trial(life: Life) -> None:
    made = life.subscribe(trial_period_days=14)
    assert (life.subscription(made)["status"], life.invoices()[0]["amount_due"]) == ("trialing", 0)
    life.advance(12)
    assert "customer.subscription.trial_will_end" in life.events()
    life.advance(3)
    assert life.subscription(made)["status"] == "active"
    assert [i["amount_paid"] for i in life.invoices()] == [0, 3000]


@pytest.mark.parametrize(("behavior", "status"), [("pause", "paused"), ("cancel", "canceled")])
def test_a_trial_that_ends_without_a_card(life: Life, behavior: str, status: str) -> None:
    life.customer = life.api.customers.create({"name": "No card"}).id
    settings = {"end_behavior": {"missing_payment_method": behavior}}
    made = life.subscribe(trial_period_days=7, trial_settings=settings)
    life.advance(8)
    assert life.subscription(made)["status"] == status


def test_a_change_of_plan_is_prorated_on_the_next_invoice(life: Life) -> None:
    made = life.subscribe()
    item = life.subscription(made)["items"]["data"][0]
    length = item["current_period_end"] - item["current_period_start"]
    life.advance(length / 2 / DAY)
    change: Any = {"items": [{"id": item["id"], "price": life.big}]}
    life.api.subscriptions.update(made, change)
    life.advance(length / 2 / DAY + 0.2)
    lines = {line["description"]: line["amount"] for line in life.invoices()[-1]["lines"]["data"]}
    assert lines == {
        "Unused time": pytest.approx(-1500, abs=2),
        "Remaining time": pytest.approx(3000, abs=2),
        "Subscription": 6000,
    }


def test_another_interval_begins_a_period_at_once(life: Life) -> None:
    made = life.subscribe()
    item = life.subscription(made)["items"]["data"][0]
    change: Any = {"items": [{"id": item["id"], "price": life.yearly}]}
    life.api.subscriptions.update(made, change)
    first, second = life.invoices()
    assert (second["total"], second["status"]) == (pytest.approx(47000, abs=2), "paid")
    assert first["total"] == 3000


def test_a_credit_pays_before_the_card(life: Life) -> None:
    """The credit for the rest of the expensive period is more than the price of the cheap one."""
    life.small, life.big = life.big, life.small
    made = life.subscribe()
    item = life.subscription(made)["items"]["data"][0]
    change: Any = {"items": [{"id": item["id"], "price": life.yearly}]}
    life.api.subscriptions.update(made, change)
    back: Any = {"items": [{"id": item["id"], "price": life.big}]}
    life.api.subscriptions.update(made, back)
    last = life.invoices()[-1]
    assert (last["total"] < 0, last["amount_due"], last["status"]) == (True, 0, "paid")
    assert life.api.customers.retrieve(life.customer).to_dict()["balance"] == last["total"]


def test_canceling_at_the_end_of_the_period(life: Life) -> None:
    made = life.subscribe()
    life.api.subscriptions.update(made, {"cancel_at_period_end": True})
    subscription = life.subscription(made)
    assert subscription["cancel_at"] == subscription["items"]["data"][0]["current_period_end"]
    life.advance(32)
    assert life.subscription(made)["status"] == "canceled"
    assert len(life.invoices()) == 1


def test_a_debit_is_settled_days_later(life: Life) -> None:
    form: Any = {
        "mode": "subscription",
        "customer": life.customer,
        "line_items": [{"price": life.small, "quantity": 2}],
        "success_url": "https://x.example.com",
    }
    session = life.api.checkout.sessions.create(form).id
    url = f"{life.address}/_control/checkout_sessions/{session}/complete"
    requests.post(url, {"outcome": "processing"}, timeout=600).raise_for_status()
    assert life.api.checkout.sessions.retrieve(session).payment_status == "unpaid"
    assert life.invoices()[0]["status"] == "open"
    life.advance(5)
    assert life.api.checkout.sessions.retrieve(session).payment_status == "paid"
    assert (life.invoices()[0]["status"], life.invoices()[0]["amount_paid"]) == ("paid", 6000)
    assert "checkout.session.async_payment_succeeded" in life.events()


def test_a_session_expires_after_a_day(life: Life) -> None:
    sold = [{"price": life.small, "quantity": 1}]
    form: Any = {"mode": "subscription", "line_items": sold, "success_url": "https://x.example.com"}
    session = life.api.checkout.sessions.create(form).id
    life.advance(1.01)
    assert life.api.checkout.sessions.retrieve(session).status == "expired"


def test_a_one_off_invoice_paid_by_an_attached_payment(life: Life) -> None:
    item = life.api.invoice_items.create({"customer": life.customer, "amount": 700, "currency": "usd"})
    assert [one.id for one in life.api.invoice_items.list({"pending": True}).data] == [item.id]
    invoice = life.api.invoices.create({"customer": life.customer}).id
    life.api.invoices.finalize_invoice(invoice)
    intent = life.api.payment_intents.create({"amount": 700, "currency": "usd", "customer": life.customer}).id
    life.api.invoices.attach_payment(invoice, {"payment_intent": intent})
    life.api.payment_intents.confirm(intent, {"payment_method": "pm_card_visa"})
    assert life.api.invoices.retrieve(invoice).status == "paid"
    asked: Any = {"payment": {"type": "payment_intent", "payment_intent": intent}}
    [tie] = life.api.invoice_payments.list(asked).data
    assert (tie.invoice, tie.status, tie.amount_paid) == (invoice, "paid", 700)


def test_a_refund_and_a_dispute(life: Life) -> None:
    life.subscribe()
    charge = life.server.store.all("charge")[0]
    life.api.refunds.create({"charge": charge["id"], "amount": 1000})
    life.api.refunds.create({"payment_intent": charge["payment_intent"]})
    assert life.api.charges.retrieve(charge["id"]).to_dict()["amount_refunded"] == 3000
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded"):
        life.api.refunds.create({"charge": charge["id"]})
    requests.post(f"{life.address}/_control/charges/{charge['id']}/dispute", timeout=600).raise_for_status()
    assert Counter(life.events())["charge.refunded"] == 2
    assert "charge.dispute.created" in life.events()


def test_a_deleted_customer_ends_its_subscriptions(life: Life) -> None:
    made = life.subscribe()
    assert life.api.customers.delete(life.customer).to_dict() == {
        "id": life.customer,
        "object": "customer",
        "deleted": True,
    }
    assert life.subscription(made)["status"] == "canceled"
    life.advance(40)
    assert len(life.invoices()) == 1


def test_the_events_api(life: Life) -> None:
    life.subscribe()
    first = life.api.events.list({"type": "invoice.paid"}).data[0]
    life.advance(31)
    with pytest.raises(stripe.InvalidRequestError, match="No such event"):
        life.api.events.retrieve(first.id)  # Stripe keeps events for 30 days
    life.subscribe()
    paid = life.api.events.list({"type": "invoice.paid"}).data
    assert {event.type for event in paid} == {"invoice.paid"}
    assert len(paid) == 2
    assert [e.id for e in life.api.events.list({"type": "invoice.paid", "limit": 1}).auto_paging_iter()] == [
        event.id for event in paid
    ]
    created: Any = {"gt": paid[1].created}
    assert paid[1].id not in {e.id for e in life.api.events.list({"created": created, "limit": 100}).data}
    updates = life.server.store.all("event", type="customer.subscription.updated")
    updated = next(e for e in updates if "items" in e["data"]["previous_attributes"])
    assert updated["request"] == {"id": None, "idempotency_key": None}
    created = life.server.store.all("event", type="customer.subscription.created")[0]
    assert created["request"]["id"].startswith("req_")


def test_a_debit_that_fails_days_later_is_dunned(life: Life) -> None:
    made = life.subscribe()
    settings: Any = {"default_payment_method": "pm_sepaDebit_failure"}
    life.api.customers.update(life.customer, {"invoice_settings": settings})
    saved = life.api.customers.retrieve(life.customer).to_dict()["invoice_settings"]["default_payment_method"]
    assert saved.startswith("pm_")
    assert saved != "pm_sepaDebit_failure", "the customer has its own payment method"
    life.advance(32)
    assert life.subscription(made)["status"] == "active"
    life.advance(4)
    assert life.subscription(made)["status"] == "past_due"
    assert life.invoices()[-1]["attempt_count"] == 1


def test_a_price_that_is_paid_once_makes_no_subscription(life: Life) -> None:
    form: Any = {"product_data": {"name": "Once"}, "currency": "usd", "unit_amount": 100}
    life.small = life.api.prices.create(form).id
    with pytest.raises(stripe.InvalidRequestError, match="only accepts recurring"):
        life.subscribe()
    assert not life.server.store.all("subscription")
