import json
from pathlib import Path
from typing import Any

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from billing.errors import BillingError, InvalidEvent, ThinEvent
from billing.replica import payloads
from billing.replica.effects import EFFECTS
from billing.replica.stripe_event import parse_event
from local.stripe.engine.store import API_VERSION
from local.template import ROOT

EVENTS = ROOT / "events" / "stripe"
OLD = sorted((EVENTS / "pre-basil").glob("*.json"))


def read(path: Path) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(path.read_text())
    return event


@pytest.mark.parametrize("event_type", sorted(EFFECTS))
def test_there_is_a_payload_of_the_pinned_version_for_every_handled_type(event_type: str) -> None:
    event = read(EVENTS / f"{event_type}.json")
    assert (event["type"], event["api_version"]) == (event_type, API_VERSION)


def test_the_pinned_version_is_the_sdks() -> None:
    assert stripe.api_version == API_VERSION


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.stem)
def test_both_generations_give_the_same_fields(path: Path) -> None:
    old, new = read(path)["data"]["object"], read(EVENTS / path.name)["data"]["object"]
    assert old != new
    assert payloads.tenant_hint(old) == payloads.tenant_hint(new) == "7c9e6679"
    match new["object"]:
        case "subscription":
            fields = payloads.subscription_fields(new, {})
            assert payloads.subscription_fields(old, {}) == fields
            assert fields["current_period_end"]
        case "invoice":
            fields = payloads.invoice_fields(new, "")
            assert payloads.invoice_fields(old, "") == fields
            assert payloads.invoice_intents(old)[0].startswith("pi_")  # only the old shape names the PaymentIntent
            assert payloads.invoice_intents(new) == ()
            assert fields["stripe_subscription_id"].startswith("sub_")
        case _:
            assert payloads.payment_fields(old) == payloads.payment_fields(new)


def test_expanded_fields_are_read_like_ids() -> None:
    new = read(EVENTS / "invoice.paid.json")["data"]["object"]
    payment = {"status": "paid", "payment": {"type": "payment_intent", "payment_intent": {"id": "pi_1"}}}
    canceled = {"status": "canceled", "payment": {"type": "payment_intent", "payment_intent": "pi_0"}}
    assert payloads.invoice_intents({**new, "payments": {"data": [canceled, payment]}}) == ("pi_1",)
    intent = read(EVENTS / "payment_intent.succeeded.json")["data"]["object"]
    charge = {"id": intent["latest_charge"], "amount": 500, "amount_refunded": 100, "disputed": True}
    refunded = {"amount_refunded": 100, "disputed": True, "dispute_status": None}
    assert payloads.payment_fields({**intent, "latest_charge": charge}) == payloads.payment_fields(intent) | refunded
    charges = {**intent, "latest_charge": None, "charges": {"data": [{"id": "ch_old"}]}}
    assert payloads.payment_fields(charges)["stripe_charge_id"] == "ch_old"


def test_the_invoice_of_an_old_payment_intent() -> None:
    assert payloads.intent_invoice({"invoice": "in_1"}) == (None, "in_1", None)
    assert payloads.intent_invoice({"metadata": {"invoiceId": "inv-1"}}) == ("inv-1", None, None)
    referring = {"payment_details": {"order_reference": "in_2"}}
    assert payloads.intent_invoice({**referring, "status": "succeeded"}) == (None, None, "in_2")
    assert payloads.intent_invoice({**referring, "status": "requires_action"}) == (None, None, None)


def test_an_invoice_past_its_due_date_is_overdue() -> None:
    invoice = read(EVENTS / "invoice.finalized.json")["data"]["object"] | {"due_date": 1_795_435_200}
    assert payloads.invoice_fields(invoice, "2026-11-23T12:00:00Z")["status"] == "PENDING"
    assert payloads.invoice_fields(invoice, "2026-11-23T12:00:01Z")["status"] == "OVERDUE"


