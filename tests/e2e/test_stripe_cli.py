"""Checks the stand-in with Stripe's own CLI.

`stripe trigger` works here as it works at Stripe, and the functions apply the webhooks that follow.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import requests

from billing.adapters.table import keys
from billing.replica.effects import EFFECTS
from local.stack import Stack
from local.tokens import STATE

PACKAGE = "@stripe/cli@1.52.0"
TENANT = "cli"
TIMEOUT = 600  # in seconds; long enough for a busy machine

# Maps each type to the arguments that give the objects of the fixture to a tenant. They add the metadata that our
# checkout also adds to its objects.
_RECURRING = ["--add", "price:recurring.interval=month", "--override", "checkout_session:mode=subscription"]
_SESSION = [*_RECURRING, "--add", f"checkout_session:metadata.tenantId={TENANT}"]
_SUBSCRIPTION = ["--add", f"subscription:metadata.tenantId={TENANT}"]
_INVOICE = ["--add", f"invoice:metadata.tenantId={TENANT}"]
_INTENT = ["--add", f"payment_intent:metadata.tenantId={TENANT}"]
TRIGGERS = {
    "charge.dispute.closed": _INTENT,
    "charge.dispute.created": _INTENT,
    "charge.dispute.updated": _INTENT,
    "charge.refunded": _INTENT,
    "checkout.session.async_payment_failed": _SESSION,
    "checkout.session.async_payment_succeeded": _SESSION,
    "checkout.session.completed": _SESSION,
    "checkout.session.expired": _SESSION,
    "customer.deleted": ["--add", f"customer:metadata.tenantId={TENANT}"],
    "customer.subscription.created": _SUBSCRIPTION,
    "customer.subscription.deleted": _SUBSCRIPTION,
    "customer.subscription.paused": _SUBSCRIPTION,
    "customer.subscription.trial_will_end": _SUBSCRIPTION,
    "customer.subscription.updated": _SUBSCRIPTION,
    "invoice.finalized": _INVOICE,
    "invoice.marked_uncollectible": _INVOICE,
    "invoice.paid": _INVOICE,
    "invoice.payment_action_required": _INVOICE,
    "invoice.payment_failed": _INVOICE,
    "invoice.payment_succeeded": _INVOICE,
    "invoice.voided": _INVOICE,
    "payment_intent.canceled": _INTENT,
    "payment_intent.payment_failed": _INTENT,
    "payment_intent.processing": _INTENT,
    "payment_intent.requires_action": _INTENT,
    "payment_intent.succeeded": _INTENT,
}
# The CLI has no trigger for these types.
UNKNOWN = {
    "charge.dispute.funds_reinstated",
    "charge.dispute.funds_withdrawn",
    "customer.subscription.resumed",
    "invoice.overpaid",
    "invoice_payment.paid",
    "refund.failed",
    "refund.updated",
}

pytestmark = [
    pytest.mark.skipif(not shutil.which("npm"), reason="npm is missing, and it is needed to install Stripe's CLI"),
]


@pytest.fixture(scope="session")
def cli() -> Path:
    folder = STATE / "stripe-cli"
    found = folder / "node_modules" / ".bin" / "stripe"
    if not found.exists():
        folder.mkdir(parents=True, exist_ok=True)
        install = ["npm", "install", "--silent", "--ignore-scripts", "--prefix", str(folder), PACKAGE]
        subprocess.run(install, check=True, capture_output=True)
    return found


def environment(cli: Path) -> dict[str, str]:
    home = {"XDG_CONFIG_HOME": str(cli.parents[2] / "config")}
    return {**os.environ, **home, "STRIPE_CLI_TELEMETRY_OPTOUT": "1", "STRIPE_NO_AUTO_UPDATE": "1"}


def known_triggers(cli: Path) -> list[str]:
    """The names of all events that this CLI can trigger."""
    listed = subprocess.run([str(cli), "trigger", "--help"], capture_output=True, text=True, check=True).stdout
    names = listed.split("Supported events:")[1].split("Usage:")[0]
    return names.split()


def trigger(cli: Path, stack: Stack, *arguments: str) -> None:
    command = [str(cli), "trigger", *arguments, "--api-key", stack.api_key, "--api-base", stack.stripe_base]
    done = subprocess.run(command, env=environment(cli), capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_handled_type_that_the_cli_knows(cli: Path) -> None:
    known = known_triggers(cli)
    assert {kind for kind in EFFECTS if kind in known} == TRIGGERS.keys()
    assert EFFECTS.keys() - TRIGGERS.keys() == UNKNOWN


@pytest.mark.parametrize("event_type", TRIGGERS)
def test_a_trigger_arrives_and_is_applied(cli: Path, stack: Stack, event_type: str) -> None:
    assert stack.stripe
    before = {event["id"] for event in stack.stripe.store.all("event", type=event_type)}
    trigger(cli, stack, event_type, *TRIGGERS[event_type])
    if "async" in event_type:  # the bank answers after some days
        requests.post(f"{stack.stripe_base}/_control/clock", {"days": "5"}, timeout=TIMEOUT)
    assert stack.stripe.webhooks.wait_idle(TIMEOUT)
    made = [event for event in stack.stripe.store.all("event", type=event_type) if event["id"] not in before]
    assert made, f"the trigger made no {event_type}"
    table = stack.aws.table()
    records = table.read(keys.event(event["id"]) for event in made)
    # An event is STALE if a fetch in the same second already brought its state. An expired session is always STALE,
    # because our checkout did not open it.
    allowed = {"STALE"} if event_type == "checkout.session.expired" else {"PROCESSED", "STALE"}
    assert len(records) == len(made)
    assert {record["tenantId"] for record in records.values()} == {TENANT}
    assert {record["status"] for record in records.values()} <= allowed
