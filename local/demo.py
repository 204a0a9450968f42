"""One tenant's life, over HTTP, on a stack of its own: `python -m local.demo`. Exit status 0 if every step held."""

import logging
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import requests
from rich.console import Console
from rich.table import Table as Grid

from billing.table import items
from local import seed, template
from local.aws import dynamodb
from local.seed import INVOICE, TENANT
from local.stack import Stack, temporary

_TIMEOUT: Final = 60
_SETTLE_SECONDS: Final = 60

type Items = dict[str, list[dict[str, Any]]]
type Expectation = dict[str, Any]


class Failed(Exception):
    """A step did not lead where it should."""


class Demo:
    def __init__(self, stack: Stack, console: Console) -> None:
        self.stack = stack
        self.console = console
        self.steps = 0
        self.checks = 0
        self.failures: list[str] = []

    # -- calling

    def api(self, path: str, expected: int = 200) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.stack.token(TENANT)}"}
        url = f"{self.stack.api_url}/api/v1/billing/{path}"
        answer = requests.post(url, headers=headers, timeout=_TIMEOUT)
        self.console.print(f"  [dim]POST /api/v1/billing/{path} -> {answer.status_code}[/]")
        if answer.status_code != expected:
            raise Failed(f"POST {path}: {answer.status_code} {answer.text}")
        body: dict[str, Any] = answer.json()
        return body

    def stripe(self, method: str, path: str, expected: int = 200, **form: str) -> dict[str, Any]:
        """What a person, a bank or time does at Stripe."""
        headers = {"Authorization": f"Bearer {self.stack.api_key}"}
        answer = requests.request(method, self.stack.stripe_base + path, data=form, headers=headers, timeout=_TIMEOUT)
        if answer.status_code != expected:
            raise Failed(f"Stripe {method} {path}: {answer.status_code} {answer.text}")
        body: dict[str, Any] = answer.json()
        return body

    # -- seeing

    def settle(self) -> None:
        deliveries = self.stripe("GET", f"/_control/deliveries?wait={_SETTLE_SECONDS}")
        if not deliveries["idle"]:
            raise Failed("webhooks are still being delivered")

    def account(self) -> Items:
        client = dynamodb(self.stack.aws_url)
        answer = client.query(
            TableName=template.TABLE_NAME,
            KeyConditionExpression="PK = :pk",
            ExpressionAttributeValues={":pk": {"S": f"TENANT#{TENANT}"}},
            ConsistentRead=True,
        )
        found: Items = {"TENANT": [], "SUBSCRIPTION": [], "INVOICE": [], "PAYMENT": []}
        for raw in answer["Items"]:
            item = items.load(raw)
            found[item["SK"].split("#")[0]].append(item)
        for things in found.values():
            things.sort(key=lambda item: (item["createdAt"], item["SK"]))
        return found

    def step(self, title: str, act: Callable[[], object], **expected: object) -> None:
        """Does something, waits for the webhooks that follow, shows the account and checks it.

        An expectation is named `tenant`, `subscription`, `invoices` or `payments` and given as the statuses.
        """
        self.steps += 1
        self.console.rule(f"[bold]{self.steps}. {title}", align="left")
        began = time.monotonic()
        act()
        self.settle()
        account = self.account()
        self.console.print(_grid(account))
        self.console.print(f"  [dim]{(time.monotonic() - began) * 1000:.0f} ms[/]")
        self._check(title, expected, account)

    def _check(self, title: str, expected: Expectation, account: Items) -> None:
        names = {"tenant": "TENANT", "subscriptions": "SUBSCRIPTION", "invoices": "INVOICE", "payments": "PAYMENT"}
        for name, value in expected.items():
            seen = sorted(item["status"] for item in account[names[name]])
            self.that(f"{title}: {name} {value}", seen == sorted(value), f"is {seen}")

    def that(self, claim: str, holds: bool, otherwise: str) -> None:  # noqa: FBT001 - it is the claim's truth
        self.checks += 1
        if holds:
            self.console.print(f"  [green]✓[/] {claim}")
        else:
            self.console.print(f"  [red]✗ {claim}: {otherwise}[/]")
            self.failures.append(f"{claim}: {otherwise}")