@pytest.mark.parametrize(("status", "expected"), [("open", 0), ("void", 1), ("uncollectible", 1)])
def test_an_attempt_that_waits_is_not_counted_while_the_invoice_is_open(status: str, expected: int) -> None:
    """A closed invoice is read from payloads, which do not show its PaymentIntent, and from Stripe, which does."""
    invoice = read(EVENTS / "invoice.finalized.json")["data"]["object"] | {"status": status, "attempt_count": 1}
    waiting = {"payment": {"payment_intent": {"id": "pi_1", "status": "requires_action"}}, "status": "open"}
    fetched = payloads.invoice_fields({**invoice, "payments": {"data": [waiting]}}, "")
    assert fetched["attempt_count"] == expected
    if status != "open":
        assert fetched == payloads.invoice_fields(invoice, "")


@pytest.mark.parametrize(
    ("counted", "failed_charges", "known", "expected"),
    [(1, 0, 0, 0), (1, 1, 0, 1), (1, 0, 1, 1), (2, 1, 0, 1), (2, 2, 1, 2), (2, 0, 0, 1), (0, 0, 0, 0)],
)
def test_the_attempts_that_failed_while_one_waits(counted: int, failed_charges: int, known: int, expected: int) -> None:
    """A failure that is known stays, and so does its code: no event tells that the next attempt began."""
    charges = [{"id": f"ch_{n}", "status": "failed"} for n in range(failed_charges)] + [{"status": "pending"}]
    intent = {"id": "pi_1", "status": "processing", "charges": {"data": charges}}
    invoice = read(EVENTS / "invoice.finalized.json")["data"]["object"]
    invoice |= {"status": "open", "attempt_count": counted, "billing_reason": "subscription_cycle"}
    invoice["payments"] = {"data": [{"payment": {"payment_intent": intent}, "status": "open"}]}
    found = payloads.invoice_fields(invoice, "", payloads.Failures(known, "expired_card" if known else None))
    assert (found["attempt_count"], found["failure_code"]) == (expected, "expired_card" if known else None)
    assert found["status"] == ("OVERDUE" if expected else "PENDING")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"7",
        b'"evt_1"',
        b"{}",
        b"[" * 200_000,
        b'{"id":1,"type":"t","livemode":false,"created":1,"data":{"object":{}}}',
        b'{"id":"\\ud800","type":"t","livemode":false,"created":1,"data":{"object":{}}}',
        b'{"id":"e","type":"\\udfff","livemode":false,"created":1,"data":{"object":{}}}',
        b'{"id":"","type":"t","livemode":false,"created":1,"data":{"object":{}}}',
        b'{"id":"e","type":"t","livemode":"no","created":1,"data":{"object":{}}}',
        b'{"id":"e","type":"t","livemode":false,"created":"now","data":{"object":{}}}',
        b'{"id":"e","type":"t","livemode":false,"created":1e400,"data":{"object":{}}}',
        b'{"id":"e","type":"t","livemode":false,"created":1,"data":{"object":[]}}',
        b'{"id":"e","type":"t","livemode":false,"created":1,"data":7}',
        b'{"id":"' + b"e" * 256 + b'","type":"t","livemode":false,"created":1,"data":{"object":{}}}',
    ],
)
def test_what_is_no_event(body: bytes) -> None:
    with pytest.raises(InvalidEvent):
        parse_event(body)


def test_thin_events_are_told_apart() -> None:
    with pytest.raises(ThinEvent):
        parse_event(b'{"object":"v2.core.event","id":"evt_1"}')


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(
    st.dictionaries(
        st.sampled_from(["id", "type", "livemode", "created", "data", "object", "api_version"]), json_values
    )
)
def test_nothing_but_a_clear_refusal_comes_out(event: dict[str, Any]) -> None:
    try:
        parse_event(json.dumps(event).encode())
    except BillingError as error:
        assert error.status == 400
