"""Checks which changes are announced, with which type, and that the announcements match the documented schema."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from billing.adapters.table import items, keys
from billing.announce import publisher as publish
from billing.domain import announcements
from billing.domain.entities import Entity, Invoice, OpenCheckout, Payment, Plan, Subscription, Tenant
from billing.domain.statuses import CheckoutPayment, InvoiceStatus, PaymentStatus, TenantStatus
from local.template import ROOT

SCHEMA = json.loads((ROOT / "docs/schemas/announcement.v1.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)
NOW = "2026-11-23T12:00:00Z"

BOOK: dict[str, Any] = {"tenant_id": "acme", "revision": 3, "updated_at": NOW, "created_at": NOW}
TENANT = Tenant(**BOOK)
SUBSCRIPTION = Subscription(
    **BOOK,
    stripe_subscription_id="sub_1",
    stripe_customer_id="cus_1",
    status="active",
    started_at=NOW,
    plan_id="plan-pro",
    stripe_price_id="price_1",
    quantity=1,
)
INVOICE = Invoice(
    **BOOK, invoice_id="in_1", status=InvoiceStatus.PENDING, currency="usd", amount_due=4900, amount_remaining=4900
)
PAYMENT = Payment(**BOOK, stripe_payment_intent_id="pi_1", status=PaymentStatus.PROCESSING, amount=4900, currency="usd")


def announced_types(before: Entity | None, after: Entity) -> list[str]:
    return [one.type for one in announcements.of(before, after)]


@pytest.mark.parametrize(
    ("before", "changes", "expected"),
    [
        (TENANT, {"status": TenantStatus.ACTIVE}, ["tenant.activated"]),
        (TENANT, {"status": TenantStatus.SUSPENDED}, ["tenant.suspended"]),
        (TENANT, {"status": TenantStatus.CANCELED}, ["tenant.canceled"]),
        (TENANT, {"stripe_customer_id": "cus_2"}, []),
        (TENANT, {"checkout": OpenCheckout(attempt=1)}, []),
        (SUBSCRIPTION, {"plan_id": "plan-big", "stripe_price_id": "price_2"}, ["subscription.plan_changed"]),
        (SUBSCRIPTION, {"quantity": 2}, ["subscription.plan_changed"]),
        (SUBSCRIPTION, {"cancel_at": NOW}, ["subscription.cancel_scheduled"]),
        (SUBSCRIPTION, {"cancel_at_period_end": True}, ["subscription.cancel_scheduled"]),
        (replace(SUBSCRIPTION, cancel_at=NOW), {"cancel_at": None}, []),
        (replace(SUBSCRIPTION, cancel_at=NOW), {"cancel_at": NOW, "quantity": 1}, []),
        (SUBSCRIPTION, {"status": "canceled"}, ["subscription.canceled"]),
        (SUBSCRIPTION, {"status": "canceled", "cancel_at": NOW}, ["subscription.canceled"]),
        (replace(SUBSCRIPTION, status="incomplete"), {"status": "incomplete_expired"}, ["subscription.canceled"]),
        (SUBSCRIPTION, {"status": "past_due"}, []),
        (SUBSCRIPTION, {"duplicate": True}, ["subscription.duplicate_detected"]),
        (replace(SUBSCRIPTION, duplicate=True), {"duplicate": False}, []),
        (SUBSCRIPTION, {"trial_notice": NOW, "trial_end": NOW}, ["subscription.trial_ending"]),
        (SUBSCRIPTION, {"checkout_payment": CheckoutPayment.SETTLED}, []),
        (INVOICE, {"status": InvoiceStatus.PAID, "amount_paid": 4900, "attempt_count": 1}, ["invoice.paid"]),
        (
            INVOICE,
            {"status": InvoiceStatus.OVERDUE, "attempt_count": 1},
            ["invoice.overdue", "invoice.payment_attempt_failed"],
        ),
        (
            replace(INVOICE, status=InvoiceStatus.OVERDUE, attempt_count=1),
            {"attempt_count": 2},
            ["invoice.payment_attempt_failed"],
        ),
        (INVOICE, {"status": InvoiceStatus.VOID}, ["invoice.voided"]),
        (INVOICE, {"status": InvoiceStatus.UNCOLLECTIBLE}, []),
        (PAYMENT, {"status": PaymentStatus.SUCCEEDED}, ["payment.succeeded"]),
        (PAYMENT, {"status": PaymentStatus.FAILED, "failure_code": "generic_decline"}, ["payment.failed"]),
        (replace(PAYMENT, status=PaymentStatus.SUCCEEDED), {"amount_refunded": 100}, ["payment.refunded"]),
        (
            replace(PAYMENT, status=PaymentStatus.SUCCEEDED, amount_refunded=100),
            {"amount_refunded": 4900},
            ["payment.refunded"],
        ),
        (replace(PAYMENT, status=PaymentStatus.SUCCEEDED, amount_refunded=100), {"amount_refunded": 0}, []),
        (replace(PAYMENT, status=PaymentStatus.SUCCEEDED), {"disputed": True}, ["payment.disputed"]),
        (replace(PAYMENT, status=PaymentStatus.SUCCEEDED), {"invoice_id": "in_1"}, []),
    ],
)
def test_what_a_change_announces(before: Any, changes: dict[str, Any], expected: list[str]) -> None:
    assert announced_types(before, replace(before, **changes)) == expected
    assert announced_types(before, before) == []


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (TENANT, []),
        (replace(TENANT, status=TenantStatus.ACTIVE), ["tenant.activated"]),
        (SUBSCRIPTION, ["subscription.created"]),
        (replace(SUBSCRIPTION, duplicate=True), ["subscription.created", "subscription.duplicate_detected"]),
        (replace(SUBSCRIPTION, status="canceled"), ["subscription.created", "subscription.canceled"]),
        (replace(INVOICE, status=InvoiceStatus.PAID, attempt_count=1), ["invoice.paid"]),
        (replace(PAYMENT, status=PaymentStatus.SUCCEEDED), ["payment.succeeded"]),
        (Plan(plan_id="p", stripe_price_id="price_1", name="P", amount=1, currency="usd", interval="month"), []),
    ],
)
def test_what_a_new_entity_announces(after: Entity, expected: list[str]) -> None:
    assert announced_types(None, after) == expected


def image(entity: Entity | None) -> items.Item:
    return items.load(items.dump(items.attributes(entity) | keys.of(entity.identity)._asdict())) if entity else {}


states = st.one_of(
    st.builds(replace, st.just(TENANT), status=st.sampled_from(TenantStatus)),
    st.builds(
        replace,
        st.just(SUBSCRIPTION),
        status=st.sampled_from(["active", "canceled", "past_due", "trialing"]),
        plan_id=st.sampled_from([None, "plan-pro", "plan-big"]),
        cancel_at=st.sampled_from([None, NOW]),
        cancel_at_period_end=st.booleans(),
        duplicate=st.booleans(),
        trial_notice=st.sampled_from([None, NOW]),
    ),
    st.builds(
        replace,
        st.just(INVOICE),
        status=st.sampled_from(InvoiceStatus),
        attempt_count=st.integers(0, 4),
        next_attempt=st.sampled_from([None, NOW]),
    ),
    st.builds(
        replace,
        st.just(PAYMENT),
        status=st.sampled_from(PaymentStatus),
        amount_refunded=st.integers(0, 4900),
        disputed=st.booleans(),
        invoice_id=st.sampled_from([None, "in_1"]),
        failure_code=st.sampled_from([None, "generic_decline"]),
    ),
)


@given(before=st.none() | states, after=states, event=st.sampled_from(["", "evt_1"]))
def test_every_announcement_is_as_documented(before: Any, after: Any, event: str) -> None:
    if before is not None and type(before) is not type(after):
        before = None
    new = image(after) | ({"eventId": event} if event else {})
    made = publish.announcements_of(image(before), new)
    details = [publish.detail(one, new) for one in made]
    for detail in details:
        VALIDATOR.validate(detail)
    assert len({detail["id"] for detail in details}) == len(details)
    assert details == [publish.detail(one, new) for one in publish.announcements_of(image(before), new)]


def test_the_schema_names_every_type_and_no_other() -> None:
    assert [one["title"] for one in SCHEMA["oneOf"]] == list(announcements.TYPES)
    Draft202012Validator.check_schema(SCHEMA)


def test_each_revision_has_ids_of_its_own() -> None:
    paid = replace(INVOICE, status=InvoiceStatus.PAID)
    ids = {announcements.of(INVOICE, replace(paid, revision=n))[0].id for n in range(1, 50)}
    assert len(ids) == 49
    assert announcements.of(INVOICE, paid)[0].id == announcements.of(INVOICE, paid)[0].id


def test_an_item_of_no_tenant_announces_nothing() -> None:
    assert publish.announcements_of({}, {"PK": "EVENT#evt_1", "SK": "EVENT", "status": "PROCESSED"}) == []
    assert publish.announcements_of({}, {"PK": "HISTORY#acme", "SK": "INVOICE#in_1"}) == []
