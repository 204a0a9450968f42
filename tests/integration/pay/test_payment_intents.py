from dataclasses import replace

import pytest

from billing.adapters.table.store import Table
from billing.domain.entities import Invoice
from billing.domain.statuses import InvoiceStatus
from billing.domain.writes import Pointer, StripeId
from local.stripe.engine import collecting, invoices, payments, periods
from tests.integration.support import OUTAGE, killed_after_a_failure, refused
from tests.world import CUSTOMER, TENANT, Answer, World

INVOICE = "inv-001"


def bring_in(world: World, tenant: str = TENANT, invoice_id: str = INVOICE, amount: int = 25000) -> None:
    body = {"invoiceId": invoice_id, "amount": amount, "currency": "usd", "description": "Set-up"}
    assert world.api("POST", f"/tenants/{tenant}/invoices", tenant=None, admin=True, json=body).status == 201


def pay(world: World, invoice_id: str = INVOICE, tenant: str | None = TENANT, *, admin: bool = False) -> Answer:
    return world.api("POST", f"/invoices/{invoice_id}/payment-intent", tenant=tenant, admin=admin)


def set_status(world: World, **changes: object) -> None:
    invoice = world.invoice(INVOICE)
    assert invoice
    world.table.write([replace(invoice, **changes)])  # type: ignore[arg-type]


def test_the_own_invoice_gets_one_payment_intent(world: World) -> None:
    world.customer()
    bring_in(world)
    answer = pay(world)
    assert answer.status == 200
    assert set(answer.body) == {"clientSecret"}
    [intent] = world.stripe.store.all("payment_intent")
    assert answer.body["clientSecret"] == intent["client_secret"]
    assert (intent["amount"], intent["currency"], intent["customer"]) == (25000, "usd", CUSTOMER)
    assert intent["metadata"] == {"tenantId": TENANT, "invoiceId": INVOICE}
    invoice = world.invoice(INVOICE)
    assert invoice
    assert invoice.stripe_payment_intent_id == intent["id"]
    assert pay(world).body == answer.body
    assert len(world.stripe.store.all("payment_intent")) == 1


def test_a_tenant_without_a_stripe_customer_can_pay(world: World) -> None:
    bring_in(world)
    assert pay(world).status == 200


def test_the_invoice_of_another_tenant_does_not_exist(world: World) -> None:
    bring_in(world, "other")
    foreign = pay(world)
    unknown = pay(world, "inv-none")
    refused(foreign, 404, "invoice-not-found")
    refused(unknown, 404, "invoice-not-found")
    assert foreign.body["detail"] == unknown.body["detail"]
    assert world.stripe.calls == []


def test_a_token_without_a_tenant(world: World) -> None:
    bring_in(world)
    refused(pay(world, tenant=None), 403, "forbidden")


def test_an_admin_pays_for_any_tenant(world: World) -> None:
    bring_in(world, "other")
    assert pay(world, tenant=None, admin=True).status == 200
    refused(pay(world, "inv-none", tenant=None, admin=True), 404, "invoice-not-found")


@pytest.mark.parametrize("status", list(InvoiceStatus))
def test_what_can_be_paid(world: World, status: InvoiceStatus) -> None:
    bring_in(world)
    set_status(world, status=status)
    if status in (
        InvoiceStatus.PENDING,
        InvoiceStatus.PARTIALLY_PAID,
        InvoiceStatus.OVERDUE,
        InvoiceStatus.UNCOLLECTIBLE,
    ):
        assert pay(world).status == 200
    else:
        answer = pay(world)
        refused(answer, 409, "invoice-not-payable")
        assert status in answer.body["detail"]


def test_after_a_declined_card_the_same_payment_intent_is_used(world: World) -> None:
    bring_in(world)
    first = pay(world).body
    [intent] = world.stripe.store.all("payment_intent")
    payments.fail_intent(world.stripe.store, intent)
    assert pay(world).body == first


def test_a_canceled_payment_intent_is_replaced(world: World) -> None:
    bring_in(world)
    first = pay(world).body
    payments.cancel_intent(world.stripe.store, world.stripe.store.all("payment_intent")[0])
    assert pay(world).body != first
    assert len(world.stripe.store.all("payment_intent")) == 2


def test_an_invoice_that_is_paid_at_stripe_before_its_event_arrives(world: World) -> None:
    bring_in(world)
    pay(world)
    collecting.confirm_intent(world.stripe.store, world.stripe.store.all("payment_intent")[0], "pm_card_visa")
    refused(pay(world), 409, "invoice-not-payable")
    assert len(world.stripe.store.all("payment_intent")) == 1
    world.deliver_new()
    invoice = world.invoice(INVOICE)
    assert invoice
    assert (invoice.status, invoice.amount_paid, invoice.amount_remaining) == (InvoiceStatus.PAID, 25000, 0)
    refused(pay(world), 409, "invoice-not-payable")


def test_the_rest_of_a_partly_paid_invoice(world: World) -> None:
    bring_in(world)
    pay(world)
    [intent] = world.stripe.store.all("payment_intent")
    intent["amount"] = 10000
    collecting.confirm_intent(world.stripe.store, intent, "pm_card_visa")
    world.deliver_new()
    invoice = world.invoice(INVOICE)
    assert invoice
    assert (invoice.status, invoice.amount_paid, invoice.amount_remaining) == (
        InvoiceStatus.PARTIALLY_PAID,
        10000,
        15000,
    )
    assert pay(world).status == 200
    assert world.stripe.store.all("payment_intent")[0]["amount"] == 15000


