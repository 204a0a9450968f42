"""The usual design of a Stripe webhook on Lambda, as an opponent: what most tutorials and samples build.

https://docs.aws.amazon.com/powertools/python/latest/utilities/idempotency/
https://docs.stripe.com/webhooks#verify-official-libraries
"""

import json
import os
from typing import Any

import boto3
import stripe
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)

from benchmarks.ground import WEBHOOK_SECRET

logger = Logger(service="usual")
metrics = Metrics(namespace="Usual", service="usual")
store = DynamoDBPersistenceLayer(table_name="usual-idempotency")
config = IdempotencyConfig(event_key_jmespath="id", use_local_cache=False)
table = boto3.resource("dynamodb").Table("usual-subscriptions")


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    config.register_lambda_context(context)
    signature = next(value for name, value in event["headers"].items() if name.lower() == "stripe-signature")
    made = stripe.Webhook.construct_event(event["body"], signature, os.environ.get("USUAL_SECRET", WEBHOOK_SECRET))
    apply(stripe_event=made.to_dict())
    metrics.add_metric(name="Received", unit=MetricUnit.Count, value=1)
    logger.info("received", extra={"event_type": made["type"]})
    return {"statusCode": 200, "body": json.dumps({"received": True})}


@idempotent_function(data_keyword_argument="stripe_event", persistence_store=store, config=config)
def apply(*, stripe_event: dict[str, Any]) -> dict[str, Any]:
    found = stripe_event["data"]["object"]
    key = {"customer": found.get("customer") or found["id"]}
    table.get_item(Key=key)
    table.update_item(
        Key=key,
        UpdateExpression="SET #status = :status, #object = :object, updatedAt = :at",
        ExpressionAttributeNames={"#status": "status", "#object": "object"},
        ExpressionAttributeValues={
            ":status": found.get("status"),
            ":object": found["id"],
            ":at": stripe_event["created"],
        },
    )
    return {"applied": stripe_event["id"]}


def make_tables(dynamodb: Any) -> None:
    for name, key in (("usual-idempotency", "id"), ("usual-subscriptions", "customer")):
        dynamodb.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
