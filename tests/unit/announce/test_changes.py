"""Checks which writes are changes, and the item in the history for each change."""

import os
import subprocess
import sys
from datetime import datetime
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.adapters.table import items
from billing.adapters.table.items import Item
from billing.announce import changes as history
from billing.domain.records import RecordStatus
from billing.edge.parameters.operate import ListStripeEvents
from local.template import ROOT

BOOKKEEPING = ("revision", "createdAt", "updatedAt", "snapshotFrom", "snapshotAt", "eventId", "hostedUrl", "pdf")
BEFORE: Item = {
    "PK": "TENANT#acme",
    "SK": "SUBSCRIPTION#sub_1",
    "tenantId": "acme",
    "status": "active",
    "planId": "plan-pro",
    "cancelAtPeriodEnd": False,
    "revision": 2,
    "createdAt": "2026-11-01T00:00:00Z",
    "updatedAt": "2026-11-02T00:00:00Z",
    "snapshotFrom": "2026-11-02T00:00:00Z",
    "snapshotAt": "2026-11-02T00:00:00Z",
    "eventId": "evt_1",
}
AFTER: Item = {
    **{name: value for name, value in BEFORE.items() if name != "planId"},
    "status": "past_due",
    "cancelAt": "2026-12-01T00:00:00Z",
    "revision": 3,
    "updatedAt": "2026-11-03T00:00:00Z",
    "eventId": "evt_2",
}


def change(before: Item, after: Item) -> Item:
    made = history.change(before, after)
    assert made
    return made


def test_a_change_names_what_was_and_what_is() -> None:
    assert change(BEFORE, AFTER) == {
        "PK": "HISTORY#acme",
        "SK": "2026-11-03T00:00:00Z#SUBSCRIPTION#sub_1#0000000003",
        "at": "2026-11-03T00:00:00Z",
        "entity": "SUBSCRIPTION",
        "entityId": "sub_1",
        "revision": 3,
        "changes": {
            "status": {"from": "active", "to": "past_due"},
            "planId": {"from": "plan-pro"},
            "cancelAt": {"to": "2026-12-01T00:00:00Z"},
        },
        "eventId": "evt_2",
        "expiresAt": int(datetime.fromisoformat("2026-11-03T00:00:00Z").timestamp()) + 400 * 24 * 3600,
    }


def test_a_new_entity_is_a_change_of_every_field() -> None:
    made = change({}, AFTER)
    assert made["changes"]["status"] == {"to": "past_due"}
    assert made["changes"]["cancelAtPeriodEnd"] == {"to": False}
    assert not made["changes"].keys() & {"PK", "SK", *BOOKKEEPING}


def test_false_is_not_the_same_as_absent() -> None:
    absent = {name: value for name, value in AFTER.items() if name != "cancelAtPeriodEnd"}
    assert change(AFTER, absent)["changes"] == {"cancelAtPeriodEnd": {"from": False}}


def test_the_tenant_itself_is_named_by_its_id() -> None:
    tenant = {"PK": "TENANT#acme", "SK": "TENANT", "status": "ACTIVE", "revision": 1, "updatedAt": AFTER["updatedAt"]}
    made = change({}, tenant)
    assert (made["entity"], made["entityId"]) == ("TENANT", "acme")
    assert made["SK"] == "2026-11-03T00:00:00Z#TENANT#0000000001"
    assert "eventId" not in made


@pytest.mark.parametrize("name", BOOKKEEPING)
def test_bookkeeping_is_no_change(name: str) -> None:
    other = 9 if name == "revision" else "2026-11-09T00:00:00Z"
    assert history.change(AFTER, {**AFTER, name: other}) is None


@pytest.mark.parametrize("partition", ["EVENT#evt_1", "PLAN#plan-pro", "STRIPE#cus_1", "HISTORY#acme", "XTENANT#acme"])
def test_items_of_no_tenant_have_no_history(partition: str) -> None:
    assert history.change({}, {**AFTER, "PK": partition}) is None


def test_deletions_and_items_of_other_writers_have_no_history() -> None:
    assert history.change(AFTER, {}) is None
    assert history.change({}, {"PK": "TENANT#acme", "SK": "NOTE", "text": "by hand"}) is None


fields = st.dictionaries(
    st.sampled_from(["status", "planId", "amount", "duplicate", "checkout", *BOOKKEEPING[1:]]),
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.text(max_size=5) | st.just({"attempt": 1}),
)


@given(fields, fields)
def test_the_changes_lead_from_one_image_to_the_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    keys = {"PK": "TENANT#acme", "SK": "INVOICE#in_1", "revision": 7}
    times = {"updatedAt": "2026-11-03T00:00:00Z"}
    made = history.change(keys | before, keys | after | times)
    plain = [{n: v for n, v in image.items() if n not in BOOKKEEPING} for image in (before, after)]
    if made is None:
        # True and 1 are different values in DynamoDB. In Python they are equal.
        assert plain[0] == plain[1]
        return
    for side, image, other in (("from", plain[0], plain[1]), ("to", plain[1], plain[0])):
        rest = {n: v for n, v in other.items() if n not in made["changes"]}
        recorded = {n: step[side] for n, step in made["changes"].items() if side in step}
        assert rest | recorded == image
    assert items.load(items.dump(made)) == made  # DynamoDB can store the item and return it unchanged


def test_revisions_of_one_second_sort_in_their_order() -> None:
    sorts = [change({}, {**AFTER, "revision": revision})["SK"] for revision in (1, 2, 9, 10, 99, 100, 12345)]
    assert sorts == sorted(sorts)


def test_the_same_change_gives_the_same_item() -> None:
    assert change(BEFORE, AFTER) == change(dict(BEFORE), dict(AFTER))


def test_a_query_accepts_every_status() -> None:
    annotation = ListStripeEvents.model_fields["status"].annotation
    assert set(get_args(get_args(annotation)[0])) == set(RecordStatus)


def test_the_function_of_the_stream_imports_neither_pydantic_nor_stripe() -> None:
    code = "import sys, billing.announce.changes; print([m for m in ('pydantic', 'stripe') if m in sys.modules])"
    path = {"PYTHONPATH": str(ROOT / "layers" / "billing")}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | path
    )
    assert run.stdout == "[]\n"
