"""`make demo`: plays the life of one tenant over HTTP, on its own stack.

The exit status is 0 if every check passes.
"""

import logging
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import requests
from rich.console import Console

from local.commands import seed
from local.commands.seed import INVOICE, TENANT
from local.commands.show import Items, account, grid
from local.stack import Stack, temporary

_TIMEOUT: Final = 600  # seconds; long, so that a busy machine causes no failure
_SETTLE_SECONDS: Final = 600

type Expectation = dict[str, Any]


class Failed(Exception):
    """A step had the wrong result."""


class Demo:
    def __init__(self, stack: Stack, console: Console) -> None:
        self.stack = stack
        self.console = console
        self.steps = 0
        self.checks = 0
        self.failures: list[str] = []

    # -- calls

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
        """Does what a person, a bank or the passing of time does at Stripe."""
        headers = {"Authorization": f"Bearer {self.stack.api_key}"}
        answer = requests.request(method, self.stack.stripe_base + path, data=form, headers=headers, timeout=_TIMEOUT)
        if answer.status_code != expected:
            raise Failed(f"Stripe {method} {path}: {answer.status_code} {answer.text}")
        body: dict[str, Any] = answer.json()
        return body

    # -- checks

    def settle(self) -> None:
        deliveries = self.stripe("GET", f"/_control/deliveries?wait={_SETTLE_SECONDS}")
        if not deliveries["idle"]:
            raise Failed("webhooks are still being delivered")

    def account(self) -> Items:
        return account(self.stack.aws, TENANT)

    def step(self, title: str, act: Callable[[], object], **expected: object) -> None:
        """Calls `act`, waits for the webhooks that follow, shows the account and checks it.

        The expectations are `tenant`, `subscriptions`, `invoices` and `payments`. Each is a list of statuses.
        """
        self.steps += 1
        self.console.rule(f"[bold]{self.steps}. {title}", align="left")
        began = time.monotonic()
        act()
        self.settle()
        found = self.account()
        self.console.print(grid(found))
        self.console.print(f"  [dim]{(time.monotonic() - began) * 1000:.0f} ms[/]")
        self._check(title, expected, found)

    def _check(self, title: str, expected: Expectation, account: Items) -> None:
        names = {"tenant": "TENANT", "subscriptions": "SUBSCRIPTION", "invoices": "INVOICE", "payments": "PAYMENT"}
        for name, value in expected.items():
            seen = sorted(item["status"] for item in account[names[name]])
            self.that(f"{title}: {name} {value}", seen == sorted(value), f"is {seen}")

    def that(self, claim: str, holds: bool, otherwise: str) -> None:  # noqa: FBT001 - `holds` says whether the claim is true
        self.checks += 1
        if holds:
            self.console.print(f"  [green]✓[/] {claim}")
        else:
            self.console.print(f"  [red]✗ {claim}: {otherwise}[/]")
            self.failures.append(f"{claim}: {otherwise}")


