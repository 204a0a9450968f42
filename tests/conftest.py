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
from local.aws.clients import TIME_LIMIT_FACTOR
from local.stack import Quiet
from local.stripe.account import Account
from local.stripe.server import StripeServer
from tests import openapi
from tests.world import CREDENTIALS, WEBHOOK_SECRET, World

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# When both cores are busy, drawing an example is slow. A deadline would then measure the machine, not the code.
hypothesis.settings.register_profile("project", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("project")


# The longest files run first, so that no worker waits long for the other one at the end. (pytest-xdist gives a whole
# file to a worker, because its groups do not work with pytest 9.)
_LONGEST = ("e2e/test_sam_local", "torture/", "e2e/browser/", "e2e/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        return next((n for n, part in enumerate(_LONGEST) if part in item.nodeid), len(_LONGEST))

    items.sort(key=place)


class Served:
    """One server for the whole process. Each test gives it its own application.

    One server is enough, because starting a server takes longer than a test.
    """

    def __init__(self) -> None:
        self.application: WSGIApplication | None = None
        self._listener = make_server("127.0.0.1", 0, self, threaded=True, request_handler=Quiet)
        self.address = f"http://127.0.0.1:{self._listener.server_port}"
        threading.Thread(target=self._listener.serve_forever, daemon=True).start()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        assert self.application, "a request came while no test was running"
        return self.application(environ, start_response)


@cache
def served() -> Served:
    return Served()


@pytest.fixture
def stripe_server() -> Iterator[tuple[Account, str]]:
    """Yields the stand-in and its address. Fails if the stand-in gave an answer that Stripe would not give."""
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
    # All tests use one session, so boto3 reads its models only once.
    with mock_aws(config={"core": {"reset_boto3_session": False}}):
        # The table has no stream here: with one, moto copies the table and all stream records at every transaction.
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
        yield World(account, Table(client("dynamodb"), template.TABLE_NAME), arn, address, functions)
    bootstrap.reset()
