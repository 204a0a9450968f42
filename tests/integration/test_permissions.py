"""The policy of every function holds exactly what the function does: recorded from its real calls."""

from collections import defaultdict
from typing import Any

import pytest
from botocore.client import BaseClient

from billing import bootstrap
from local.stripe import payments
from tests.world import TENANT, World

_WRITES = {
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
    "ConditionCheck": "dynamodb:ConditionCheckItem",
}


@pytest.fixture
def calls(world: World, monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """IAM actions by function, as the functions' own clients call them."""
    seen: dict[str, set[str]] = defaultdict(set)
    running: list[str] = []
    original = World.invoke

    def invoke(self: World, name: str, event: dict[str, Any]) -> Any:
        running.append(name)
        bootstrap.secrets.cache_clear()  # each function is a process of its own, with a cache of its own
        try:
            return original(self, name, event)
        finally:
            running.pop()

    call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def noted(self: BaseClient, operation: str, params: dict[str, Any]) -> Any:
        if running and operation == "TransactWriteItems":
            seen[running[-1]] |= {_WRITES[kind] for item in params["TransactItems"] for kind in item}
        elif running:
            seen[running[-1]].add(f"{self.meta.service_model.service_name}:{operation}")
        return call(self, operation, params)

    monkeypatch.setattr(World, "invoke", invoke)
    monkeypatch.setattr(BaseClient, "_make_api_call", noted)
    return seen


def test_policies_are_exact(world: World, calls: dict[str, set[str]]) -> None:
    world.price("price_pro")
    world.price("price_big")
    world.api("PUT", "/plans/plan-pro", admin=True, json={"stripePriceId": "price_pro", "name": "Pro"})
    world.subscribe()
    world.deliver_new()
    world.subscribe("processing", for_tenant="by-debit")
    world.deliver_new()
    customer = world.stripe.store.all("customer")[0]["id"]
    world.checkout("other", extra={"customerId": customer})
    world.api("POST", "/stripe/portal", query_string={"customerId": customer})
    body = {"invoiceId": "inv-1", "amount": 100, "currency": "usd"}
    for _ in range(2):
        world.api("POST", f"/tenants/{TENANT}/invoices", admin=True, json=body)
    world.api("POST", "/invoices/inv-1/payment-intent")
    world.api("POST", "/invoices/inv-1/payment-intent", admin=True)
    payments.fail_intent(world.stripe.store, world.stripe.store.all("payment_intent")[0])
    world.deliver_new()
    for function in world.functions:
        assert calls[function.code.name] == function.actions, function.name
