"""Checks that each story leads to what it tells people to look at, and that its seed repeats it."""

from collections.abc import Callable
from typing import Any

import pytest
import requests
import stripe

from billing.adapters.table import items as table_items
from billing.domain import entities
from local.account import account
from local.console import rules
from local.console.sides import Sides
from local.scenarios import SCENARIOS
from local.stack import Stack
from local.stripe.server import LOOK
from local.template import ROOT
from tests.e2e.test_commands import refused, said

TIMEOUT = 600  # in seconds; long enough for a busy machine


def play(stack: Stack, name: str, seed: str = "1") -> dict[str, Any]:
    """What the console says to a script."""
    form, headers = {"scenario": name, "seed": seed}, {"Accept": "application/json"}
    answer = requests.post(f"{stack.api_url}/console/scenario", form, headers=headers, timeout=TIMEOUT)
    said: dict[str, Any] = answer.json()
    return said


def statuses(stack: Stack, tenant: str) -> dict[str, list[str]]:
    """By kind, oldest first."""
    return {kind: [item["status"] for item in held] for kind, held in account(stack.aws, tenant).items()}


def heard(stack: Stack, tenant: str) -> list[str]:
    """The types of the tenant's announcements."""
    assert stack.wait_until_announced(TIMEOUT)
    return list({one["id"]: one["type"] for one in stack.announcements if one["tenantId"] == tenant}.values())


def events_of(stack: Stack, tenant: str) -> list[Any]:
    """Stripe's events about the tenant's customer, oldest first."""
    assert stack.stripe
    customer = account(stack.aws, tenant)["TENANT"][0]["stripeCustomerId"]
    return [event for event in reversed(stack.stripe.store.all("event")) if customer in str(event)]


def lost(stack: Stack, tenant: str) -> list[str]:
    assert stack.stripe
    mine = {event["id"] for event in events_of(stack, tenant)}
    return [one["type"] for one in stack.stripe.webhooks.log if one["status"] is None and one["event"] in mine]


# -- what there is to be seen


def sees_a_confirmation_that_is_needed(stack: Stack, tenant: str) -> None:
    assert statuses(stack, tenant)["INVOICE"] == ["PAID", "PENDING"]
    assert statuses(stack, tenant)["SUBSCRIPTION"] == ["past_due"]
    assert account(stack.aws, tenant)["INVOICE"][1]["actionRequired"]
    assert "invoice.action_required" in heard(stack, tenant)


def sees_a_debit_that_failed(stack: Stack, tenant: str) -> None:
    assert statuses(stack, tenant)["TENANT"] == ["PENDING"]
    told = heard(stack, tenant)
    assert "payment.failed" in told
    assert "tenant.activated" not in told
    assert "checkout.session.async_payment_failed" in [event["type"] for event in events_of(stack, tenant)]


def sees_a_dispute_that_was_won(stack: Stack, tenant: str) -> None:
    [payment] = account(stack.aws, tenant)["PAYMENT"]
    assert (payment["disputed"], payment["disputeStatus"]) == (False, "won")
    told = heard(stack, tenant)
    assert told.index("payment.disputed") < told.index("payment.dispute_closed")
    disputes = [row["type"] for row in events_of_disputes(stack, tenant)]
    assert disputes == [f"charge.dispute.{name}" for name in DISPUTE]


DISPUTE = "created funds_withdrawn closed funds_reinstated".split()


def events_of_disputes(stack: Stack, tenant: str) -> list[Any]:
    assert stack.stripe
    [payment] = account(stack.aws, tenant)["PAYMENT"]
    found = [event for event in reversed(stack.stripe.store.all("event")) if "dispute" in event["type"]]
    return [event for event in found if payment["stripePaymentIntentId"] in str(event)]


def sees_a_decline_that_cost_nothing(stack: Stack, tenant: str) -> None:
    assert statuses(stack, tenant)["TENANT"] == ["ACTIVE"]
    types = [event["type"] for event in events_of(stack, tenant)]
    assert types.index("invoice.payment_failed") < types.index("invoice.paid")
    made = next(e for e in events_of(stack, tenant) if e["type"] == "customer.subscription.created")
    assert made["data"]["object"]["status"] == "incomplete"
    assert heard(stack, tenant).count("tenant.activated") == 1
    assert "invoice.overdue" not in heard(stack, tenant)


def sees_that_nothing_came(stack: Stack, tenant: str) -> None:
    assert statuses(stack, tenant) == {"TENANT": ["PENDING"], "SUBSCRIPTION": [], "INVOICE": [], "PAYMENT": []}
    assert Sides(stack).of_tenant(tenant)[0].differing


def sees_what_half_of_the_events_told(stack: Stack, tenant: str) -> None:
    assert statuses(stack, tenant)["INVOICE"][0] == "PAID"
    assert lost(stack, tenant)
    assert any(one.differing for one in Sides(stack).of_tenant(tenant))


