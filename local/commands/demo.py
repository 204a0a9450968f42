"""`make demo`: plays the life of one tenant over HTTP, on a stack of its own.

Each step says what happens, what changed in the table, and what must hold. The exit status is 0 if everything holds.
`FULL=1` shows the whole table after each step too.
"""

import logging
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from rich.console import Console

from local.commands import seed
from local.commands.seed import INVOICE, TENANT
from local.commands.stage import (
    SETTLE_SECONDS,
    WIDTH,
    Failed,
    Stage,
    invoices,
    payments,
    subscription,
    tenant,
)
from local.commands.variables import Variables
from local.stack import temporary

_CHECKOUT: Final = f"stripe/checkout?tenantId={TENANT}&planId=plan-pro"


def life(stage: Stage) -> None:
    """Plays one tenant from its first checkout to its cancellation."""
    stage.title("At the start")
    stage.tell(f"The table has the tenant {TENANT}, which has no plan yet, and an invoice for its set-up, {INVOICE}.")
    stage.show()
    subscribe(stage)
    subscription_id: str = stage.account()["SUBSCRIPTION"][0]["stripeSubscriptionId"]
    repeat(stage)
    renew(stage, subscription_id)
    change_plan(stage, subscription_id)
    pay_own_invoice(stage)
    lose(stage, subscription_id)
    stage.step(
        "The tenant cancels",
        "Its subscription ends now. What it paid stays on record.",
        lambda: stage.stripe("DELETE", f"/v1/subscriptions/{subscription_id}"),
        tenant("CANCELED", "The tenant is CANCELED: it has no subscription any more."),
        subscription("canceled", "Its subscription is canceled."),
        invoices("PAID " * 5, "All 5 invoices stay PAID."),
        payments("SUCCEEDED " * 5, "All 5 payments stay SUCCEEDED."),
    )
    announced(stage)


def subscribe(stage: Stage) -> None:
    opened: list[str] = []
    stage.step(
        "The tenant starts a checkout",
        "Its frontend asks the API for a Checkout Session. The answer is the address of Stripe's page, where the buyer "
        "enters a card.",
        lambda: opened.append(stage.api(_CHECKOUT)["sessionUrl"]),
        tenant("PENDING", "The tenant is PENDING: it has not paid yet."),
        subscription("", "It has no subscription."),
        invoices("PENDING", f"Its only invoice is {INVOICE}, which is PENDING."),
        payments("", "It has no payments."),
    )
    again = stage.api(_CHECKOUT)["sessionUrl"]
    stage.that("A second request gets the same session.", [again] == opened, f"it got {again}.")
    session = opened[0].rsplit("/", 1)[1]
    stage.step(
        "The tenant pays",
        "The buyer enters a card. Stripe makes the subscription, charges the card and sends webhooks, in any order.",
        lambda: stage.stripe("POST", f"/_control/checkout_sessions/{session}/complete"),
        tenant("ACTIVE", "The tenant is ACTIVE: its first payment came."),
        subscription("active", "Its subscription is active."),
        invoices("PENDING PAID", "The subscription's first invoice is PAID."),
        payments("SUCCEEDED", "Its payment SUCCEEDED."),
    )
    found = stage.account()["SUBSCRIPTION"][0]
    plan = found.get("planId")
    stage.that("The subscription is of plan-pro.", plan == "plan-pro", f"it is of {plan}.")
    stage.tell("A second subscription is refused (409). The portal is where a tenant changes its plan:")
    stage.api(_CHECKOUT, expected=409)
    portal = stage.api(f"stripe/portal?customerId={found['stripeCustomerId']}")["portalUrl"]
    stage.that("The portal opens.", "/p/session/" in portal, f"the address is {portal}.")


def repeat(stage: Stage) -> None:
    events = stage.stripe("GET", "/v1/events?limit=100")["data"]
    newest = {event["type"]: event["id"] for event in reversed(events)}
    before = stage.account()
    stage.step(
        "Stripe sends the same events once more",
        "Stripe may deliver an event more than once. It must count only once.",
        lambda: [stage.stripe("POST", f"/_control/events/{event_id}/deliver") for event_id in newest.values()],
    )
    stage.that("Nothing was written.", stage.account() == before, "an item of the table changed.")


def renew(stage: Stage, subscription_id: str) -> None:
    def period(outcome: str) -> Callable[[], object]:
        return lambda: stage.stripe("POST", f"/_control/subscriptions/{subscription_id}/renew", outcome=outcome)

    stage.step(
        "The subscription renews",
        "A month is over. Stripe makes an invoice for the next one and charges the same card.",
        period("paid"),
        tenant("ACTIVE", "The tenant is ACTIVE."),
        subscription("active", "Its subscription is active for another month."),
        invoices("PENDING PAID PAID", "The renewal's invoice is PAID."),
        payments("SUCCEEDED SUCCEEDED", "Its payment SUCCEEDED."),
    )
    stage.step(
        "At the next renewal, the card is declined",
        "Stripe tries again in the next days.",
        period("failed"),
        tenant("ACTIVE", "The tenant is still ACTIVE: Stripe has not given up."),
        subscription("past_due", "Its subscription is past_due."),
        invoices("PENDING OVERDUE PAID PAID", "The renewal's invoice is OVERDUE."),
        payments("FAILED SUCCEEDED SUCCEEDED", "Its payment FAILED."),
    )
    overdue = next(i["invoiceId"] for i in stage.account()["INVOICE"] if i["status"] == "OVERDUE")
    stage.step(
        "Another card pays",
        "The tenant pays the overdue invoice with another card.",
        lambda: stage.stripe("POST", f"/v1/invoices/{overdue}/pay", payment_method="pm_card_visa"),
        tenant("ACTIVE", "The tenant is ACTIVE."),
        subscription("active", "Its subscription is active again."),
        invoices("PENDING PAID PAID PAID", "The overdue invoice is PAID."),
        payments("SUCCEEDED SUCCEEDED SUCCEEDED", "Its payment SUCCEEDED in the end."),
    )


