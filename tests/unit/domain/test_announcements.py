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
from billing.domain import access, announced_v2, announcements
from billing.domain.entities import (
    ADDRESSES,
    Entity,
    Invoice,
    OpenCheckout,
    Payment,
    Plan,
    SoldItem,
    Subscription,
    Tenant,
)
from billing.domain.statuses import CheckoutPayment, InvoiceStatus, PaymentStatus, TenantStatus
from local.template import ROOT

VERSIONS: tuple[announcements.Version, ...] = ("1", "2")

SCHEMAS = {
    version: json.loads((ROOT / f"docs/schemas/announcement.v{version}.json").read_text()) for version in VERSIONS
}
VALIDATORS = {
    version: Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    for version, schema in SCHEMAS.items()
}
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


def announced_types(before: Entity | None, after: Entity, version: announcements.Version = "1") -> list[str]:
    return [one.type for one in announcements.of(before, after, version)]


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


maybe_now = st.sampled_from([None, NOW])
maybe_text = st.sampled_from([None, "one", "another"])
amounts = st.sampled_from([0, 100, 4900])
sold = st.lists(
    st.builds(SoldItem, stripe_price_id=maybe_text, quantity=st.sampled_from([None, 1, 2]), period_end=maybe_now),
    max_size=2,
).map(tuple)
subscriptions = st.builds(
    replace,
    st.just(SUBSCRIPTION),
    status=st.sampled_from([*access.MEANING, "unheard_of"]),
    plan_id=st.sampled_from([None, "plan-pro", "plan-big"]),
    quantity=st.sampled_from([None, 1, 2]),
    items=sold,
    cancel_at=maybe_now,
    cancel_at_period_end=st.booleans(),
    cancellation_reason=maybe_text,
    cancellation_comment=maybe_text,
    pause_behavior=st.sampled_from([None, "void", "keep_as_draft"]),
    pause_resumes_at=maybe_now,
    duplicate=st.booleans(),
    trial_end=maybe_now,
    trial_notice=maybe_now,
)
invoices = st.builds(
    replace,
    st.just(INVOICE),
    status=st.sampled_from(InvoiceStatus),
    amount_due=amounts,
    amount_paid=amounts,
    amount_overpaid=amounts,
    attempt_count=st.integers(0, 4),
    next_attempt=maybe_now,
    due_date=maybe_now,
    action_required=st.booleans(),
    failure_code=maybe_text,
    billing_reason=st.sampled_from([None, "manual", "subscription_cycle"]),
    stripe_subscription_id=maybe_text,
    period_end=maybe_now,
    items=sold,
)
payments = st.builds(
    replace,
    st.just(PAYMENT),
    status=st.sampled_from(PaymentStatus),
    amount_refunded=amounts,
    amount_refund_failed=amounts,
    refund_failure=maybe_text,
    disputed=st.booleans(),
    dispute_status=st.sampled_from([None, "needs_response", "won", "lost", "warning_needs_response", "warning_closed"]),
    invoice_id=st.sampled_from([None, "in_1"]),
    failure_code=maybe_text,
    failed_charge_id=maybe_text,
    action_required=st.booleans(),
)
tenants = st.builds(replace, st.just(TENANT), status=st.sampled_from(TenantStatus), customer_attempt=st.integers(0, 2))
kinds = (tenants, subscriptions, invoices, payments)
pairs = st.one_of(*(st.tuples(kind, kind) for kind in kinds))
writes = st.one_of(pairs, *(st.tuples(st.none(), kind) for kind in kinds))


@pytest.mark.parametrize("version", VERSIONS)
@given(write=writes, event=st.sampled_from(["", "evt_1"]))
def test_every_announcement_is_as_documented(version: announcements.Version, write: Any, event: str) -> None:
    before, after = write
    new = image(after) | ({"eventId": event} if event else {})
    made = publish.announcements_of(image(before), new, version)
    details = [publish.detail(one, new, version) for one in made]
    for detail in details:
        VALIDATORS[version].validate(json.loads(json.dumps(detail)))
    assert len({detail["id"] for detail in details}) == len(details)
    again = publish.announcements_of(image(before), new, version)
    assert details == [publish.detail(one, new, version) for one in again]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_schema_names_every_type_and_field_and_no_other(version: announcements.Version) -> None:
    Draft202012Validator.check_schema(SCHEMAS[version])
    assert [one["title"] for one in SCHEMAS[version]["oneOf"]] == list(announcements.types(version))
    if version == "2":
        shown = {one["title"]: set(one["properties"]["to"]["properties"]) for one in SCHEMAS[version]["oneOf"]}
        assert shown == {name: set(map(items.camel, fields)) for name, fields in announcements.fields_of("2").items()}


@pytest.mark.parametrize("version", VERSIONS)
def test_no_announcement_has_a_link_that_expires(version: announcements.Version) -> None:
    """The hosted page and the PDF expire 30 days after due or finalization: whoever shows one asks for it then."""
    assert not ADDRESSES & {field for fields in announcements.fields_of(version).values() for field in fields}