@pytest.mark.parametrize(
    ("name", "sees"),
    [
        ("declined-renewal", sees_what_half_of_the_events_told),
        ("three-d-secure-renewal", sees_a_confirmation_that_is_needed),
        ("failed-debit", sees_a_debit_that_failed),
        ("won-dispute", sees_a_dispute_that_was_won),
        ("declined-at-first", sees_a_decline_that_cost_nothing),
        ("all-lost", sees_that_nothing_came),
    ],
)
def test_a_story_leads_to_what_it_promises(stack: Stack, name: str, sees: Callable[[Stack, str], None]) -> None:
    assert play(stack, name) == {
        "go": f"/?scenario={name}&seed=1&tenant={name}-1",
        "note": "",
        "problem": "",
        "more": "",
        "at": "",
    }
    sees(stack, f"{name}-1")


def test_every_story_is_checked_and_described() -> None:
    described = (ROOT / "docs" / "local-stack.md").read_text()
    assert all(f"| `{name}` |" in described for name in SCENARIOS)
    [marked] = [one for one in test_a_story_leads_to_what_it_promises.pytestmark if one.name == "parametrize"]  # type: ignore[attr-defined]
    assert {name for name, _ in marked.args[1]} == SCENARIOS.keys()


# -- the seed


def test_a_seed_loses_the_same_webhooks_again(stack: Stack) -> None:
    play(stack, "declined-renewal", "7")
    first = lost(stack, "declined-renewal-7")
    assert "is there already. Choose another seed" in play(stack, "declined-renewal", "7")["problem"]
    stack.reset()
    play(stack, "declined-renewal", "7")
    assert lost(stack, "declined-renewal-7") == first
    assert stack.stripe
    assert stack.stripe.webhooks.weather.lost == 0, "the weather is fair again"


@pytest.mark.parametrize(
    ("name", "seed"), [("nothing", "1"), ("all-lost", "0"), ("all-lost", "x"), ("all-lost", "1000000")]
)
def test_what_is_no_story_is_refused(stack: Stack, name: str, seed: str) -> None:
    assert play(stack, name, seed)["problem"]


def test_the_command(stack: Stack) -> None:
    assert "declined-renewal " in said(stack.state, "scenario")
    told = said(stack.state, "scenario", NAME="all-lost", SEED="9")
    assert f"{stack.api_url}/?scenario=all-lost&seed=9&tenant=all-lost-9" in told
    sees_that_nothing_came(stack, "all-lost-9")
    assert "is there already" in refused(stack.state, "scenario", NAME="all-lost", SEED="9")
    assert "There is no scenario x;" in refused(stack.state, "scenario", NAME="x")
    assert "needs NAME" in refused(stack.state, "scenario", SEED="5")
    assert max(map(len, told.splitlines()[:-1])) <= 80


def test_a_reconciliation_that_was_due_before_repairs_no_story(stack: Stack) -> None:
    assert stack.stripe
    assert stack.wait_until_on_time(TIMEOUT)
    stack.stripe.clock.move_to(stack.stripe.store.now() + 3600)
    play(stack, "all-lost", "3")
    reconcile = stack.runtimes["ReconcileStripeFunction"]
    ran = reconcile.last
    assert ran
    assert not ran.error
    checkout = next(one for one in stack.exchanges.newest_first() if one.who == "all-lost-3")
    assert ran.at < checkout.at - checkout.seconds, "it ran while the story was played, or afterwards"
    sees_that_nothing_came(stack, "all-lost-3")


# -- both sides, and why


def test_a_look_at_stripe_leaves_no_trace(stack: Stack) -> None:
    assert stack.stripe
    stack.stripe.fail(500, 1)
    calls = len(stack.stripe.calls)
    client = stripe.StripeClient(stack.api_key, base_addresses={"api": stack.stripe_base + LOOK}, max_network_retries=0)
    client.v1.customers.retrieve("cus_abc123")
    assert (stack.stripe.calls[calls:], len(stack.stripe.failures)) == ([], 1)
    with pytest.raises(stripe.StripeError):  # it is for reading only
        client.v1.customers.create({})
    stack.stripe.failures.clear()


def test_a_field_says_by_which_event_it_is_so(stack: Stack) -> None:
    play(stack, "declined-at-first")  # if no other test has done so
    heard(stack, "declined-at-first-1")
    [tenant] = account(stack.aws, "declined-at-first-1")["TENANT"]
    side = Sides(stack).of_item(tenant)
    assert side
    status = next(line for line in side.lines if line.name == "status")
    assert (status.table, status.differs) == ("ACTIVE", False)
    assert status.step
    assert status.step.before == "PENDING"
    assert status.step.event
    event = next(one for one in events_of(stack, "declined-at-first-1") if one["id"] == status.step.event[0])
    assert event["type"] == status.step.event[1]
    assert "follows from all subscriptions" in status.rule
    [customer] = [line for line in side.lines if line.name == "stripeCustomerId"]
    assert customer.step
    assert customer.step.event is None, "a call of the API wrote it"


def test_the_rules_are_of_fields_that_there_are() -> None:
    kinds = {kind.kind: kind for kind in (entities.Tenant, entities.Subscription, entities.Invoice, entities.Payment)}
    for kind, names in rules.known().items():
        fields = {table_items.camel(name) for name in kinds[entities.Kind(kind)].__dataclass_fields__}
        assert set(names) <= fields, kind
