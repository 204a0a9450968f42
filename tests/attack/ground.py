"""What all attacks use: a world that stands still, requests, the content of the table, and a runner.

An attack makes one input for each attempt, and judges what the project does with it. A judge has its own rule: it
never asks the code that it judges.
"""

import contextlib
import io
import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, Protocol, TextIO

import pytest
from moto.backends import get_backend
from moto.core.models import DEFAULT_ACCOUNT_ID
from werkzeug.serving import make_server

from billing import bootstrap
from billing.observability import logger
from local.aws.clients import REGION
from local.stack import Quiet
from local.stripe.account import Account
from local.stripe.engine.store import Store
from local.stripe.server import StripeServer
from tests.aws_calls import intercept
from tests.world import World, wired

NOW: Final = 1_795_435_200  # Unix seconds; the clocks of the platform and of the stand-in stay there
CALLS_PER_MINUTE: Final = "100000000"  # the limit of calls would hide every other answer
FINDINGS_SHOWN: Final = 3  # then the attack ends

type Event = dict[str, Any]
type Items = dict[str, str]


class Found(Exception):
    """The project did what the judge does not allow."""


class Attack(Protocol):
    def make(self, chance: random.Random) -> Any:
        """The exact input of one attempt. The same state of `chance` gives the same input."""

    def judge(self, given: Any) -> bool:
        """Tries the input. Returns whether the project accepted it. Raises `Found`."""


@dataclass(frozen=True)
class Ground:
    """What an attack gets. At its end `patch` is undone and `stack` is closed."""

    world: World
    patch: pytest.MonkeyPatch
    stack: ExitStack


type Prepare = Callable[[Ground], Attack]


@dataclass
class Tally:
    name: str
    attempts: int = 0
    refused: int = 0
    accepted: int = 0
    seconds: float = 0
    findings: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        counts = f"{self.attempts:>9,} {self.refused:>9,} {self.accepted:>9,} {len(self.findings):>9,}"
        return f"{self.name:<14}{counts} {self.seconds:>9.1f}"


def run(name: str, prepare: Prepare, world: World, attempts: int, seed: int) -> Tally:
    tally = Tally(name)
    began = time.monotonic()
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        _stand_still(world, patch, seed)
        nowhere = stack.enter_context(Path(os.devnull).open("w"))
        stack.enter_context(_logging_to(nowhere))
        attack = prepare(Ground(world, patch, stack))
        for number in range(attempts):
            given = attack.make(random.Random(f"{seed} {name} {number}"))
            tally.attempts += 1
            try:
                accepted = attack.judge(given)
            except Exception as error:  # noqa: BLE001 - a handler that raises is a finding too
                what = f"{type(error).__name__}: {error}"
                tally.findings.append(f"{name}, seed {seed}, attempt {number}: {what}\n  input: {given!r}")
                if len(tally.findings) == FINDINGS_SHOWN:
                    break
            else:
                tally.accepted += accepted
                tally.refused += not accepted
    tally.seconds = time.monotonic() - began
    return tally


def _stand_still(world: World, patch: pytest.MonkeyPatch, seed: int) -> None:
    """Stops the clocks, and makes the stand-in's ids depend on the seed. So a seed repeats its inputs exactly."""
    patch.setattr("billing.clock.seconds", lambda: NOW)
    patch.setattr("stripe._webhook.time", SimpleNamespace(time=lambda: NOW))
    patch.setattr("local.stripe.engine.store.chance", random.Random(seed))
    patch.setenv("TENANT_CALLS_PER_MINUTE", CALLS_PER_MINUTE)
    world.stripe.replace_store(Store(lambda _: None, lambda: NOW))
    bootstrap.reset()


@contextmanager
def standing() -> Iterator[World]:
    """The world of `tests/conftest.py`, without pytest's fixtures."""
    with ExitStack() as stack:
        account = Account("sk_test_local", "https://checkout.stripe.com")
        server = make_server("127.0.0.1", 0, StripeServer(account), threaded=True, request_handler=Quiet)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        stack.callback(account.webhooks.close)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        yield stack.enter_context(wired(account, f"http://127.0.0.1:{server.server_port}", patch))


