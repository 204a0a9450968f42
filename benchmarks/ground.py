"""A table in DynamoDB Local, a secret, and the functions' environment, for a benchmark in this process."""

import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import boto3

from benchmarks.measure import ROOT
from billing.adapters.table.store import Table
from billing.domain.entities import Plan, Tenant
from billing.domain.writes import Pointer, StripeId
from local import template
from local.aws.clients import REGION, TIME_LIMIT_FACTOR, Credentials
from local.aws.dynamodb_local import DynamoDBLocal
from local.aws.worker import load
from local.ports import free_port

WEBHOOK_SECRET: Final = "whsec_benchmark"  # noqa: S105 - of nothing
# One tenant's life, in the order of Stripe's times: each of these changes something.
CORE: Final = (
    "customer.subscription.created",
    "checkout.session.completed",
    "invoice.paid",
    "invoice_payment.paid",
    "customer.subscription.updated",
    "customer.subscription.deleted",
    "payment_intent.succeeded",
)
_SAMPLES: Final = {name: (ROOT / "events" / "stripe" / f"{name}.json").read_text() for name in CORE}


@dataclass
class Ground:
    url: str
    dynamodb: Any  # boto3's client
    stripe_calls: list[str]


@contextmanager
def standing() -> Iterator[Ground]:
    """Everything that a function needs. Stripe answers every call with a 500: the core events must not need it."""
    with ExitStack() as stack:
        database = DynamoDBLocal(ROOT / ".local" / "dynamodb-local", free_port())
        stack.callback(database.close)
        calls: list[str] = []
        others = _serve(stack, calls)
        functions = functions_of(others)
        environment = {name: value for one in functions for name, value in one.environment.items() if value}
        environment |= Credentials("benchmark", "benchmark").environment | {
            "AWS_ENDPOINT_URL_DYNAMODB": database.url,
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": others,
            "STRIPE_SECRET_ARN": "stripe",
            "TIME_LIMIT_FACTOR": str(TIME_LIMIT_FACTOR),
        }
        os.environ |= environment
        client: Any = boto3.client("dynamodb", region_name=REGION)
        client.create_table(**template.table())
        yield Ground(database.url, client, calls)


def functions_of(stripe: str = "") -> list[template.Function]:
    given = dict.fromkeys(template.raw()["Parameters"], "https://app.example.com/")
    given |= {"TenantClaim": "tenant_id", "AdminScope": "billing:admin", "TenantCallsPerMinute": "6000"}
    return template.functions(given, {"STRIPE_API_BASE": stripe})


def webhook() -> Any:
    """The handler of the webhook's function."""
    function = next(one for one in functions_of() if one.code.name == "stripe_webhook")
    return load(function.code, function.handler)


def _serve(stack: ExitStack, calls: list[str]) -> str:
    secret = json.dumps({"api-key": "sk_test_benchmark", "webhook-secret": WEBHOOK_SECRET})

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            stripes = "X-Amz-Target" not in self.headers
            if stripes:
                calls.append(f"{self.command} {self.path}")
            data = json.dumps({"SecretString": secret}).encode()
            self.send_response(500 if stripes else 200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST  # noqa: N815 - as http.server names it

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stack.callback(server.shutdown)
    return f"http://127.0.0.1:{server.server_port}"


def add_plan(table: Table) -> None:
    for plan, price in (("plan-pro", "price_pro"), ("plan-enterprise", "price_enterprise")):
        made = Plan(plan_id=plan, stripe_price_id=price, name=plan, amount=4900, currency="usd", interval="month")
        table.write([made], [Pointer(StripeId(price), plan_id=plan)])


def add_tenant(table: Table, name: str) -> None:
    """A tenant with a customer, who has bought nothing yet."""
    customer = f"cus_{name}"
    table.write([Tenant(tenant_id=name, stripe_customer_id=customer)], [Pointer(StripeId(customer), tenant_id=name)])


def life(name: str) -> list[dict[str, Any]]:
    """The core events of this tenant, with ids of its own."""
    texts = (re.sub(r"Sample(\d+)", rf"{name}x\1", _SAMPLES[kind]) for kind in CORE)
    return [json.loads(text.replace("cus_sample123", f"cus_{name}").replace("7c9e6679", name)) for text in texts]
