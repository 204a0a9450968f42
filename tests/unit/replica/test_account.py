"""Checks who owns an object and what it may change.

The code knows every kind of object that an event can hold, and raises an error for any other kind.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from billing.errors import UnknownObject
from billing.replica.account import References, references
from billing.replica.effects import EFFECTS
from local.template import ROOT

SAMPLES = {path.stem: path for path in (ROOT / "events" / "stripe").glob("*.json")}


@pytest.mark.parametrize("event_type", EFFECTS)
def test_the_object_of_every_event_leads_to_a_customer(event_type: str) -> None:
    """The object names a customer, or another object that leads to one."""
    stripe_object = json.loads(Path(SAMPLES[event_type]).read_text())["data"]["object"]
    found = references(stripe_object)
    assert found.customer or found.invoices or stripe_object.get("charge")


@pytest.mark.parametrize("stripe_object", [{"object": "price", "id": "price_1"}, {"object": "payout"}, {}])
def test_an_unknown_kind_of_object_raises(stripe_object: dict[str, Any]) -> None:
    with pytest.raises(UnknownObject):
        references(stripe_object)


def test_a_subscription_may_change_every_subscription_of_its_tenant() -> None:
    subscription = {"object": "subscription", "id": "sub_1", "customer": "cus_1", "items": {"data": [{"price": "p_1"}]}}
    assert references(subscription) == References(
        "cus_1", ("p_1",), ("sub_1",), changes_subscriptions=True, writes_new=True
    )
