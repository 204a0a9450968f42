"""Runs every trigger of Stripe's CLI that concerns billing against the stand-in alone, without the functions.

All answers and all events must match Stripe's OpenAPI document.
"""

import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Final

import pytest
from werkzeug.serving import make_server

from local.serving import Quiet
from local.stripe.account import Account
from local.stripe.engine import timetravel
from local.stripe.engine.store import DAY
from local.stripe.server import StripeServer
from tests import openapi
from tests.e2e.test_stripe_cli import TIMEOUT, cli, environment, known_triggers, pytestmark

__all__ = ["cli", "pytestmark"]

# These fixtures of the CLI have parameters that Stripe took out of its API later. The arguments put today's in.
_CODE = ["--remove", "promotion_code:coupon", "--add", "promotion_code:promotion.type=coupon"]
_CODE += ["--add", "promotion_code:promotion.coupon=${coupon:id}"]


def _months(count: int) -> list[str]:
    """Phases of a month each. `iterations` became `duration`."""
    made = ["--remove", "subscription_schedule:phases"]
    for n in range(count):
        made += ["--add", f"subscription_schedule:phases[{n}][items][0][price]=${{price:id}}"]
        made += ["--add", f"subscription_schedule:phases[{n}][duration][interval]=month"]
    return made


ARGUMENTS: Final = {
    "promotion_code.created": _CODE,
    "promotion_code.updated": _CODE,
    "subscription_schedule.canceled": _months(2),
    "subscription_schedule.completed": _months(1),
    "subscription_schedule.created": _months(2),
    "subscription_schedule.released": _months(2),
    "subscription_schedule.updated": _months(2),
}
# The CLI calls these two by another name than Stripe.
NAMES: Final = {
    "subscription.payment_failed": "invoice.payment_failed",
    "subscription.payment_succeeded": "invoice.payment_succeeded",
}
# What concerns no billing, and so is not in the stand-in. Each is the beginning of a trigger's name.
ELSEWHERE: Final = {
    "account.": "Connect",
    "cash_balance.": "bank transfers",
    "customer_cash_balance_transaction.": "bank transfers",
    "identity.": "Identity",
    "issuing_": "Issuing",
    "payment_intent.partially_funded": "bank transfers",
    "payout.": "the account's own bank",
    "reporting.": "reports",
    "topup.": "the account's own bank",
    "transfer.": "Connect",
    "v1.billing.meter": "usage-based prices",
}
_NO_COUPON = "the fixture gives the customer a coupon, but POST /v1/customers has no such parameter any more"
# Triggers of billing that do not work here, and why.
MISSING: Final = {
    "customer.discount.created": _NO_COUPON,
    "customer.discount.deleted": _NO_COUPON,
    "customer.discount.updated": _NO_COUPON,
    "customer.source.updated": "a path with two ids, for cards that payment methods replaced",
    "subscription_schedule.aborted": "the fixture cancels a schedule; the event is documented for unpaid subscriptions",
    "subscription_schedule.expiring": "documented for seven days before the end; the fixture stops nine days before it",
}


@contextmanager
def served(account: Account) -> Iterator[tuple[openapi.Watched, str]]:
    watched = openapi.Watched(StripeServer(account))
    server = make_server("127.0.0.1", 0, watched, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield watched, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    account.webhooks.close()


def run(cli: Path, address: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(cli), *arguments, "--api-key", "sk_test_local", "--api-base", address]
    return subprocess.run(
        command, env=environment(cli), capture_output=True, text=True, timeout=TIMEOUT, check=False, stdin=None
    )


def problems(cli: Path, trigger: str) -> list[str]:
    """What is wrong with this trigger. Each has an account of its own, because some of them move the clock."""
    account = Account("sk_test_local")
    account.store.dunning_ends = "past_due"  # one fixture has a subscription for a month, and no card
    with served(account) as (watched, address):
        done = run(cli, address, "trigger", trigger, *ARGUMENTS.get(trigger, []))
    if "async" in trigger:  # the bank answers after some days
        timetravel.advance(account.store, account.clock, 5 * DAY)
    events = account.store.all("event")
    found = [finding for event in events for finding in openapi.of_event(event)] + watched.findings
    if done.returncode:
        found.append(done.stdout + done.stderr)
    if NAMES.get(trigger, trigger) not in {event["type"] for event in events}:
        found.append("no such event")
    return [f"{trigger}: {finding}" for finding in found]


def test_every_trigger_of_billing(cli: Path) -> None:
    known = known_triggers(cli)
    billing = [name for name in known if not name.startswith(tuple(ELSEWHERE))]
    assert set(billing) >= MISSING.keys()
    working = [name for name in billing if name not in MISSING]
    assert len(working) >= 88
    with ThreadPoolExecutor(2) as pool:
        found = [problem for one in pool.map(lambda name: problems(cli, name), working) for problem in one]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("trigger", MISSING)
def test_a_missing_trigger_is_still_missing(cli: Path, trigger: str) -> None:
    assert problems(cli, trigger)


def test_an_event_is_sent_once_more(cli: Path) -> None:
    arrived: list[str] = []

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            arrived.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    endpoint = HTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=endpoint.serve_forever, daemon=True).start()
    account = Account("sk_test_local")
    account.webhooks.url = f"http://127.0.0.1:{endpoint.server_port}/webhook"
    account.webhooks.roll_secret()
    event = account.store.emit("customer.created", account.store.create("customer"))
    with served(account) as (_, address):
        assert account.webhooks.wait_idle(TIMEOUT)
        done = run(cli, address, "events", "resend", event["id"])
        assert account.webhooks.wait_idle(TIMEOUT)
        unknown = run(cli, address, "events", "resend", "evt_none")
    endpoint.shutdown()
    endpoint.server_close()
    assert done.returncode == 0, done.stderr
    assert [event["id"] in body for body in arrived] == [True, True]
    assert "No such event" in unknown.stdout + unknown.stderr