def change_plan(stage: Stage, subscription_id: str) -> None:
    item = stage.stripe("GET", f"/v1/subscriptions/{subscription_id}")["items"]["data"][0]["id"]
    price = stage.stripe("GET", "/v1/prices?lookup_keys[]=plan-enterprise")["data"][0]["id"]
    change = {"items[0][id]": item, "items[0][price]": price}
    stage.step(
        "The tenant changes its plan",
        "It does so at Stripe, in the customer portal. A webhook tells us.",
        lambda: stage.stripe("POST", f"/v1/subscriptions/{subscription_id}", **change),
        subscription("active", "Its subscription stays active."),
    )
    plan = stage.account()["SUBSCRIPTION"][0].get("planId")
    stage.that("The subscription is of plan-enterprise.", plan == "plan-enterprise", f"it is of {plan}.")


def pay_own_invoice(stage: Stage) -> None:
    def pay() -> None:
        secret = stage.api(f"invoices/{INVOICE}/payment-intent")["clientSecret"]
        intent = secret.split("_secret_")[0]
        same = stage.api(f"invoices/{INVOICE}/payment-intent")["clientSecret"]
        stage.that("A second request gets the same PaymentIntent.", same == secret, "it got another one.")
        confirm, back = f"/v1/payment_intents/{intent}/confirm", "https://app.example.com/paid"
        stage.stripe("POST", confirm, 402, payment_method="pm_card_chargeDeclined", return_url=back)
        stage.stripe("POST", confirm, payment_method="pm_card_visa", return_url=back)

    stage.step(
        f"The tenant pays {INVOICE}",
        f"{INVOICE} is the platform's own invoice, which Stripe does not know. The tenant pays it with a "
        "PaymentIntent. A first card is declined, a second one pays.",
        pay,
        invoices("PAID PAID PAID PAID", "All invoices are PAID."),
        payments("SUCCEEDED " * 4, "All payments SUCCEEDED."),
    )
    paid = next(i["amountPaid"] for i in stage.account()["INVOICE"] if i["invoiceId"] == INVOICE)
    stage.that("The money is counted once: 250.00 USD.", paid == 25000, f"{paid} cents are counted.")


def lose(stage: Stage, subscription_id: str) -> None:
    """The reconciliation finds webhooks that never arrived. It announces their changes like all others."""

    def renew_unheard() -> None:
        stage.stripe("POST", "/_control/weather", lost="1")
        stage.stripe("POST", f"/_control/subscriptions/{subscription_id}/renew")
        stage.stripe("POST", "/_control/weather")

    stage.step(
        "A renewal whose webhooks are all lost",
        "Stripe renews the subscription and charges the card, but no webhook arrives.",
        renew_unheard,
        invoices("PAID PAID PAID PAID", "The table does not know the new invoice."),
        payments("SUCCEEDED " * 4, "It does not know the payment either."),
    )
    report: dict[str, Any] = {}
    stage.step(
        "The reconciliation finds what was lost",
        "Every hour a function compares the table with Stripe.",
        lambda: report.update(stage.stack.runtimes["ReconcileStripeFunction"].invoke({})),
        subscription("active", "The subscription is active for another month."),
        invoices("PAID " * 5, "The lost invoice is there, and PAID."),
        payments("SUCCEEDED " * 5, "Its payment is there, too."),
    )
    missed = report["missed"]
    stage.that("It found and applied the lost events.", missed > 0, f"it found {missed}.")


def announced(stage: Stage) -> None:
    """Shows and checks the announcements that the bus carried to the other services of the platform."""
    stage.title("What the other services of the platform heard")
    stage.that("Every change was announced.", stage.stack.wait_until_announced(SETTLE_SECONDS), "some were not.")
    # The stream delivers each write at least once. So this code, like any consumer, drops equal ids.
    heard = {one["id"]: one["type"] for one in stage.stack.announcements if one["tenantId"] == TENANT}
    counts = Counter(heard.values())
    for kind, count in counts.items():
        stage.tell(f"{kind}: {count}")
    for kind, count, sentence in (
        ("tenant.activated", 1, "The tenant was activated once."),
        ("invoice.paid", 5, "5 invoices were paid, each once."),
        ("invoice.overdue", 1, "One invoice was overdue, once."),
        ("tenant.canceled", 1, "The tenant was canceled once."),
    ):
        stage.that(sentence, counts[kind] == count, f"{kind} was announced {counts[kind]} times.")


def play(stage: Stage, story: Callable[[Stage], None]) -> int:
    """Plays the story. Returns the exit status: 1 if a check failed or the story could not go on."""
    try:
        story(stage)
    except Failed as problem:
        stage.failed(str(problem))
    return stage.summary()


def main() -> int:
    full = Variables("demo", "FULL DYNAMODB", sys.argv[1:]).flag("FULL")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    # A line that were too long would not be wrapped: nothing that people may want to copy is broken.
    console = Console(highlight=False, soft_wrap=True, width=WIDTH)
    stack, remove = temporary()
    console.print("Starting a stack of its own for this demo …")
    try:
        with stack:
            seed.seed(stack)
            stage = Stage(stack, console, full=full)
            stage.tell(
                "In the steps below, + is a new item of the table, ~ a changed one (old → new), - one that is gone."
            )
            return play(stage, life)
    finally:
        remove()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RuntimeError as error:
        sys.exit(f"The stack cannot start: {error}")
