from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.adapters.table import items, keys
from billing.domain.entities import Entity, Invoice, OpenCheckout, Payment, Plan, Subscription, Tenant
from billing.domain.records import OPEN, Record, RecordStatus
from billing.domain.statuses import CheckoutPayment, InvoiceStatus, PaymentStatus, TenantStatus

text = st.text(min_size=1, max_size=20)
maybe = st.none() | text
count = st.integers(0, 10**12)
checkout = st.none() | st.builds(OpenCheckout, attempt=count, plan_id=text, trial_days=count, session_id=text)
entities: list[st.SearchStrategy[Entity]] = [
    st.builds(Tenant, tenant_id=text, status=st.sampled_from(TenantStatus), checkout=checkout, revision=count),
    st.builds(Plan, plan_id=text, stripe_price_id=text, name=text, amount=count, currency=text, interval=text),
    st.builds(
        Subscription,
        tenant_id=text,
        stripe_subscription_id=text,
        stripe_customer_id=text,
        status=text,
        started_at=text,
        quantity=st.none() | count,
        checkout_payment=st.none() | st.sampled_from(CheckoutPayment),
        cancel_at_period_end=st.booleans(),
        plan_id=maybe,
    ),
    st.builds(
        Invoice, tenant_id=text, invoice_id=text, status=st.sampled_from(InvoiceStatus), currency=text, amount_due=count
    ),
    st.builds(
        Payment,
        tenant_id=text,
        stripe_payment_intent_id=text,
        status=st.sampled_from(PaymentStatus),
        amount=count,
        currency=text,
        failure_message=maybe,
    ),
]


@given(st.one_of(*entities))
def test_an_entity_comes_back_as_it_went(entity: Entity) -> None:
    stored = items.load(items.dump(items.attributes(entity)))
    again = items.entity(type(entity), stored)
    assert again == entity
    assert [type(getattr(again, f.name)) for f in fields(again)] == [
        type(getattr(entity, f.name)) for f in fields(entity)
    ]


def test_attributes_have_the_contracts_names() -> None:
    payment = Payment(
        tenant_id="t", stripe_payment_intent_id="p", status=PaymentStatus.FAILED, amount=1, currency="usd"
    )
    assert {"tenantId", "stripePaymentIntentId", "status", "amount", "currency"} <= set(items.attributes(payment))


def test_keys_do_not_overlap() -> None:
    every = [
        keys.tenant("a"),
        keys.subscription("a", "a"),
        keys.invoice("a", "a"),
        keys.payment("a", "a"),
        keys.plan("a"),
        keys.event("a"),
        keys.stripe_pointer("a"),
        keys.own_invoice_pointer("a"),
    ]
    assert len(set(every)) == len(every)


def test_a_foreign_entity_has_no_key() -> None:
    with pytest.raises(TypeError):
        keys.of(Entity().identity)  # type: ignore[abstract]


def test_which_records_are_open() -> None:
    assert {RecordStatus.RECEIVED, RecordStatus.FAILED, RecordStatus.IGNORED} == OPEN
    record = Record(
        event_id="e",
        event_type="t",
        status=RecordStatus.STALE,
        livemode=False,
        stripe_created_at="2026-01-01T00:00:00Z",
    )
    assert record.done
