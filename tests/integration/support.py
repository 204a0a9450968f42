"""What the tests of several rooms share: how to see the account, events at other times, and refusals."""

import copy
from collections.abc import Callable
from typing import Any

from billing.adapters.table.store import Table
from billing.domain.order import content
from local.stripe.engine.store import Object
from local.template import ROOT
from tests.world import TENANT, Answer, World

SAMPLES = sorted((ROOT / "events" / "stripe").rglob("*.json"))
AS_NOW = [path for path in SAMPLES if path.parent.name != "pre-basil"]  # the shapes that Stripe's API answers with


def fetches(world: World) -> list[str]:
    kinds = ("/v1/subscriptions/", "/v1/invoices/", "/v1/payment_intents/")
    return [path for method, path in world.stripe.calls if method == "GET" and path.startswith(kinds)]


def state(world: World) -> list[dict[str, Any]]:
    """The account's content, whatever led to it."""
    tenant = world.tenant()
    subscriptions = world.subscriptions()
    partition = world.table.client.query(
        TableName=world.table.name,
        KeyConditionExpression="PK = :pk",
        ExpressionAttributeValues={":pk": {"S": f"TENANT#{TENANT}"}},
    )["Items"]
    rest = [(world.invoice(i["SK"]["S"][8:]) or world.payment(i["SK"]["S"][8:])) for i in partition]
    return [content(thing) for thing in (tenant, *subscriptions, *rest) if thing]


def only_subscription(world: World) -> Any:
    [subscription] = world.subscriptions()
    return subscription


def first_subscription(world: World) -> Object:
    subscription: Object = world.stripe.store.all("subscription")[-1]
    return subscription


def at(event: Object, seconds: int) -> Object:
    """The event as if it had happened that much later."""
    return {**copy.deepcopy(event), "id": f"{event['id']}_{seconds}", "created": event["created"] + seconds}


def own_invoice(world: World, amount: int = 25000) -> Object:
    """The PaymentIntent of the platform's own invoice `inv-001`."""
    body = {"invoiceId": "inv-001", "amount": amount, "currency": "usd"}
    world.api("POST", f"/tenants/{TENANT}/invoices", admin=True, json=body)
    world.api("POST", "/invoices/inv-001/payment-intent")
    intent: Object = world.stripe.store.all("payment_intent")[0]
    return intent


# -- endpoints

OUTAGE = 20  # more calls than anybody makes


def refused(answer: Answer, status: int, slug: str) -> None:
    assert (answer.status, answer.body["type"]) == (status, f"urn:billing:problem:{slug}"), answer.body
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.body["status"] == status
    assert answer.body["detail"]
    assert answer.body["requestId"]


def killed_after_a_failure(world: World) -> Callable[..., None]:
    """`Table.write` of a function that dies when it has heard a failure that Stripe was asked for."""
    write = Table.write

    def killed(self: Table, *arguments: Any) -> None:
        if not world.stripe.failures:
            raise SystemExit
        write(self, *arguments)

    return killed
