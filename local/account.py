"""Reads the items of a tenant from the table."""

from typing import Any, Final

from billing.adapters.table import items, keys
from local import template
from local.aws.clients import AwsAccess

type Item = dict[str, Any]  # of the table
type Items = dict[str, list[Item]]  # by kind, oldest first

KINDS: Final = ("TENANT", "SUBSCRIPTION", "INVOICE", "PAYMENT")


def account(aws: AwsAccess, tenant_id: str) -> Items:
    """All items of the tenant. Every kind is there."""
    query = (
        aws.dynamodb()
        .get_paginator("query")
        .paginate(
            TableName=template.TABLE_NAME,
            KeyConditionExpression="PK = :pk",
            ExpressionAttributeValues={":pk": {"S": keys.tenant(tenant_id).PK}},
            ConsistentRead=True,
        )
    )
    found: Items = {kind: [] for kind in KINDS}
    for raw in (raw for page in query for raw in page["Items"]):
        item = items.load(raw)
        found[item["SK"].split("#")[0]].append(item)
    for group in found.values():
        group.sort(key=lambda item: (item["createdAt"], item["SK"]))
    return found
