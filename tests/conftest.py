import json
import threading
from collections.abc import Iterator

import boto3
import hypothesis
import pytest
from moto import mock_aws
from werkzeug.serving import make_server

from billing import bootstrap, deadline
from billing.table.store import Table
from local import template
from local.aws import CREDENTIALS
from local.stack import Quiet
from local.stripe.server import StripeServer
from tests import openapi
from tests.world import WEBHOOK_SECRET, World

# Two busy cores make slow draws; a deadline would measure the machine.
hypothesis.settings.register_profile("project", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("project")


@pytest.fixture
def stripe_server() -> Iterator[tuple[StripeServer, str]]:
    """The stand-in and its address. Each of its answers must be one that Stripe could give."""
    server = StripeServer("sk_test_local", "https://checkout.stripe.com")
    watched = openapi.Watched(server)
    listener = make_server("127.0.0.1", 0, watched, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server, f"http://127.0.0.1:{listener.server_port}"
    listener.shutdown()
    thread.join()
    listener.server_close()
    server.webhooks.close()
    assert not watched.findings, watched.findings


@pytest.fixture
def world(stripe_server: tuple[StripeServer, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    server, address = stripe_server
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        client = boto3.client("dynamodb")
        # Without the stream: moto copies the table, and all that ever went down its stream, at every transaction.
        client.create_table(**{n: v for n, v in template.table().items() if n != "StreamSpecification"})
        value = json.dumps({"api-key": server.api_key, "webhook-secret": WEBHOOK_SECRET})
        boto3.client("events").create_event_bus(Name=template.BUS_NAME)
        arn = boto3.client("secretsmanager").create_secret(Name="stripe", SecretString=value)["ARN"]
        given = {
            "JwtIssuer": "https://platform.local",
            "JwtAudience": "billing",
            "ReturnOrigins": "https://app.example.com,http://localhost:3000",
            "CheckoutSuccessUrl": "https://app.example.com/done?session={CHECKOUT_SESSION_ID}",
            "CheckoutCancelUrl": "https://app.example.com/billing",
            "PortalReturnUrl": "https://app.example.com/billing",
            "StripeSecretArn": arn,
        }
        functions = template.functions(given, {"STRIPE_API_BASE": address})
        for function in functions:
            for name, text in function.environment.items():
                if text:
                    monkeypatch.setenv(name, text)
        bootstrap.reset()
        yield World(server, Table(client, template.TABLE_NAME), arn, functions)
    bootstrap.reset()
    deadline._ends_at.set(float("inf"))  # the last invocation's must not be the next test's