def life(demo: Demo) -> None:
    """Plays one tenant from its first checkout to its cancellation."""
    opened: dict[str, Any] = {}

    def checkout() -> None:
        url = demo.api(f"stripe/checkout?tenantId={TENANT}&planId=plan-pro")["sessionUrl"]
        demo.console.print(f"  sent to {url}")
        opened["session"] = url.rsplit("/", 1)[1]

    demo.step("Checkout", checkout, tenant=["PENDING"], subscriptions=[], invoices=["PENDING"], payments=[])
    again = demo.api(f"stripe/checkout?tenantId={TENANT}&planId=plan-pro")["sessionUrl"]
    demo.that("a second request returns the same session", again.endswith(opened["session"]), again)

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
    demo.console.print("  A second subscription is refused; the answer points to the portal:")
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
        "The plan is changed at Stripe",
        lambda: demo.stripe("POST", f"/v1/subscriptions/{subscription_id}", **change),
        subscriptions=["active"],
    )
    plan = demo.account()["SUBSCRIPTION"][0].get("planId")
    demo.that("its plan is plan-enterprise", plan == "plan-enterprise", str(plan))

    def pay() -> None:
        secret = demo.api(f"invoices/{INVOICE}/payment-intent")["clientSecret"]
        intent = secret.split("_secret_")[0]
        same = demo.api(f"invoices/{INVOICE}/payment-intent")["clientSecret"]
        demo.that("a second request returns the same PaymentIntent", same == secret, same)
        demo.console.print("  a first card is declined, a second one pays")
        confirm, back = f"/v1/payment_intents/{intent}/confirm", "https://app.example.com/paid"
        demo.stripe("POST", confirm, 402, payment_method="pm_card_chargeDeclined", return_url=back)
        demo.stripe("POST", confirm, payment_method="pm_card_visa", return_url=back)

    demo.step(f"{INVOICE} paid by its PaymentIntent", pay, invoices=["PAID"] * 4, payments=["SUCCEEDED"] * 4)
    own = next(i for i in demo.account()["INVOICE"] if i["invoiceId"] == INVOICE)
    demo.that("250.00 USD are counted once", own["amountPaid"] == 25000, str(own["amountPaid"]))

    missed(demo, subscription_id)
    demo.step(
        "Cancelled",
        lambda: demo.stripe("DELETE", f"/v1/subscriptions/{subscription_id}"),
        tenant=["CANCELED"],
        subscriptions=["canceled"],
        invoices=["PAID"] * 5,
        payments=["SUCCEEDED"] * 5,
    )
    announced(demo)


def missed(demo: Demo, subscription_id: str) -> None:
    """The reconciliation finds webhooks that never arrived. It announces their changes like all others."""
    renewed = f"/_control/subscriptions/{subscription_id}/renew"

    def lose() -> None:
        demo.stripe("POST", "/_control/weather", lost="1")
        demo.stripe("POST", renewed)
        demo.stripe("POST", "/_control/weather")

    demo.step("A renewal, and every webhook of it is lost", lose, invoices=["PAID"] * 4, payments=["SUCCEEDED"] * 4)
    found = demo.stack.runtimes["ReconcileStripeFunction"].invoke
    report: dict[str, Any] = {}
    demo.step(
        "Reconciliation: the table is compared with Stripe",
        lambda: report.update(found({})),
        subscriptions=["active"],
        invoices=["PAID"] * 5,
        payments=["SUCCEEDED"] * 5,
    )
    demo.that(f"it found {report['missed']} missed events and applied them", report["missed"] > 0, str(report))


def announced(demo: Demo) -> None:
    """Shows and checks the announcements that the bus carried to the other services of the platform."""
    demo.console.rule("[bold]Announced", align="left")
    demo.that("the function got every change", demo.stack.wait_until_announced(_SETTLE_SECONDS), "it did not")
    heard = {
        announcement["id"]: announcement["type"]
        for announcement in demo.stack.announcements
        if announcement["tenantId"] == TENANT
    }
    counts = Counter(heard.values())
    for kind, count in counts.items():
        demo.console.print(f"  {count:3} {kind}")
    for kind, count in {"tenant.activated": 1, "invoice.paid": 5, "invoice.overdue": 1, "tenant.canceled": 1}.items():
        demo.that(f"{kind} was announced {count} x", counts[kind] == count, f"{counts[kind]} times")


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
    lost = sum(d["status"] is None for d in deliveries)
    refused = sum(d["status"] not in (None, requests.codes.ok) for d in deliveries)
    demo.console.rule("[bold]Summary", align="left")
    demo.console.print(
        f"  {demo.steps} steps, {demo.checks} checks, {len(deliveries)} webhook deliveries "
        f"({lost} lost, {refused} had to be repeated), {seconds:.1f} s"
    )
    for failure in demo.failures:
        demo.console.print(f"  [red]✗ {failure}[/]")
    demo.console.print("  [red]FAILED[/]" if demo.failures else "  [green]Everything held.[/]")
    return 1 if demo.failures else 0


if __name__ == "__main__":
    sys.exit(main())