def _grid(account: Items) -> Grid:
    grid = Grid(box=None, padding=(0, 2), header_style="dim")
    for column in ("", "id", "status", "money", "what"):
        grid.add_column(column, no_wrap=True)
    for tenant in account["TENANT"]:
        grid.add_row("tenant", tenant["tenantId"], _colored(tenant["status"]), "", tenant.get("stripeCustomerId", ""))
    for s in account["SUBSCRIPTION"]:
        until = f"until {s['currentPeriodEnd'][:10]}" if "currentPeriodEnd" in s else ""
        what = f"{s.get('planId', '?')} {until}"
        grid.add_row("subscription", _short(s["stripeSubscriptionId"]), _colored(s["status"]), "", what)
    for i in account["INVOICE"]:
        money = f"{_money(i['amountPaid'], i['currency'])} of {_money(i['amountDue'], i['currency'])}"
        what = f"attempt {i['attemptCount']}" if i["attemptCount"] else ""
        grid.add_row("invoice", _short(i["invoiceId"]), _colored(i["status"]), money, what)
    for p in account["PAYMENT"]:
        what = p.get("failureCode") or f"for {_short(p.get('invoiceId', '?'))}"
        grid.add_row(
            "payment",
            _short(p["stripePaymentIntentId"]),
            _colored(p["status"]),
            _money(p["amount"], p["currency"]),
            what,
        )
    return grid


def _short(stripe_id: str) -> str:
    return stripe_id if len(stripe_id) <= 16 else f"{stripe_id[:9]}…{stripe_id[-4:]}"


def _money(minor: int, currency: str) -> str:
    return f"{minor / 100:.2f} {currency.upper()}"


def _colored(status: str) -> str:
    good = {"ACTIVE", "active", "PAID", "SUCCEEDED", "trialing"}
    bad = {"OVERDUE", "FAILED", "past_due", "CANCELED", "canceled", "SUSPENDED"}
    color = "green" if status in good else "red" if status in bad else "yellow"
    return f"[{color}]{status}[/]"


def life(demo: Demo) -> None:
    """One tenant, from its first checkout to its last day."""
    opened: dict[str, Any] = {}

    def checkout() -> None:
        url = demo.api(f"stripe/checkout?tenantId={TENANT}&planId=plan-pro")["sessionUrl"]
        demo.console.print(f"  sent to {url}")
        opened["session"] = url.rsplit("/", 1)[1]

    demo.step("Checkout", checkout, tenant=["PENDING"], subscriptions=[], invoices=["PENDING"], payments=[])
    again = demo.api(f"stripe/checkout?tenantId={TENANT}&planId=plan-pro")["sessionUrl"]
    demo.that("asked again, the same session comes back", again.endswith(opened["session"]), again)

    demo.step(
        "The tenant pays",
        lambda: demo.stripe("POST", f"/_control/checkout_sessions/{opened['session']}/complete"),
        tenant=["ACTIVE"],
        subscriptions=["active"],
        invoices=["PENDING", "PAID"],
        payments=["SUCCEEDED"],
    )
    subscription = demo.account()["SUBSCRIPTION"][0]
    demo.that("its plan is plan-pro", subscription.get("planId") == "plan-pro", str(subscription.get("planId")))
    demo.api(f"stripe/checkout?tenantId={TENANT}&planId=plan-pro", expected=409)
    portal = demo.api(f"stripe/portal?customerId={subscription['stripeCustomerId']}")["portalUrl"]
    demo.that("the portal opens", "/p/session/" in portal, portal)
    recurring(demo, subscription["stripeSubscriptionId"])


