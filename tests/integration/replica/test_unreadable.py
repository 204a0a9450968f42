"""Checks that an object of Stripe's that cannot be read ends as a FAILED event that names the field.

`tests/unit/replica/test_unreadable.py` tries every field of every sample.
"""

import json

import pytest

from tests.integration.support import AS_NOW
from tests.world import World


@pytest.mark.parametrize(
    ("event_type", "field", "value"),
    [
        ("invoice.finalized", "currency", None),
        ("invoice.finalized", "status", None),
        ("invoice.finalized", "parent", "odd"),
        ("customer.subscription.updated", "status", None),
        ("customer.subscription.updated", "metadata", "odd"),
        ("customer.subscription.updated", "id", "sub_\ud800"),
        ("payment_intent.succeeded", "amount_received", "100"),
        ("checkout.session.completed", "metadata", {"tenantId": 7}),
    ],
)
def test_the_record_names_the_field(world: World, event_type: str, field: str, value: object) -> None:
    path = next(p for p in AS_NOW if p.stem == event_type)
    event = json.loads(path.read_text())
    event["data"]["object"][field] = value
    answer = world.deliver(event)
    assert (answer.status, answer.body["type"]) == (500, "urn:billing:problem:unreadable-object")
    record = world.table.record(event["id"])
    assert record
    named = field if not isinstance(value, dict) else "tenantId"
    assert (record.status, named in str(record.error)) == ("FAILED", True)
    assert world.deliver(json.loads(path.read_text()) | {"id": "evt_good"}).status in (200, 503)
