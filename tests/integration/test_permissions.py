"""Checks that the policy of every function allows exactly the AWS calls that the function makes."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from botocore.exceptions import ClientError

from billing import bootstrap
from billing.reconcile import readers
from billing.replica.effects import EFFECTS
from local.stripe.engine import payments, periods, subscriptions
from local.stripe.engine.store import DAY
from tests.aws_calls import intercept
from tests.inline import Inline
from tests.world import TENANT, World

# The operations that have another name in IAM.
_NAMES = {"lambda:Invoke": "lambda:InvokeFunction"}
_WRITES = {
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
    "ConditionCheck": "dynamodb:ConditionCheckItem",
}


@pytest.fixture
def calls(world: World, monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """Records for each function the IAM actions of its calls."""
    seen: dict[str, set[str]] = defaultdict(set)
    running: list[str] = []
    here = threading.get_ident()
    original = World.run

    def run(self: World, name: str, event: dict[str, Any]) -> Any:
        running.append(name)
        bootstrap.secrets.cache_clear()  # in AWS, each function has its own process and its own cache
        try:
            return original(self, name, event)
        finally:
            running.pop()

    def noted(service: str, operation: str, params: dict[str, Any], call: Callable[[], Any]) -> Any:
        if threading.get_ident() != here:
            return call()  # a local stack in another thread makes this call
        if running and operation == "TransactWriteItems":
            seen[running[-1]] |= {_WRITES[kind] for item in params["TransactItems"] for kind in item}
        elif running:
            action = f"{service}:{operation}"
            seen[running[-1]].add(_NAMES.get(action, action))
        return call()

    monkeypatch.setattr(World, "run", run)
    intercept(monkeypatch, noted)
    monkeypatch.setattr(readers, "ThreadPoolExecutor", Inline)
    return seen


def test_policies_are_exact(world: World, calls: dict[str, set[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    world.price("price_pro")
    world.price("price_big")
    world.api("PUT", "/plans/plan-pro", admin=True, json={"stripePriceId": "price_pro", "name": "Pro"})
    world.subscribe()
    world.deliver_new()
    world.subscribe("processing", for_tenant="by-debit")
    world.deliver_new()
    customer = world.stripe.store.all("customer")[0]["id"]
    world.checkout("other", extra={"customerId": customer})
    world.api("POST", "/stripe/portal", tenant="by-debit", query_string={"customerId": customer})
    world.subscribe("processing", for_tenant="twice")
    world.checkout("twice")  # its completion was not heard yet
    world.new_events()
    body = {"invoiceId": "inv-1", "amount": 100, "currency": "usd"}
    world.api("POST", "/tenants/other/invoices", admin=True, json=body)
    for _ in range(2):
        world.api("POST", f"/tenants/{TENANT}/invoices", admin=True, json=body)
    world.api("POST", "/invoices/inv-1/payment-intent")
    world.api("POST", "/invoices/inv-1/payment-intent", admin=True)
    payments.fail_intent(world.stripe.store, world.stripe.store.all("payment_intent")[0])
    world.deliver_new()
    operate(world)
    run_out_of_time(world, monkeypatch)
    for function in world.functions:
        assert calls[function.code.name] == function.actions, function.name


def run_out_of_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reconciliation compares one page, and then has no time left."""
    api, monotonic = bootstrap.stripe(), time.monotonic
    listed = api.list_checkout_sessions

    def slowly(**filters: Any) -> Any:
        patch.setattr(time, "monotonic", lambda: monotonic() + DAY)
        return listed(**filters)

    with monkeypatch.context() as patch, suppress(ClientError):  # moto does not have the function
        patch.setattr(api, "list_checkout_sessions", slowly)
        world.run("reconcile_stripe", {})


def operate(world: World) -> None:
    """Does the work of operators with lost events: of a checkout by card, of one by debit, and of no tenant."""
    session = world.subscribe("processing", for_tenant="lost-debit")
    world.stripe.store.create("customer", id="cus_nobody")
    payments.create_intent(world.stripe.store, 100, "usd", customer="cus_nobody")
    events = [e for e in world.stripe.store.all("event") if e["type"] in EFFECTS]
    world.api("GET", f"/stripe/checkout/{session['id']}", tenant="lost-debit")
    session = world.subscribe("processing", for_tenant="lost-again")
    lost = [e for e in world.stripe.store.all("event") if e["type"] in EFFECTS and e not in events]
    [foreign] = world.stripe.store.all("payment_intent", customer="cus_nobody")
    payments.fail_intent(world.stripe.store, foreign)
    for event in [*lost, world.stripe.store.all("event")[0]]:
        world.api("POST", f"/stripe/events/{event['id']}/replay", tenant=None, admin=True)
    world.api("GET", "/stripe/events", tenant=None, admin=True, query_string={"status": "FAILED"})
    world.api("GET", f"/stripe/events/{lost[0]['id']}", tenant=None, admin=True)
    world.api("GET", "/tenants/lost-again/history", tenant="lost-again")
    world.api("POST", "/stripe/reconcile", tenant=None, admin=True)
    world.subscribe("processing", for_tenant="lost-for-good")
    world.run("reconcile_stripe", {})
    world.stripe.store.create("customer", id="cus_link", metadata={"tenantId": "linked"})
    price = world.stripe.store.get("price", "price_pro")
    linked = subscriptions.create_subscription(world.stripe.store, "cus_link", price, {})
    periods.begin(world.stripe.store, linked, "pm_card_visa")
    world.checkout("linked", extra={"customerId": "cus_link"})
    world.run("sweep_due_items", {})
    after = {"PK": {"S": "TENANT#acme"}, "SK": {"S": "TENANT"}, "tenantId": {"S": "acme"}}
    after |= {"status": {"S": "ACTIVE"}, "revision": {"N": "1"}, "updatedAt": {"S": "2026-11-23T12:00:00Z"}}
    change = {"Keys": {}, "NewImage": after, "SequenceNumber": "1"}
    record = {"eventID": "1", "eventName": "INSERT", "eventSource": "aws:dynamodb", "dynamodb": change}
    world.run("publish_billing_events", {"Records": [record]})