# -- version 2 is closed under reversal


def facts(entity: Entity) -> dict[str, Any]:
    """What is announced of the entity. The items' periods are not: they move on with each renewal."""
    found = {name: getattr(entity, name) for name in announced_v2.TOLD[entity.kind]}
    if "items" in found:
        found["items"] = [(item.stripe_price_id, item.quantity, item.metered) for item in found["items"]]
    return found


@given(pair=pairs)
def test_every_change_of_an_announced_field_is_told_and_nothing_else(pair: Any) -> None:
    before, after = pair
    old, new = facts(before), facts(after)
    changed = {name for name in old if old[name] != new[name]}
    made = announcements.of(before, after)
    told = {name for one in made for name in {*one.before, *one.after} | set(announcements.fields_of("2")[one.type])}
    assert changed <= told
    if not changed:
        assert made == []
    for one in made:
        if one.type.endswith(".updated"):
            assert set(one.before) | set(one.after) <= changed


@given(pair=pairs)
def test_what_is_taken_back_is_told(pair: Any) -> None:
    there, back = announcements.of(*pair), announcements.of(*reversed(pair))
    assert bool(there) == bool(back)


@pytest.mark.parametrize(
    ("before", "changes", "expected"),
    [
        (replace(TENANT, status=TenantStatus.ACTIVE), {"status": TenantStatus.PENDING}, ["tenant.pending"]),
        (replace(SUBSCRIPTION, cancel_at=NOW), {"cancel_at": None}, ["subscription.reactivated"]),
        (replace(SUBSCRIPTION, duplicate=True), {"duplicate": False}, ["subscription.duplicate_resolved"]),
        (SUBSCRIPTION, {"status": "past_due"}, ["subscription.past_due"]),
        (replace(SUBSCRIPTION, status="past_due"), {"status": "active"}, ["subscription.recovered"]),
        (replace(SUBSCRIPTION, status="trialing"), {"status": "active"}, ["subscription.trial_converted"]),
        (SUBSCRIPTION, {"pause_behavior": "void"}, ["subscription.paused"]),
        (replace(SUBSCRIPTION, pause_behavior="void"), {"pause_behavior": None}, ["subscription.resumed"]),
        (SUBSCRIPTION, {"current_period_end": "2027-01-01T00:00:00Z"}, []),
        (replace(INVOICE, status=InvoiceStatus.OVERDUE), {"status": InvoiceStatus.PENDING}, ["invoice.updated"]),
        (INVOICE, {"action_required": True}, ["invoice.action_required"]),
        (INVOICE, {"hosted_url": "https://example.com"}, []),
        (
            replace(INVOICE, billing_reason="subscription_cycle", stripe_subscription_id="sub_1", period_end=NOW),
            {"status": InvoiceStatus.PAID},
            ["invoice.paid", "subscription.renewed"],
        ),
        (replace(PAYMENT, status=PaymentStatus.FAILED), {"failed_charge_id": "ch_2"}, ["payment.failed"]),
        (
            replace(PAYMENT, status=PaymentStatus.SUCCEEDED, amount_refunded=100),
            {"amount_refunded": 0, "amount_refund_failed": 100},
            ["payment.refund_failed"],
        ),
        (
            replace(PAYMENT, disputed=True, dispute_status="needs_response"),
            {"disputed": False, "dispute_status": "won"},
            ["payment.dispute_closed"],
        ),
        (PAYMENT, {"dispute_status": "warning_needs_response"}, ["payment.inquiry_opened"]),
    ],
)
def test_what_version_2_tells(before: Any, changes: dict[str, Any], expected: list[str]) -> None:
    assert announced_types(before, replace(before, **changes), "2") == expected


@pytest.mark.parametrize("entity", [SUBSCRIPTION, INVOICE, PAYMENT])
def test_what_an_old_item_lacks_announces_nothing(entity: Any) -> None:
    """The first write of this version fills the fields that did not exist."""
    full = (
        {"items": (SoldItem(stripe_price_id="price_1"),)}
        if "items" in type(entity).added
        else {"refund_failure": "lost"}
    )
    assert announced_types(replace(entity, schema=1), replace(entity, **full), "2") == []


def test_each_revision_has_ids_of_its_own() -> None:
    paid = replace(INVOICE, status=InvoiceStatus.PAID)
    ids = {announcements.of(INVOICE, replace(paid, revision=n))[0].id for n in range(1, 50)}
    assert len(ids) == 49
    assert announcements.of(INVOICE, paid)[0].id == announcements.of(INVOICE, paid)[0].id


def test_an_item_of_no_tenant_announces_nothing() -> None:
    assert publish.announcements_of({}, {"PK": "EVENT#evt_1", "SK": "EVENT", "status": "PROCESSED"}) == []
    assert publish.announcements_of({}, {"PK": "HISTORY#acme", "SK": "INVOICE#in_1"}) == []
