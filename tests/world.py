"""Runs the functions in this process: the real handlers, a table in moto and the Stripe stand-in."""

import copy
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto import mock_aws
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.routing import Map
from werkzeug.serving import make_server
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from billing import bootstrap, clock
from billing.adapters.table import keys
from billing.adapters.table.store import Table
from billing.domain.entities import Invoice, Payment, Plan, Subscription, Tenant
from billing.domain.writes import Pointer, StripeId
from billing.inbox.signature import sign
from billing.replica.effects import EFFECTS
from local import template
from local.aws.clients import TIME_LIMIT_FACTOR, Credentials
from local.aws.gateway import http_event, routes
from local.aws.worker import Context, load
from local.commands.sign import delivery
from local.stack import Quiet
from local.stripe.account import Account
from local.stripe.api.catalogue import recurring
from local.stripe.controls import METHODS
from local.stripe.engine import checkout
from local.stripe.engine.store import Object

WEBHOOK_SECRET = "whsec_test"
_OWN_CLIENT = ("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_SECRETS_MANAGER")
CREDENTIALS = Credentials("testing", "testing").environment  # of moto in this process, which takes any
TENANT = "550e8400"
CUSTOMER = "cus_abc123"
PLAN = "plan-pro"
PRICE = "price_pro"

type Handler = Callable[[Any, Context], dict[str, Any]]


@dataclass
class Answer:
    status: int
    body: dict[str, Any]
    headers: dict[str, str]


@dataclass
class World:
    stripe: Account
    table: Table
    dynamodb: Any  # boto3's client of the same table: the tests' own eyes
    secret_arn: str
    address: str  # of Stripe's stand-in
    functions: list[template.Function]
    handlers: dict[str, Handler] = field(default_factory=dict)
    timeout: float | None = None  # in seconds; None: the timeout in the template, for a computer that may be slow
    routes: Map | None = None

    # -- calls

    def invoke(self, name: str, event: dict[str, Any]) -> Answer:
        raw = self.run(name, event)
        return Answer(raw["statusCode"], json.loads(raw["body"]), raw["headers"])

    def run(self, name: str, event: dict[str, Any]) -> dict[str, Any]:
        """Invokes the function. Returns its result as JSON, as Lambda does."""
        function = next(f for f in self.functions if f.code.name == name)
        handler = self.handlers.get(name) or load(function.code, function.handler)
        self.handlers[name] = handler
        context = Context(
            "request-1", function.name, 512, time.time() + (self.timeout or function.timeout * TIME_LIMIT_FACTOR)
        )
        result: dict[str, Any] = json.loads(json.dumps(handler(event, context)))
        return result

    def api(
        self, method: str, path: str, *, tenant: str | None = TENANT, admin: bool = False, **request: Any
    ) -> Answer:
        """Sends one request through the routes of the template. The token names that tenant."""
        claims = {"sub": "user", "scope": "billing:admin" if admin else "", "tenant_id": tenant}
        built = EnvironBuilder(path=f"/api/v1/billing{path}", method=method, **request).get_environ()
        self.routes = self.routes or routes(self.functions)
        (name, route), found = self.routes.bind_to_environ(built).match()
        known = {name: value for name, value in claims.items() if value}
        folder = next(f.code.name for f in self.functions if f.name == name)
        return self.invoke(folder, http_event(Request(built), route, found, known))

    def checkout(self, for_tenant: str = TENANT, plan: str = PLAN, **more: Any) -> Answer:
        extra = more.pop("extra", {})
        query = {"tenantId": for_tenant, "planId": plan, **extra}
        return self.api("POST", "/stripe/checkout", **{"tenant": for_tenant, "query_string": query, **more})

    def deliver(self, event: Object, secret: str = WEBHOOK_SECRET) -> Answer:
        """Delivers the event with a new signature, as Stripe does."""
        return self.invoke("stripe_webhook", delivery(json.dumps(event).encode(), secret, clock.seconds()))

    def deliver_raw(self, signed: bytes, secret: str = WEBHOOK_SECRET, **changes: Any) -> Answer:
        return self.invoke("stripe_webhook", delivery(signed, secret, clock.seconds()) | changes)

    def deliver_new(self) -> list[Answer]:
        """Delivers every event that the stand-in made since the last call, in the order of their creation."""
        return [self.deliver(event) for event in self.new_events()]

    def new_events(self) -> list[Object]:
        events = [copy.deepcopy(event) for event in reversed(self.stripe.store.all("event"))]
        self.stripe.store.forget("event")
        return [event for event in events if event["type"] in EFFECTS]

    # -- content of the table

    def tenant(self, tenant_id: str = TENANT) -> Tenant | None:
        return self.table.tenant(tenant_id)

    def subscriptions(self, tenant_id: str = TENANT) -> list[Subscription]:
        return self.table.subscriptions(tenant_id)

    def invoice(self, invoice_id: str, tenant_id: str = TENANT) -> Invoice | None:
        return self.table.get(Invoice, keys.invoice(tenant_id, invoice_id))

    def payment(self, intent_id: str, tenant_id: str = TENANT) -> Payment | None:
        return self.table.get(Payment, keys.payment(tenant_id, intent_id))

    # -- preparation

    def price(self, price_id: str, amount: int = 4900, **values: Any) -> None:
        values = {"recurring": recurring(), "type": "recurring", "active": True, "currency": "usd"} | values
        self.stripe.store.create("price", id=price_id, product="prod_1", unit_amount=amount, **values)

    def plan(self, plan_id: str = PLAN, price_id: str = PRICE, **values: Any) -> None:
        self.price(price_id)
        plan = Plan(
            plan_id=plan_id,
            stripe_price_id=price_id,
            name="Pro",
            amount=4900,
            currency="usd",
            interval="month",
            **values,
        )
        self.table.write([plan], [Pointer(StripeId(price_id), plan_id=plan_id)])

    def customer(self, tenant_id: str = TENANT, customer_id: str = CUSTOMER) -> None:
        self.stripe.store.create("customer", id=customer_id, metadata={"tenantId": tenant_id})
        tenant = Tenant(tenant_id=tenant_id, stripe_customer_id=customer_id)
        self.table.write([tenant], [Pointer(StripeId(customer_id), tenant_id=tenant_id)])

    def subscribe(self, outcome: str = "paid", **more: Any) -> Object:
        """Starts a checkout and completes it at Stripe. Delivers no event. Returns the session."""
        session_id = self.checkout(**more).body["sessionUrl"].rsplit("/", 1)[1]
        session = self.stripe.store.get("checkout.session", session_id)
        return checkout.complete_checkout(self.stripe.store, session, METHODS[outcome])


