"""Shows the items of a tenant in the table: `python -m local.commands.show 550e8400`."""

import argparse
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.table import Table as Grid

from billing.adapters.table import items
from local import template
from local.aws.clients import AwsAccess, Credentials
from local.commands.environment import setting
from local.web import money

type Items = dict[str, list[dict[str, Any]]]

_SHORT = 16


def account(aws: AwsAccess, tenant_id: str) -> Items:
    """All items of the tenant, by kind, oldest first."""
    answer = aws.dynamodb().query(
        TableName=template.TABLE_NAME,
        KeyConditionExpression="PK = :pk",
        ExpressionAttributeValues={":pk": {"S": f"TENANT#{tenant_id}"}},
        ConsistentRead=True,
    )
    found: Items = {"TENANT": [], "SUBSCRIPTION": [], "INVOICE": [], "PAYMENT": []}
    for raw in answer["Items"]:
        item = items.load(raw)
        found[item["SK"].split("#")[0]].append(item)
    for group in found.values():
        group.sort(key=lambda item: (item["createdAt"], item["SK"]))
    return found


def grid(account: Items) -> Grid:
    grid = Grid(box=None, padding=(0, 2), header_style="dim")
    for column in ("", "id", "status"):
        grid.add_column(column, no_wrap=True, min_width=9)  # in a narrow terminal, the other columns shrink
    for column in ("money", "what"):
        grid.add_column(column)
    for tenant in account["TENANT"]:
        grid.add_row("tenant", tenant["tenantId"], _colored(tenant["status"]), "", tenant.get("stripeCustomerId", ""))
    for s in account["SUBSCRIPTION"]:
        until = f"until {s['currentPeriodEnd'][:10]}" if "currentPeriodEnd" in s else ""
        what = f"{s.get('planId', '?')} {until}"
        grid.add_row("subscription", _short(s["stripeSubscriptionId"]), _colored(s["status"]), "", what)
    for i in account["INVOICE"]:
        paid = f"{money(i['amountPaid'], i['currency'])} of {money(i['amountDue'], i['currency'])}"
        what = f"attempt {i['attemptCount']}" if i["attemptCount"] else ""
        grid.add_row("invoice", _short(i["invoiceId"]), _colored(i["status"]), paid, what)
    for p in account["PAYMENT"]:
        what = p.get("failureCode") or f"for {_short(p.get('invoiceId', '?'))}"
        grid.add_row(
            "payment",
            _short(p["stripePaymentIntentId"]),
            _colored(p["status"]),
            money(p["amount"], p["currency"]),
            what,
        )
    return grid


def _short(stripe_id: str) -> str:
    return stripe_id if len(stripe_id) <= _SHORT else f"{stripe_id[:9]}…{stripe_id[-4:]}"


def _colored(status: str) -> str:
    good = {"ACTIVE", "active", "PAID", "SUCCEEDED", "trialing"}
    bad = {"OVERDUE", "FAILED", "past_due", "CANCELED", "canceled", "SUSPENDED"}
    color = "green" if status in good else "red" if status in bad else "yellow"
    return f"[{color}]{status}[/]"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Shows the items of a tenant in the table of the local stack.")
    parser.add_argument("tenant")
    arguments = parser.parse_args()
    credentials = Credentials(setting("AWS_ACCESS_KEY_ID"), setting("AWS_SECRET_ACCESS_KEY"))
    url = setting("AWS_ENDPOINT_URL")
    try:
        found = account(AwsAccess(url, credentials), arguments.tenant)
    except (BotoCoreError, ClientError) as error:
        raise SystemExit(f"The local stack does not answer at {url}: start it with `make up`.") from error
    Console(highlight=False).print(
        grid(found) if any(found.values()) else f"The table has no items of tenant {arguments.tenant}."
    )
