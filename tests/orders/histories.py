"""The histories: what happens at Stripe, one happening after the other."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from local.stripe.engine import checkout, schedules, subscriptions
from local.stripe.engine.cards import BANK
from local.stripe.engine.store import Object
from tests.orders.life import CUSTOMER, TENANT, History, Life
from tests.torture.money import Own

DECLINED: Final = "pm_card_chargeDeclined"
CONFIRM: Final = "pm_card_threeDSecure2Required"
VISA: Final = "pm_card_visa"


def checkout_by_card(it: Life) -> Iterator[str]:
    session = it.checkout()
    it.buyer_comes_back_from(session)
    yield "a checkout is open"
    it.post(f"/_control/checkout_sessions/{session['id']}/complete")
    yield "the buyer pays by card"


def _debit(outcome: str, told: str) -> History:
    """`outcome`: paid or failed."""

    def happens(it: Life) -> Iterator[str]:
        session = it.checkout()
        it.buyer_comes_back_from(session)
        yield "a checkout is open"
        it.post(f"/_control/checkout_sessions/{session['id']}/complete", payment_method=BANK)
        yield "the buyer pays by debit"
        it.post(f"/_control/checkout_sessions/{session['id']}/settle", outcome=outcome)
        yield told

    return happens


def upgrade_and_downgrade(it: Life) -> Iterator[str]:
    subscription = it.subscribed()
    item, path = subscription["items"]["data"][0]["id"], f"/v1/subscriptions/{subscription['id']}"
    yield "subscribed"
    it.post(path, items__0__id=item, items__0__price="price_big")
    yield "upgrade"
    it.post(path, items__0__id=item, items__0__price="price_small")
    yield "downgrade"


def upgrade_with_an_invoice(it: Life) -> Iterator[str]:
    subscription = it.subscribed()
    item, path = subscription["items"]["data"][0]["id"], f"/v1/subscriptions/{subscription['id']}"
    yield "subscribed"
    it.post(path, items__0__id=item, items__0__quantity=2, proration_behavior="always_invoice")
    yield "more seats, paid at once"
    it.post(path, items__0__id=item, items__0__quantity=1, proration_behavior="none")
    yield "fewer seats"


def cancel_and_take_back(it: Life) -> Iterator[str]:
    subscription = it.subscribed()
    path = f"/v1/subscriptions/{subscription['id']}"
    yield "subscribed"
    it.post(path, cancel_at_period_end="true")
    yield "it will end"
    it.post(path, cancel_at_period_end="false")
    yield "it goes on"


def first_payment_confirmed_late(it: Life) -> Iterator[str]:
    session = it.checkout()
    yield "a checkout is open"
    with suppress(checkout.NeedsAction):
        checkout.complete_checkout(it.store, session, CONFIRM)
    yield "the bank wants a confirmation"
    checkout.refuse_checkout(it.store, session)
    yield "the buyer does not confirm"
    it.post(f"/_control/checkout_sessions/{session['id']}/complete")
    yield "another card pays"


def renewal_failed_then_paid(it: Life) -> Iterator[str]:
    subscription = it.subscribed()
    yield "subscribed"
    it.post(f"/_control/subscriptions/{subscription['id']}/renew", payment_method=DECLINED)
    yield "the renewal is declined"
    it.post(f"/v1/invoices/{it.one('invoice')['id']}/pay", payment_method=VISA)
    yield "another card pays"


def renewal_to_be_confirmed(it: Life) -> Iterator[str]:
    subscription = it.subscribed()
    yield "subscribed"
    it.post(f"/_control/subscriptions/{subscription['id']}/renew", payment_method=CONFIRM)
    yield "the renewal must be confirmed"
    it.post(f"/_control/payment_intents/{it.one('payment_intent')['id']}/answer")
    yield "the customer confirms"


def void_after_failure(it: Life) -> Iterator[str]:
    subscription = it.subscribed()
    yield "subscribed"
    it.post(f"/_control/subscriptions/{subscription['id']}/renew", payment_method=DECLINED)
    yield "the renewal is declined"
    it.post(f"/v1/invoices/{it.one('invoice')['id']}/void")
    yield "the invoice is voided"


def refund_and_dispute(it: Life) -> Iterator[str]:
    it.subscribed()
    charge = it.one("charge")["id"]
    yield "subscribed"
    it.post("/v1/refunds", charge=charge, amount=1000)
    yield "a part is refunded"
    it.post(f"/_control/charges/{charge}/dispute")
    yield "the rest is disputed"
    it.post(f"/_control/disputes/{it.one('dispute')['id']}/close", outcome="won")
    yield "the dispute is won"


def refund_that_fails(it: Life) -> Iterator[str]:
    it.subscribed()
    charge = it.one("charge")["id"]
    yield "subscribed"
    it.post("/v1/refunds", charge=charge, amount=1000)
    yield "a part is refunded"
    it.post(f"/_control/refunds/{it.one('refund')['id']}/fail")
    yield "the refund comes back"
    it.post("/v1/refunds", charge=charge, amount=1000)
    yield "it is refunded once more"


def inquiry_that_is_escalated(it: Life) -> Iterator[str]:
    it.subscribed()
    yield "subscribed"
    it.post(f"/_control/charges/{it.one('charge')['id']}/dispute", inquiry="true")
    yield "the bank asks"
    it.post(f"/_control/disputes/{it.one('dispute')['id']}/escalate")
    yield "the bank takes the money"
    it.post(f"/_control/disputes/{it.one('dispute')['id']}/close", outcome="lost")
    yield "the dispute is lost"


def customer_linked_late(it: Life) -> Iterator[str]:
    it.customers = None
    it.post("/v1/customers", metadata__from="the dashboard")
    customer = it.one("customer")["id"]
    yield "a customer that nobody knows"
    by_hand: Object = {"items__0__price": "price_small", "default_payment_method": VISA}
    made = it.post("/v1/subscriptions", customer=customer, **by_hand)
    yield "it subscribes"
    it.customers = {customer}
    it.post(f"/v1/subscriptions/{made['id']}", metadata__tenantId=TENANT)
    yield "somebody writes whose it is"


def two_subscriptions(it: Life) -> Iterator[str]:
    first = it.subscribed()
    by_hand: Object = {"items__0__price": "price_big", "default_payment_method": VISA, "metadata__tenantId": TENANT}
    yield "subscribed"
    it.post("/v1/subscriptions", customer=first["customer"], **by_hand)
    yield "a second subscription"
    it.delete(f"/v1/subscriptions/{first['id']}")
    yield "the first one is canceled"


def pause_and_resume(it: Life) -> Iterator[str]:
    path = f"/v1/subscriptions/{it.subscribed()['id']}"
    yield "subscribed"
    it.post(path, pause_collection__behavior="void")
    yield "the collection is paused"
    it.post(f"/_control{path.removeprefix('/v1')}/renew")
    yield "a period that nobody pays"
    it.post(path, pause_collection="")
    yield "the collection goes on"


def part_paid_then_paid(it: Life) -> Iterator[str]:
    subscription = it.subscribed()
    it.post(f"/_control/subscriptions/{subscription['id']}/renew", payment_method=DECLINED)
    path = f"/_control/invoices/{it.one('invoice')['id']}/part"
    yield "a renewal was declined"
    it.post(path, amount=1000)
    yield "a part is paid otherwise"
    it.post(path, amount=3900)
    yield "the rest is paid otherwise"


def own_invoice_paid_twice(it: Life) -> Iterator[str]:
    it.customer()
    invoice = {"invoiceId": "inv-1", "amount": 9000, "currency": "usd"}
    it.api("POST", f"/tenants/{TENANT}/invoices", 201, tenant=None, admin=True, json=invoice)
    it.api("POST", "/invoices/inv-1/payment-intent", 200, tenant=TENANT)
    it.own["inv-1"] = Own(9000)
    first = it.one("payment_intent")
    metadata = {f"metadata__{name}": value for name, value in first["metadata"].items()}
    back: Object = {"return_url": "https://app.example.com/"}
    second = it.post("/v1/payment_intents", amount=9000, currency="usd", **metadata)
    yield "two PaymentIntents of one invoice"
    it.post(f"/v1/payment_intents/{first['id']}/confirm", fails=True, payment_method=DECLINED, **back)
    yield "the first is declined"
    it.post(f"/v1/payment_intents/{second['id']}/confirm", payment_method=VISA, **back)
    yield "the second is paid"
    it.post(f"/v1/payment_intents/{first['id']}/confirm", payment_method=VISA, **back)
    yield "the first is paid, too"


def one_off_invoice(it: Life) -> Iterator[str]:
    it.customer()
    it.post("/v1/invoiceitems", customer=CUSTOMER, amount=5000, currency="usd")
    invoice = it.post("/v1/invoices", customer=CUSTOMER)["id"]
    yield "a draft"
    it.post(f"/v1/invoices/{invoice}/finalize")
    yield "it is finalized"
    it.post(f"/v1/invoices/{invoice}/pay", fails=True, payment_method=DECLINED)
    yield "a card is declined"
    it.post(f"/v1/invoices/{invoice}/pay", payment_method=VISA)
    yield "another card pays"


def customer_deleted(it: Life) -> Iterator[str]:
    subscription = it.subscribed()
    yield "subscribed"
    it.post(f"/_control/subscriptions/{subscription['id']}/renew", payment_method=DECLINED)
    yield "the renewal is declined"
    it.delete(f"/v1/customers/{subscription['customer']}")
    yield "the customer is deleted"


def trial_to_paid(it: Life) -> Iterator[str]:
    subscription = it.subscribed("price_trial")
    yield "a trial"
    subscriptions.notice_trial(it.store, subscription)
    yield "its end is near"
    it.post(f"/_control/subscriptions/{subscription['id']}/renew", payment_method=VISA)
    yield "the first period is paid"


def downgrade_by_schedule(it: Life) -> Iterator[str]:
    subscription = it.subscribed("price_big")
    yield "subscribed"
    schedules.schedule(it.store, subscription, it.store.get("price", "price_small"))
    yield "a cheaper plan from the next period on"
    it.post(f"/_control/subscriptions/{subscription['id']}/renew", payment_method=VISA)
    yield "the next period"


def _in_both_shapes(history: History) -> History:
    def begun(it: Life) -> Iterator[str]:
        it.both_shapes = True
        yield from history(it)

    return begun


# A history of many events has a large graph (14 events: half a million states). It may begin later instead.
HISTORIES: Final[dict[str, History]] = {
    "checkout by card": checkout_by_card,
    "debit that fails": _debit("failed", "the bank refuses"),
    "debit that succeeds": _debit("paid", "the bank pays"),
    "upgrade and downgrade": upgrade_and_downgrade,
    "upgrade with an invoice": upgrade_with_an_invoice,
    "cancel and take back": cancel_and_take_back,
    "renewal failed, then paid": renewal_failed_then_paid,
    "renewal to be confirmed": renewal_to_be_confirmed,
    "void after failure": void_after_failure,
    "part paid, then paid": part_paid_then_paid,
    "refund and dispute": refund_and_dispute,
    "refund that fails": refund_that_fails,
    "inquiry that is escalated": inquiry_that_is_escalated,
    "customer linked late": customer_linked_late,
    "two subscriptions": two_subscriptions,
    "pause and resume": pause_and_resume,
    "own invoice paid twice": own_invoice_paid_twice,
    "one-off invoice": one_off_invoice,
    "customer deleted": customer_deleted,
    "trial to paid": trial_to_paid,
    "downgrade by schedule": downgrade_by_schedule,
    "checkout, old and new shapes": _in_both_shapes(checkout_by_card),
    "renewal, old and new shapes": _in_both_shapes(renewal_failed_then_paid),
    "downgrade, old and new shapes": _in_both_shapes(upgrade_and_downgrade),
    "first payment confirmed late": first_payment_confirmed_late,
}
