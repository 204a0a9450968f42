"""The stage of a history: the real handlers over a table in memory, and Stripe's stand-in, asked how it was.

Everything that the functions are connected to is replaced at the border of the process: the table's client, the HTTP
client of Stripe's SDK, the clocks. Nothing of the project's own code is.
"""

import copy
import itertools
import json
import logging
import os
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from unittest.mock import patch
from urllib.parse import urlsplit

from requests.structures import CaseInsensitiveDict
from werkzeug.test import Client

from billing import bootstrap, clock
from billing.adapters import stripe_api
from billing.adapters.aws.json_api import DYNAMODB, JsonApi
from billing.adapters.stripe_http import Urllib3Client
from billing.domain.caller import DEFAULT_ADMIN_SCOPE
from billing.observability import logger, metrics
from local import template
from local.stripe.account import Account
from local.stripe.engine import store as ids
from local.stripe.engine.store import Object, Store
from local.stripe.server import StripeServer
from tests.orders.memory import Memory
from tests.torture.faults import UNHURRIED
from tests.torture.harness import START, Ids
from tests.world import CREDENTIALS, WEBHOOK_SECRET, World

type Answered = tuple[bytes, int, Mapping[str, str]]

# The platform's clock stands still. No decision reads it: it only dates records and writes, and a canonical item has no
# such date (`behaviour.py`). `walk.py` lets it run and gets the same tables.
NOW: Final = int(START) + 3600
_STRIPE: Final = "http://stripe.test"
_CHANGES: Final = re.compile(rb"\?s=\d+|req_[\w-]+")  # what the stand-in makes anew for each answer
_CALL_SECONDS: Final = 0.01  # how long a call of Stripe takes


@dataclass
class Moment:
    """Stripe as it was. `events`: so many had been created. `rest`: the happening was over. `customers`: see `Life`."""

    label: str
    store: Store
    events: int
    rest: bool
    customers: Collection[str] | None
    answers: dict[str, tuple[Answered, int]] = field(default_factory=dict)


class Stage:
    def __init__(self) -> None:
        self.memory = Memory()
        self.account = Account("sk_test_local", "https://checkout.stripe.com")
        self.moment: Moment | None = None  # whose Stripe answers; None: the living one
        self.now = NOW
        self.world: World
        self._server = Client(StripeServer(self.account))
        self._numbers: dict[tuple[Any, ...], int] = {}

    def ask(self, url: str) -> int:
        """The number of Stripe's answer to this GET at the present moment. Equal answers have equal numbers."""
        assert self.moment, "the past is asked"
        if url not in self.moment.answers:
            self.account.store = self.moment.store
            body, status, headers = self.call("GET", url)
            answer = (_CHANGES.sub(b"", body), status, headers["Date"])
            number = self._numbers.setdefault(answer, len(self._numbers))
            self.moment.answers[url] = (body, status, headers), number
        return self.moment.answers[url][1]

    def request(self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None) -> Answered:
        """In the place of the SDK's HTTP client."""
        if self.moment is None:
            return self.call(method, url, post_data, headers)
        assert method.upper() == "GET", "what Stripe tells changes nothing at Stripe"
        self.memory.reads[("stripe", url)] = self.ask(url)
        return self.moment.answers[url][0]

    def call(self, method: str, url: str, post_data: Any = None, headers: Mapping[str, str] | None = None) -> Answered:
        parts = urlsplit(url)
        sent = {"Authorization": f"Bearer {self.account.api_key}", **(headers or {})}
        answer = self._server.open(
            parts.path, method=method, query_string=parts.query, headers=[*sent.items()], data=post_data
        )
        return answer.get_data(), answer.status_code, CaseInsensitiveDict(answer.headers)


def frozen(store: Store, at: float) -> Store:
    """A copy in which nothing happens any more."""
    copied = Store(lambda _: None, lambda: at)
    events = store.objects.get("event", {})  # they never change
    changing = {kind: objects for kind, objects in store.objects.items() if kind != "event"}
    copied.objects = copy.deepcopy(changing) | {"event": {**events}}
    copied.deleted = copy.deepcopy(store.deleted)
    return copied


@contextmanager
def staged(client: Callable[[Memory], Any] = lambda memory: memory) -> Iterator[Stage]:
    """`client` may wrap the table's client."""
    with ExitStack() as stack:
        stage = Stage()
        table = client(stage.memory)
        stack.callback(stage.account.webhooks.close)
        given = dict.fromkeys(template.raw()["Parameters"], "https://app.example.com/")
        given |= {"TenantClaim": "tenant_id", "AdminScope": DEFAULT_ADMIN_SCOPE, "TenantCallsPerMinute": "6000"}
        functions = template.functions(given, {"STRIPE_API_BASE": _STRIPE})
        environment = {name: value for f in functions for name, value in f.environment.items() if value}
        secret = {"api-key": stage.account.api_key, "webhook-secret": WEBHOOK_SECRET}
        replaced: list[Any] = [
            patch.dict(os.environ, environment | CREDENTIALS),
            patch.object(JsonApi, "call", _answers(table, secret)),
            patch.object(Urllib3Client, "request", stage.request),
            patch.object(stripe_api, "monotonic", itertools.count(0, _CALL_SECONDS).__next__),
            patch.object(clock, "seconds", lambda: stage.now),
            patch.object(time, "sleep", lambda _: None),
            patch.object(ids, "chance", ids.chance),
            patch.object(type(metrics), "flush_metrics", lambda self, *_, **__: self.clear_metrics()),
        ]
        for one in replaced:
            stack.enter_context(one)
        logger.setLevel(logging.CRITICAL)
        stack.callback(logger.setLevel, logging.INFO)
        bootstrap.reset()
        stack.callback(bootstrap.reset)
        stage.world = World(stage.account, bootstrap.table(), None, "", _STRIPE, functions, timeout=UNHURRIED)
        yield stage


def _answers(table: Any, secret: Any) -> Callable[..., Any]:
    def call(api: JsonApi, operation: str, parameters: Any) -> Any:
        if api.service is DYNAMODB:
            return table.call(operation, parameters)
        return {"SecretString": json.dumps(secret)}

    return call


__all__ = ["START", "Ids", "Moment", "Object", "Stage", "frozen", "staged"]
