"""What the tests of the effects share: how to see the account, and events at other times."""

import copy
from typing import Any

from billing.domain.order import content
from local.stripe.store import Object
from local.template import ROOT
from tests.world import TENANT, World

SAMPLES = sorted((ROOT / "events" / "stripe").rglob("*.json"))
AS_NOW = [path for path in SAMPLES if path.parent.name != "pre-basil"]  # the shapes that Stripe's API answers with


def fetches(world: World) -> list[str]:
    kinds = ("/v1/subscriptions/", "/v1/invoices/", "/v1/payment_intents/")
    return [path for method, path in world.stripe.calls if method == "GET" and path.startswith(kinds)]


def state(world: World) -> list[dict[str, Any]]:
    """The account's content, whatever led to it."""
    tenant = world.tenant()
    subscriptions = world.subscriptions()
    partition = world.table._client.query(
        TableName=world.table._name,
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
