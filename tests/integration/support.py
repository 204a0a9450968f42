"""Helpers for several test files: the content of the account, events at other times, and checks of refusals."""

import copy
from collections.abc import Callable
from typing import Any

from billing.adapters.table.store import Table
from billing.domain.order import content
from local.stripe.engine.store import Object
from local.template import ROOT
from tests.world import TENANT, Answer, World

SAMPLES = sorted((ROOT / "events" / "stripe").rglob("*.json"))
AS_NOW = [path for path in SAMPLES if path.parent.name != "pre-basil"]  # the shapes of Stripe's present API version


def fetches(world: World) -> list[str]:
    kinds = ("/v1/subscriptions/", "/v1/invoices/", "/v1/payment_intents/")
    return [path for method, path in world.stripe.calls if method == "GET" and path.startswith(kinds)]


def state(world: World) -> list[dict[str, Any]]:
    """Returns the content of the account, without the traces of how it came about."""
    tenant = world.tenant()
    subscriptions = world.subscriptions()
    partition = world.dynamodb.query(
        TableName=world.table.name,
        KeyConditionExpression="PK = :pk",
        ExpressionAttributeValues={":pk": {"S": f"TENANT#{TENANT}"}},
    )["Items"]
    rest = [(world.invoice(i["SK"]["S"][8:]) or world.payment(i["SK"]["S"][8:])) for i in partition]
    return [content(entity) for entity in (tenant, *subscriptions, *rest) if entity]


def only_subscription(world: World) -> Any:
    [subscription] = world.subscriptions()
    return subscription


def first_subscription(world: World) -> Object:
    subscription: Object = world.stripe.store.all("subscription")[-1]
    return subscription


def at(event: Object, seconds: int) -> Object:
    """Copies the event with a time that is that many seconds later."""
    return {**copy.deepcopy(event), "id": f"{event['id']}_{seconds}", "created": event["created"] + seconds}


def own_invoice(world: World, amount: int = 25000) -> Object:
    """Creates the platform's own invoice `inv-001`. Returns its PaymentIntent."""
    body = {"invoiceId": "inv-001", "amount": amount, "currency": "usd"}
    world.api("POST", f"/tenants/{TENANT}/invoices", admin=True, json=body)
    world.api("POST", "/invoices/inv-001/payment-intent")
    intent: Object = world.stripe.store.all("payment_intent")[0]
    return intent


# -- endpoints

OUTAGE = 20  # more failures than any test makes calls


def refused(answer: Answer, status: int, slug: str) -> None:
    assert (answer.status, answer.body["type"]) == (status, f"urn:billing:problem:{slug}"), answer.body
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.body["status"] == status
    assert answer.body["detail"]
    assert answer.body["requestId"]


def killed_after_a_failure(world: World) -> Callable[..., None]:
    """Makes a `Table.write` for a function that dies after a failure of Stripe.

    It dies when no prepared failure is left, because then Stripe has sent the last one.
    """
    write = Table.write

    def killed(self: Table, *arguments: Any) -> None:
        if not world.stripe.failures:
            raise SystemExit
        write(self, *arguments)

    return killed
