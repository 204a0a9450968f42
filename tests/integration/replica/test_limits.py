"""Checks what one transaction of DynamoDB cannot hold."""

from dataclasses import replace

import pytest

from billing.adapters.table import items, keys
from billing.adapters.table.store import MAX_WRITES, Table
from billing.domain.entities import TOO_MANY, Subscription
from billing.errors import RevisionConflict
from local.stripe.engine import subscriptions
from local.stripe.engine.store import Object
from tests.world import CUSTOMER, PRICE, TENANT, World


def many(world: World, number: int) -> list[Object]:
    """So many active subscriptions at Stripe. The table has them, and none of them is marked as a duplicate."""
    world.plan()
    world.customer()
    store = world.stripe.store
    made, entities = [], []
    for n in range(number):
        one = subscriptions.create_subscription(store, CUSTOMER, store.get("price", PRICE), {"tenantId": TENANT})
        one["created"] += n
        made.append(one)
        entity = Subscription(
            tenant_id=TENANT,
            stripe_subscription_id=one["id"],
            stripe_customer_id=CUSTOMER,
            status="active",
            started_at="2026-11-23T12:00:00Z",
        )
        entities.append(items.attributes(entity) | keys.of(entity.identity)._asdict() | {"revision": 1})
    world.table.remember(entities)
    tenant = world.tenant()
    assert tenant
    world.table.write([replace(tenant, listed_at=TOO_MANY)])
    return made


def deliver(world: World, subscription: Object) -> str:
    event = world.stripe.store.emit("customer.subscription.updated", subscription)
    status: str = world.deliver(event).body["status"]
    return status


def test_a_tenant_with_500_subscriptions(world: World) -> None:
    made = many(world, 500)
    assert deliver(world, made[-1]) == "PROCESSED"
    assert sum(s.duplicate for s in world.subscriptions()) == 499
    tenant = world.tenant()
    assert tenant
    assert (tenant.subscriptions, tenant.listed_at) == ((), TOO_MANY)
    assert tenant.current_subscription_id not in {
        s.stripe_subscription_id for s in world.subscriptions() if s.duplicate
    }


def test_a_crash_between_two_steps(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made = many(world, MAX_WRITES + 60)
    write, calls = Table.write, []

    def dies(self: Table, *arguments: object) -> None:
        calls.append(1)
        if len(calls) > 1:
            raise SystemExit
        write(self, *arguments)  # type: ignore[arg-type]

    event = world.stripe.store.emit("customer.subscription.updated", made[0])
    with monkeypatch.context() as patch:
        patch.setattr(Table, "commit", dies)
        patch.setattr(Table, "write", dies)
        with pytest.raises(SystemExit):
            world.deliver(event)
    marked = sum(s.duplicate for s in world.subscriptions())
    assert 0 < marked < len(made) - 1
    assert world.deliver(event).body["status"] == "PROCESSED"
    assert sum(s.duplicate for s in world.subscriptions()) == len(made) - 1


def test_somebody_writes_between_two_steps(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    made = many(world, MAX_WRITES + 60)
    write = Table.write

    def disturbed(self: Table, *arguments: object) -> None:
        monkeypatch.setattr(Table, "write", write)
        write(self, *arguments)  # type: ignore[arg-type]
        tenant = self.tenant(TENANT)
        assert tenant
        write(self, [replace(tenant, customer_attempt=7)])

    monkeypatch.setattr(Table, "write", disturbed)
    assert deliver(world, made[0]) == "PROCESSED"
    tenant = world.tenant()
    assert tenant
    assert tenant.customer_attempt == 7
    with pytest.raises(RevisionConflict):
        write(world.table, [replace(tenant, revision=1)])