def recurring(demo: Demo, subscription_id: str) -> None:
    events = {event["type"]: event["id"] for event in reversed(_events(demo))}
    before = demo.account()
    demo.step(
        "The same events once more",
        lambda: [demo.stripe("POST", f"/_control/events/{event_id}/deliver") for event_id in events.values()],
        tenant=["ACTIVE"],
        subscriptions=["active"],
        invoices=["PENDING", "PAID"],
        payments=["SUCCEEDED"],
    )
    demo.that("nothing was written", demo.account() == before, "the items changed")

    def renew(outcome: str) -> Callable[[], object]:
        return lambda: demo.stripe("POST", f"/_control/subscriptions/{subscription_id}/renew", outcome=outcome)

    paid = {"tenant": ["ACTIVE"], "subscriptions": ["active"]}
    demo.step("Renewal, paid", renew("paid"), **paid, invoices=["PENDING", "PAID", "PAID"], payments=["SUCCEEDED"] * 2)
    demo.step(
        "Renewal, the card is declined",
        renew("failed"),
        tenant=["ACTIVE"],
        subscriptions=["past_due"],
        invoices=["PENDING", "OVERDUE", "PAID", "PAID"],
        payments=["FAILED", "SUCCEEDED", "SUCCEEDED"],
    )
    overdue = next(i["invoiceId"] for i in demo.account()["INVOICE"] if i["status"] == "OVERDUE")
    demo.step(
        "Another card: recovered",
        lambda: demo.stripe("POST", f"/v1/invoices/{overdue}/pay", payment_method="pm_card_visa"),
        **paid,
        invoices=["PENDING", "PAID", "PAID", "PAID"],
        payments=["SUCCEEDED"] * 3,
    )
    change_and_leave(demo, subscription_id)


def change_and_leave(demo: Demo, subscription_id: str) -> None:
    item = demo.stripe("GET", f"/v1/subscriptions/{subscription_id}")["items"]["data"][0]["id"]
    price = demo.stripe("GET", "/v1/prices?lookup_keys[]=plan-enterprise")["data"][0]["id"]
    change = {"items[0][id]": item, "items[0][price]": price}
    demo.step(
        "Plan changed in the portal",
        lambda: demo.stripe("POST", f"/v1/subscriptions/{subscription_id}", **change),
        subscriptions=["active"],
    )
    plan = demo.account()["SUBSCRIPTION"][0].get("planId")
    demo.that("its plan is plan-enterprise", plan == "plan-enterprise", str(plan))

    def pay() -> None:
        secret = demo.api(f"invoices/{INVOICE}/payment-intent")["clientSecret"]
        intent = secret.split("_secret_")[0]
        same = demo.api(f"invoices/{INVOICE}/payment-intent")["clientSecret"]
        demo.that("asked again, the same PaymentIntent comes back", same == secret, same)
        demo.stripe("POST", f"/v1/payment_intents/{intent}/confirm", 402, payment_method="pm_card_chargeDeclined")
        demo.stripe("POST", f"/v1/payment_intents/{intent}/confirm", payment_method="pm_card_visa")

    demo.step(f"{INVOICE} paid by its PaymentIntent", pay, invoices=["PAID"] * 4, payments=["SUCCEEDED"] * 4)
    own = next(i for i in demo.account()["INVOICE"] if i["invoiceId"] == INVOICE)
    demo.that("250.00 USD are counted once", own["amountPaid"] == 25000, str(own["amountPaid"]))

    demo.step(
        "Cancelled",
        lambda: demo.stripe("DELETE", f"/v1/subscriptions/{subscription_id}"),
        tenant=["CANCELED"],
        subscriptions=["canceled"],
        invoices=["PAID"] * 4,
        payments=["SUCCEEDED"] * 4,
    )


def _events(demo: Demo) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = demo.stripe("GET", "/v1/events?limit=100")["data"]
    return events


def main() -> int:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 120)
    stack, remove = temporary()
    began = time.monotonic()
    try:
        with stack:
            console.print(f"Starting the stack: {seed.seed(stack)}")
            demo = Demo(stack, console)
            try:
                life(demo)
            except Failed as failure:
                demo.failures.append(str(failure))
            return _summary(demo, time.monotonic() - began)
    finally:
        remove()


def _summary(demo: Demo, seconds: float) -> int:
    deliveries = demo.stripe("GET", "/_control/deliveries")["data"]
    refused = sum(d["status"] != requests.codes.ok for d in deliveries)
    demo.console.rule("[bold]Summary", align="left")
    demo.console.print(
        f"  {demo.steps} steps, {demo.checks} checks, {len(deliveries)} webhook deliveries "
        f"({refused} had to be repeated), {seconds:.1f} s"
    )
    for failure in demo.failures:
        demo.console.print(f"  [red]✗ {failure}[/]")
    demo.console.print("  [red]FAILED[/]" if demo.failures else "  [green]Everything held.[/]")
    return 1 if demo.failures else 0


if __name__ == "__main__":
    sys.exit(main())
