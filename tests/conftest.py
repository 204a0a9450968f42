import json
import threading
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
import hypothesis
import pytest
from moto import mock_aws
from werkzeug.serving import make_server

from billing import bootstrap
from billing.adapters.table.store import Table
from local import template
from local.aws.clients import CREDENTIALS, TIME_LIMIT_FACTOR
from local.stack import Quiet
from local.stripe.account import Account
from local.stripe.server import StripeServer
from tests import openapi
from tests.world import WEBHOOK_SECRET, World

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# Two busy cores make slow draws; a deadline would measure the machine.
hypothesis.settings.register_profile("project", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("project")


# The longest files first, so that at the end no worker waits long for the other one. (pytest-xdist hands out whole
# files: its groups do nothing with pytest 9.)
_LONGEST = ("e2e/test_sam_local", "torture/", "e2e/browser/", "e2e/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        return next((n for n, part in enumerate(_LONGEST) if part in item.nodeid), len(_LONGEST))

    items.sort(key=place)


class Served:
    """One server a process, which each test gives its own application: a server takes longer to start than a test."""

    def __init__(self) -> None:
        self.application: WSGIApplication | None = None
        self._listener = make_server("127.0.0.1", 0, self, threaded=True, request_handler=Quiet)
        self.address = f"http://127.0.0.1:{self._listener.server_port}"
        threading.Thread(target=self._listener.serve_forever, daemon=True).start()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        assert self.application, "a call outside of a test"
        return self.application(environ, start_response)


@cache
def served() -> Served:
    return Served()


@pytest.fixture
def stripe_server() -> Iterator[tuple[Account, str]]:
    """The stand-in and its address. Each of its answers must be one that Stripe could give."""
    account = Account("sk_test_local", "https://checkout.stripe.com")
    watched = openapi.Watched(StripeServer(account))
    server = served()
    server.application = watched
    yield account, server.address
    server.application = None
    account.webhooks.close()
    assert not watched.findings, watched.findings


@cache
def client(service: Any) -> Any:
    return boto3.client(service)


@pytest.fixture
def world(stripe_server: tuple[Account, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    account, address = stripe_server
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    # With one session for all tests, boto3 reads its models once.
    with mock_aws(config={"core": {"reset_boto3_session": False}}):
        # Without the stream: moto copies the table, and all that ever went down its stream, at every transaction.
        properties = {n: v for n, v in template.table().items() if n != "StreamSpecification"}
        client("dynamodb").create_table(**properties)
        value = json.dumps({"api-key": account.api_key, "webhook-secret": WEBHOOK_SECRET})
        client("events").create_event_bus(Name=template.BUS_NAME)
        arn = client("secretsmanager").create_secret(Name="stripe", SecretString=value)["ARN"]
        given = {
            "JwtIssuer": "https://platform.local",
            "JwtAudience": "billing",
            "ReturnOrigins": "https://app.example.com,http://localhost:3000",
            "CheckoutSuccessUrl": "https://app.example.com/done?session={CHECKOUT_SESSION_ID}",
            "CheckoutCancelUrl": "https://app.example.com/billing",
            "PortalReturnUrl": "https://app.example.com/billing",
            "StripeSecretArn": arn,
        }
        functions = template.functions(given, {"STRIPE_API_BASE": address, "TIME_LIMIT_FACTOR": str(TIME_LIMIT_FACTOR)})
        for function in functions:
            for name, text in function.environment.items():
                if text:
                    monkeypatch.setenv(name, text)
        bootstrap.reset()
        yield World(account, Table(client("dynamodb"), template.TABLE_NAME), arn, functions)
    bootstrap.reset()