# -- requests


@dataclass(frozen=True)
class Endpoint:
    """`function`: its folder. `path` and `other`: its parameters, as the tables of docs/api.md have them."""

    function: str
    path: tuple[str, ...] = ()
    other: tuple[str, ...] = ()


ENDPOINTS: Final = (
    Endpoint("start_checkout", (), ("tenantId", "planId", "customerId")),
    Endpoint("open_portal", (), ("customerId", "returnUrl")),
    Endpoint("create_payment_intent", ("invoiceId",)),
    Endpoint("get_checkout", ("sessionId",)),
    Endpoint("put_plan", ("planId",), ("stripePriceId", "name", "trialDays", "active")),
    Endpoint("create_invoice", ("tenantId",), ("amount", "currency", "invoiceId", "dueDate", "description")),
    Endpoint("get_tenant_history", ("tenantId",), ("limit", "cursor")),
    Endpoint("list_stripe_events", (), ("status", "tenantId", "limit", "cursor")),
    Endpoint("get_stripe_event", ("eventId",)),
    Endpoint("replay_stripe_event", ("eventId",)),
    Endpoint("start_reconciliation", (), ("dryRun",)),
)


def request(claims: Any, path: Any = None, query: Any = None, body: Any = None) -> Event:
    """API Gateway's event of one call (payload format 2.0). It leaves out what is empty, as the gateway does."""
    context = {"requestId": "request-1", "authorizer": {"jwt": {"claims": claims, "scopes": None}}}
    parts = {"pathParameters": path, "queryStringParameters": query, "body": json.dumps(body) if body else None}
    filled = {name: part for name, part in parts.items() if part}
    return {"version": "2.0", "headers": {}, "requestContext": context, "isBase64Encoded": False} | filled


def scan(world: World) -> Items:
    """The whole table, from keys to items, as text. Moto's own objects are read: a call takes 20 times as long."""
    table = get_backend("dynamodb")[DEFAULT_ACCOUNT_ID][REGION].get_table(world.table.name)
    found = [item.to_json()["Attributes"] for item in table.all_items()]
    return {f"{item['PK']['S']} {item['SK']['S']}": json.dumps(item, sort_keys=True) for item in found}


def restore(world: World, before: Items, after: Items) -> None:
    """Makes the table as it was."""
    for key in after.keys() - before.keys():
        pk, sk = (json.loads(after[key])[name] for name in ("PK", "SK"))
        world.dynamodb.delete_item(TableName=world.table.name, Key={"PK": pk, "SK": sk})
    for key, item in before.items():
        if after.get(key) != item:
            world.dynamodb.put_item(TableName=world.table.name, Item=json.loads(item))


# -- what one call costs


@dataclass
class Cost:
    """`aws`: calls of the table and of every other service. `log`: characters."""

    aws: int = 0
    stripe: int = 0
    log: int = 0


@contextmanager
def measured(world: World) -> Iterator[Cost]:
    """Counts the calls of AWS and of Stripe, and what is logged. Lambda is not asked: it accepts every invocation."""
    cost = Cost()
    calls = len(world.stripe.calls)
    log = io.StringIO()

    def counted(_: str, operation: str, __: Event, call: Callable[[], Any]) -> Any:
        cost.aws += 1
        return {"StatusCode": 202} if operation == "Invoke" else call()

    with pytest.MonkeyPatch.context() as patch, _logging_to(log):
        intercept(patch, counted)
        try:
            yield cost
        finally:
            cost.stripe = len(world.stripe.calls) - calls
            cost.log = len(log.getvalue())


@contextmanager
def _logging_to(stream: TextIO) -> Iterator[None]:
    """Redirects the log, which keeps its stream, and the metrics, which are printed."""
    handler: Any = logger.registered_handler
    before = handler.setStream(stream)
    try:
        with contextlib.redirect_stdout(stream):
            yield
    finally:
        handler.setStream(before)