@cache
def client(service: Any) -> Any:
    """Of this process's moto, whatever the environment says."""
    return boto3.client(service, config=Config(ignore_configured_endpoint_urls=True))  # type: ignore[call-arg]


@cache
def aws() -> str:
    """The address of this process's moto, for the clients that are not boto3's."""
    moto = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, moto, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


@contextmanager
def wired(account: Account, stripe_url: str, patch: pytest.MonkeyPatch) -> Iterator[World]:
    """The world of one test: a table and a secret in moto, and the functions' environment.

    `patch` sets the environment. Whoever gives it also undoes it.
    """
    for name, value in (CREDENTIALS | {name: aws() for name in _OWN_CLIENT}).items():
        patch.setenv(name, value)
    # All worlds use one session, so boto3 reads its models only once.
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
        limits = {"TIME_LIMIT_FACTOR": str(TIME_LIMIT_FACTOR)}
        functions = template.functions(given, {"STRIPE_API_BASE": stripe_url} | limits)
        for function in functions:
            for name, text in function.environment.items():
                if text:
                    patch.setenv(name, text)
        bootstrap.reset()
        yield World(account, bootstrap.table(), client("dynamodb"), arn, stripe_url, functions)
    bootstrap.reset()


def set_secret(
    secret_arn: str, webhook_secret: str | list[str] = WEBHOOK_SECRET, api_key: str = "sk_test_local"
) -> None:
    value = json.dumps({"api-key": api_key, "webhook-secret": webhook_secret})
    client("secretsmanager").put_secret_value(SecretId=secret_arn, SecretString=value)
    bootstrap.reset()


__all__ = ["Answer", "World", "set_secret", "sign"]
