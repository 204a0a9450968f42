"""Checks the later changes of a subscription, in any order of the events."""

import copy
from datetime import datetime
from typing import Any

import pytest

from billing.domain.records import RecordStatus
from billing.domain.statuses import TenantStatus
from local.stripe.engine import subscriptions
from local.stripe.engine.store import Object
from tests.integration.support import at, fetches, first_subscription, only_subscription
from tests.world import World


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("past_due", TenantStatus.ACTIVE),
        ("unpaid", TenantStatus.SUSPENDED),
        ("paused", TenantStatus.SUSPENDED),
        ("incomplete", TenantStatus.PENDING),
        ("canceled", TenantStatus.CANCELED),
        ("incomplete_expired", TenantStatus.PENDING),
    ],
)
def test_the_tenant_follows_its_subscription(active: World, status: str, expected: TenantStatus) -> None:
    subscription = first_subscription(active)
    subscription["status"] = status
    active.deliver(at(active.stripe.store.emit("customer.subscription.updated", subscription), 10))
    tenant = active.tenant()
    assert tenant
    assert tenant.status is expected


def test_the_plan_follows_the_price_not_the_metadata(active: World) -> None:
    active.plan("plan-big", "price_big")
    subscription = first_subscription(active)
    subscription["items"]["data"][0]["price"] = active.stripe.store.get("price", "price_big")
    active.deliver(at(active.stripe.store.emit("customer.subscription.updated", subscription), 10))
    assert (only_subscription(active).plan_id, only_subscription(active).stripe_price_id) == ("plan-big", "price_big")


def test_a_price_of_no_plan_of_ours(active: World) -> None:
    active.price("price_other")
    subscription = first_subscription(active)
    subscription["items"]["data"][0]["price"] = active.stripe.store.get("price", "price_other")
    active.deliver(at(active.stripe.store.emit("customer.subscription.updated", subscription), 10))
    assert (only_subscription(active).plan_id, only_subscription(active).stripe_price_id) == (None, "price_other")


@pytest.mark.parametrize("flag", [True, False])
def test_both_ways_to_cancel_at_the_end_of_the_period(active: World, flag: bool) -> None:
    subscription = first_subscription(active)
    end = subscription["items"]["data"][0]["current_period_end"]
    subscription |= {"cancel_at_period_end": flag, "cancel_at": end}
    active.deliver(at(active.stripe.store.emit("customer.subscription.updated", subscription), 10))
    recorded = only_subscription(active)
    assert recorded.cancel_at == recorded.current_period_end
    assert recorded.cancel_at_period_end is flag


def test_an_older_snapshot_changes_nothing(active: World) -> None:
    subscription = first_subscription(active)
    event = active.stripe.store.emit("customer.subscription.updated", subscription | {"status": "past_due"})
    before = active.subscriptions(), active.tenant()
    answer = active.deliver(at(event, -60))
    assert answer.body["status"] == "STALE"
    stored = active.table.record(f"{event['id']}_-60")
    assert stored
    assert stored.status is RecordStatus.STALE
    assert (active.subscriptions(), active.tenant()) == before
    assert only_subscription(active).status == "active"


def test_stripe_decides_between_two_events_of_one_second(active: World) -> None:
    subscription = first_subscription(active)
    held = only_subscription(active)
    asked = len(fetches(active))
    subscription["items"]["data"][0]["quantity"] = 7
    event = active.stripe.store.emit("customer.subscription.updated", subscription)
    event = {**event, "created": _seconds(held.snapshot_at)}
    subscription["items"]["data"][0]["quantity"] = 9  # the state that Stripe returns to a fetch
    assert active.deliver(event).body["status"] == "PROCESSED"
    assert only_subscription(active).quantity == 9
    assert len(fetches(active)) == asked + 1


def _seconds(iso: str) -> int:
    return int(datetime.fromisoformat(iso).timestamp())


def test_the_same_second_with_the_same_content_asks_nobody(active: World) -> None:
    event = active.stripe.store.emit("customer.subscription.updated", first_subscription(active))
    event = {**event, "created": _seconds(only_subscription(active).snapshot_at)}
    asked = len(fetches(active))
    assert active.deliver(event).body["status"] == "STALE"
    assert len(fetches(active)) == asked


def test_a_fetch_is_written_on_the_revision_read_before_it(active: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another writer changes the subscription between our read and our write.

    The fetched state must not overwrite that change.
    """
    subscription = first_subscription(active)
    subscription["items"]["data"][0]["quantity"] = 7
    event = active.stripe.store.emit("customer.subscription.updated", subscription)
    event = {**event, "created": _seconds(only_subscription(active).snapshot_at)}
    original = type(active.stripe.store).get
    written: list[int] = []

    def get(self: Any, kind: str, object_id: str) -> Object:
        found = copy.deepcopy(original(self, kind, object_id))
        if kind == "subscription" and not written:
            written.append(1)
            newer = copy.deepcopy(found)
            newer["items"]["data"][0]["quantity"] = 8
            original(self, kind, object_id)["items"]["data"][0]["quantity"] = 8
            later = {**event, "id": "evt_later", "created": event["created"] + 60, "data": {"object": newer}}
            assert active.deliver(later).body["status"] == "PROCESSED"
        return found

    monkeypatch.setattr(type(active.stripe.store), "get", get)
    assert active.deliver(event).status == 200
    assert written
    assert only_subscription(active).quantity == 8


def test_a_canceled_subscription_stays_canceled(active: World) -> None:
    subscription = first_subscription(active)
    subscriptions.cancel_subscription(active.stripe.store, subscription)
    for event in active.new_events():
        active.deliver(at(event, 10))
    assert only_subscription(active).status == "canceled"
    late = active.stripe.store.emit("customer.subscription.updated", subscription | {"status": "active"})
    assert active.deliver(at(late, 20)).body["status"] == "STALE"
    assert only_subscription(active).status == "canceled"


def test_an_update_may_come_before_the_creation(world: World, bought: list[Object]) -> None:
    created = next(e for e in bought if e["type"] == "customer.subscription.created")
    updated = at(created, 3) | {"type": "customer.subscription.updated"}
    updated["data"]["object"]["items"]["data"][0]["quantity"] = 3
    assert world.deliver(updated).body["status"] == "PROCESSED"
    assert world.deliver(created).body["status"] == "STALE"
    assert only_subscription(world).quantity == 3
