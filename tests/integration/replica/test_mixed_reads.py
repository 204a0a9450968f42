"""BatchGetItem reads each item consistently, but two items perhaps of two moments: the subscription of before another
event was applied, the tenant of after it.

https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
"""

from collections.abc import Callable
from contextlib import suppress
from itertools import product
from typing import Any

import pytest

from local.stripe.engine import checkout, collecting, periods, subscriptions
from local.stripe.engine.store import Object
from local.stripe.errors import ApiError
from tests.aws_calls import intercept
from tests.integration.support import state
from tests.world import World


def paid_elsewhere(world: World) -> list[Object]:
    """Checkout declines the card, and the first invoice is paid on its own page: only its event says so."""
    world.plan()
    session = world.stripe.store.get("checkout.session", world.checkout().body["sessionUrl"].rsplit("/", 1)[1])
    with suppress(ApiError):
        checkout.complete_checkout(world.stripe.store, session, "pm_card_chargeDeclined")
    collecting.pay_invoice(world.stripe.store, world.stripe.store.all("invoice")[0], "pm_card_visa")
    return world.new_events()


def renewed_and_canceled(world: World) -> list[Object]:
    world.plan()
    world.subscribe()
    world.deliver_new()
    [subscription] = world.stripe.store.all("subscription")
    periods.renew(world.stripe.store, subscription)
    subscriptions.cancel_subscription(world.stripe.store, subscription)
    return world.new_events()


@pytest.mark.parametrize("history", [paid_elsewhere, renewed_and_canceled])
def test_an_event_that_is_applied_within_a_read(
    world: World, history: Callable[[World], list[Object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For each event, and each that changes a subscription: the table ends as if they had come one after the other."""
    events = history(world)
    before = everything(world)
    for event in events:
        assert world.deliver(event).status == 200
    expected = state(world)
    within = [one for one in events if one["data"]["object"]["object"] in ("subscription", "checkout.session")]
    for first, second in product(events, within):
        if first is second:
            continue
        restore(world, before)
        mixed(world, first, second, monkeypatch)
        for event in events:
            assert world.deliver(event).status == 200
        assert state(world) == expected, (first["type"], second["type"])


def mixed(world: World, first: Object, second: Object, patch: pytest.MonkeyPatch) -> None:
    """Delivers `first`. In the middle of its first read `second` is applied: then it sees the old subscriptions and the
    new tenant.
    """
    done: list[str] = []

    def between(_: str, operation: str, parameters: Any, call: Callable[[], Any]) -> Any:
        if operation != "BatchGetItem" or done:
            return call()
        done.append(operation)
        before = call()
        assert world.deliver(second).status == 200
        after = call()
        [table] = parameters["RequestItems"]
        old = [item for item in before["Responses"][table] if item["SK"]["S"].startswith("SUBSCRIPTION")]
        new = [item for item in after["Responses"][table] if not item["SK"]["S"].startswith("SUBSCRIPTION")]
        return {"Responses": {table: [*old, *new]}, "UnprocessedKeys": {}}

    with patch.context() as patching:
        intercept(patching, between)
        assert world.deliver(first).status == 200
    assert done


def everything(world: World) -> list[Any]:
    found: list[Any] = world.dynamodb.scan(TableName=world.table.name)["Items"]
    return found


def restore(world: World, items: list[Any]) -> None:
    for item in everything(world):
        world.dynamodb.delete_item(TableName=world.table.name, Key={"PK": item["PK"], "SK": item["SK"]})
    for item in items:
        world.dynamodb.put_item(TableName=world.table.name, Item=item)