def test_a_crash_after_the_payment_intent_was_made_is_healed(world: World) -> None:
    bring_in(world)
    first = pay(world).body
    set_status(world, stripe_payment_intent_id=None)
    assert pay(world).body == first
    assert len(world.stripe.store.all("payment_intent")) == 1


def test_a_customer_that_is_linked_meanwhile_makes_no_second_payment_intent(world: World) -> None:
    bring_in(world)
    first = pay(world).body
    set_status(world, stripe_payment_intent_id=None)
    world.customer()
    assert pay(world).body == first
    assert len(world.stripe.store.all("payment_intent")) == 1


def test_an_invoice_of_stripe_is_paid_by_its_own_secret(world: World) -> None:
    world.plan()
    world.subscribe()
    world.deliver_new()
    [subscription] = world.stripe.store.all("subscription")
    periods.renew(world.stripe.store, subscription, "pm_card_chargeCustomerFail")
    world.deliver_new()
    invoice = world.stripe.store.all("invoice")[0]
    intents = len(world.stripe.store.all("payment_intent"))
    answer = pay(world, invoice["id"])
    assert answer.status == 200
    payment = invoices.payment_of(world.stripe.store, invoice)
    assert payment
    assert answer.body["clientSecret"].startswith(payment["payment"]["payment_intent"])
    assert len(world.stripe.store.all("payment_intent")) == intents
    collecting.pay_invoice(world.stripe.store, invoice, "pm_card_visa")
    refused(pay(world, invoice["id"]), 409, "invoice-not-payable")


def test_an_invoice_that_stripe_lost(world: World) -> None:
    invoice = Invoice(
        tenant_id=TENANT,
        invoice_id="in_gone",
        stripe_invoice_id="in_gone",
        status=InvoiceStatus.PENDING,
        currency="usd",
        amount_due=1,
    )
    world.table.write([invoice], [Pointer(StripeId("in_gone"), tenant_id=TENANT)])
    refused(pay(world, "in_gone"), 409, "invoice-not-payable")


def test_stripe_down(world: World) -> None:
    bring_in(world)
    world.stripe.fail(500, count=OUTAGE)
    refused(pay(world), 503, "stripe-unavailable")
    world.stripe.failures.clear()
    assert pay(world).status == 200
    assert len(world.stripe.store.all("payment_intent")) == 1


def test_a_failure_that_a_killed_call_left_under_its_key_is_healed_by_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring_in(world)
    world.stripe.fail(500)
    with monkeypatch.context() as patched:
        patched.setattr(Table, "write", killed_after_a_failure(world))
        with pytest.raises(SystemExit):
            pay(world)
    assert pay(world).status == 200
    assert len(world.stripe.store.all("payment_intent")) == 1


def test_card_error_is_402(world: World) -> None:
    bring_in(world)
    world.stripe.fail(402)
    refused(pay(world), 402, "card-declined")


# -- a part that was paid otherwise


def pay_otherwise(world: World, amount: int) -> None:
    """A PaymentIntent that somebody made at Stripe for the same invoice."""
    metadata = {"tenantId": TENANT, "invoiceId": INVOICE}
    intent = payments.create_intent(world.stripe.store, amount, "usd", customer=CUSTOMER, metadata=metadata)
    payments.charge(world.stripe.store, intent)
    world.deliver_new()


def test_the_secret_is_over_what_remains(world: World) -> None:
    world.customer()
    bring_in(world)
    secret = pay(world).body["clientSecret"]
    pay_otherwise(world, 10000)
    assert pay(world).body["clientSecret"] == secret
    intent = world.stripe.store.all("payment_intent")[-1]
    assert (intent["client_secret"], intent["amount"]) == (secret, 15000)
    collecting.confirm_intent(world.stripe.store, intent, "pm_card_visa")
    world.deliver_new()
    invoice = world.invoice(INVOICE)
    assert invoice
    assert (invoice.status, invoice.amount_paid, invoice.amount_overpaid) == (InvoiceStatus.PAID, 25000, 0)


def test_an_intent_whose_amount_cannot_change_is_replaced(world: World) -> None:
    world.customer()
    bring_in(world)
    first = pay(world).body["clientSecret"]
    pay_otherwise(world, 10000)
    world.stripe.fail(400, 1, 0, "POST /v1/payment_intents/")
    assert pay(world).body["clientSecret"] != first
    live = [i for i in world.stripe.store.all("payment_intent") if i["status"] == "requires_payment_method"]
    assert [i["amount"] for i in live] == [15000]


def test_what_is_paid_beyond_the_amount_due_is_recorded(world: World) -> None:
    """The buyer had the payment page open when a part was paid otherwise."""
    world.customer()
    bring_in(world)
    pay(world)
    intent = world.stripe.store.all("payment_intent")[0]
    pay_otherwise(world, 10000)
    collecting.confirm_intent(world.stripe.store, intent, "pm_card_visa")
    world.deliver_new()
    invoice = world.invoice(INVOICE)
    assert invoice
    assert (invoice.status, invoice.amount_paid, invoice.amount_overpaid) == (InvoiceStatus.PAID, 35000, 10000)
