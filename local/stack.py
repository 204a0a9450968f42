"""Runs everything on this machine: the gateway, the functions, AWS, the stand-in for Stripe, and their connections.

Settings, usually from environment variables:
- `WEBHOOK_URL`: the stand-in sends its events to this address, not to the stack (for `sam local start-api`).
- `STRIPE_API_KEY` and `STRIPE_WEBHOOK_SECRET`: the stack uses real Stripe (test mode) instead of the stand-in.
- `STRIPE_API_BASE`: the stack uses another server that implements Stripe's API.
- `DYNAMODB`: `local` is DynamoDB Local, and `moto` is moto. Without it, the stack takes DynamoDB Local if it can.
- `ORIGINS`: the origins whose pages may call the API (CORS), and to which the portal may return, besides the stack's
  own. They are separated by spaces or commas.
"""

import json
import os
import re
import shutil
import tempfile
import textwrap
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from billing.domain.caller import DEFAULT_ADMIN_SCOPE
from billing.replica.effects import EFFECTS
from billing.settings import DEFAULT_STRIPE_API_BASE
from local import template, tokens
from local.aws.clients import TIME_LIMIT_FACTOR, AwsAccess, Credentials
from local.aws.dynamodb_local import DynamoDBLocal
from local.aws.exchanges import Exchanges
from local.aws.gateway import Api, Gateway
from local.aws.runtime import Runtime
from local.aws.schedule import FIVE_MINUTES, HOUR, Schedule
from local.aws.server import Aws
from local.aws.stream import StreamPoller
from local.console.console import Console
from local.ports import free_port
from local.running import SettingsFile
from local.serving import LOOPBACK, Listener
from local.stripe.account import Account
from local.stripe.server import StripeServer
from local.stripe_setup.expected import NAMED

HOST_OF_CONTAINERS: Final = "host.docker.internal"
WEBHOOK_PATH: Final = "/api/v1/billing/stripe/webhook"
LOCAL_API_KEY: Final = "sk_test_local"
LOCAL_WEBHOOK_SECRET: Final = "whsec_local"
DEFAULT_ORIGINS: Final = "http://localhost:5173 http://localhost:3000"  # the development servers of Vite and Next.js
_CONTROL: Final = "/_control"
_SECRET_NAME: Final = "billing/stripe"
_SOON: Final = 60.0  # seconds


@dataclass(frozen=True)
class Ports:
    """0 means any free port."""

    gateway: int = 8087
    stripe: int = 12111
    aws: int = 5000


FREE: Final = Ports(0, 0, 0)


class Stack:
    """A context manager. Everything runs inside it. `state` is the folder for keys, logs and the environment files."""

    def __init__(
        self, ports: Ports = FREE, state: Path = tokens.STATE, settings: Mapping[str, str] = os.environ
    ) -> None:
        """Raises `RuntimeError` if a setting is wrong."""
        self.ports = ports
        self.state = state
        self._settings = settings
        self.api_key = settings.get("STRIPE_API_KEY") or LOCAL_API_KEY
        if "_live_" in self.api_key:
            raise RuntimeError("STRIPE_API_KEY is a live key; the local stack takes keys of test mode only.")
        self.webhook_secret = settings.get("STRIPE_WEBHOOK_SECRET") or LOCAL_WEBHOOK_SECRET
        self._origins = _origins(settings.get("ORIGINS") or DEFAULT_ORIGINS)
        if settings.get("DYNAMODB", "") not in ("", "local", "moto"):
            raise RuntimeError(f"DYNAMODB is local or moto, not {settings['DYNAMODB']}.")
        self.stripe: Account | None = None
        self.stripe_base = _stripe_elsewhere(settings)
        self.database = "moto"
        self.say: Callable[[str], object] = lambda sentence: print(textwrap.fill(sentence, 80), flush=True)
        self.begin: Callable[[], object] = lambda: None  # puts the first data in
        self.exchanges = Exchanges()
        self._running = ExitStack()
        self._listener = Listener(self._running)
        self._written = False

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._running.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    @property
    def webhook_url(self) -> str:
        return self.api_url + WEBHOOK_PATH

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    def token(self, tenant_id: str | None, scope: str = "") -> str:
        return tokens.issue(tenant_id, scope=scope, folder=self.state)

    def roll_webhook_secret(self) -> None:
        """Does what Stripe and an operator do: makes a new secret, and puts it and the previous one in Secrets Manager.

        Both secrets are valid for a while.
        """
        assert self.stripe, "roll the secrets of real Stripe in its dashboard"
        self.webhook_secret = self.stripe.webhooks.roll_secret()
        self._put_secret("webhook-secret", self.stripe.webhooks.secrets)
        if self._written:
            self.write_environment()

    def name_portal(self, configuration: str) -> None:
        """Names the portal's configuration in the secret, as `make stripe-setup` does."""
        self._put_secret(NAMED, configuration)

    def reset(self) -> None:
        """Empties Stripe, the table and the lists of announcements and requests, and puts the first data in again."""
        assert self.stripe, "real Stripe cannot be emptied"
        self.stripe.webhooks.forget()
        self.stripe.webhooks.wait_idle(_SOON)  # a function that still handles an event would write it again
        with self.stripe.lock:
            self.stripe.reset()
        dynamodb = self.aws.dynamodb()
        for page in dynamodb.get_paginator("scan").paginate(TableName=template.TABLE_NAME):
            for item in page["Items"]:
                key = {name: item[name] for name in ("PK", "SK")}
                dynamodb.delete_item(TableName=template.TABLE_NAME, Key=key)
        self.wait_until_announced(_SOON)
        self.announcements.clear()
        self.exchanges.clear()
        self.begin()

    def wait_until_announced(self, timeout: float) -> bool:
        """Whether the function gets everything that the table's stream holds now within `timeout` seconds."""
        return self.stream.wait_caught_up(timeout)

    def wait_until_on_time(self, timeout: float) -> bool:
        """Whether the functions that start by themselves have done so for Stripe's present time."""
        return all(schedule.wait_caught_up(timeout) for schedule in self._schedules)

    # -- starting the parts

    def _start(self) -> None:
        self.state.mkdir(parents=True, exist_ok=True)
        self._settings_file = SettingsFile(self.state)
        self._running.callback(self._settings_file.remove)
        port = self.ports.gateway or free_port()
        self.api_url = f"http://{LOOPBACK}:{port}"  # the functions get this address before the gateway listens on it
        self.aws = self._start_aws()
        if not self.stripe_base:
            self.stripe = Account(self.api_key)
            self.stripe_base = self._listener.serve(StripeServer(self.stripe), self.ports.stripe, for_containers=True)
            self.stripe.public_url = self.stripe_base
        self.secret_arn = self._create_resources()
        here = {
            "AWS_ENDPOINT_URL": self.aws.url,
            "STRIPE_API_BASE": self.stripe_base,
            "TIME_LIMIT_FACTOR": str(TIME_LIMIT_FACTOR),
        }
        functions = template.functions(self.parameters(), here)
        self.logs.mkdir(exist_ok=True)
        self.environment = {name: value for f in functions for name, value in f.environment.items()}
        runtimes = self.runtimes = {f.name: Runtime(f, self.aws.environment, self.logs) for f in functions}
        for runtime in runtimes.values():
            runtime.watch = self.exchanges.invoked
            self._running.callback(runtime.close)
        cors = template.cors(self.parameters())
        self.gateway = Gateway(Api(functions, runtimes, cors), self.state, Console(self).answer)
        self.gateway.watchers.append(self.exchanges.exchanged)
        self._listener.serve(self.gateway, port, origins=cors.origins)
        self._moto.invoke = lambda name, event: self.runtimes[name].invoke(event)
        self.stream = StreamPoller(self.aws, runtimes["PublishBillingEventsFunction"])
        self._running.callback(self.stream.close)
        self.stream.start()
        clock = self.stripe.clock if self.stripe else time.time
        every = {"ReconcileStripeFunction": HOUR, "SweepDueItemsFunction": FIVE_MINUTES}
        self._schedules = [Schedule(clock, runtimes[name], seconds) for name, seconds in every.items()]
        for schedule in self._schedules:
            self._running.callback(schedule.close)
            schedule.start()
        if self.stripe:
            self.stripe.webhooks.url = self._settings.get("WEBHOOK_URL") or self.webhook_url
            self.stripe.webhooks.secrets = [self.webhook_secret]
            self.stripe.webhooks.types = EFFECTS.keys()
            self._running.callback(self.stripe.webhooks.close)

    def _start_aws(self) -> AwsAccess:
        credentials = Credentials.random()
        url = self._start_dynamodb()
        aws = Aws(credentials.access_key_id, url)
        self.announcements = aws.announcements
        self._moto = aws
        serving = self._listener.serve(aws, self.ports.aws, for_containers=True)
        self._running.callback(aws.forget)  # the next stack in this process begins with nothing
        return AwsAccess(serving, credentials, url)

    def _start_dynamodb(self) -> str:
        """The address of DynamoDB Local; empty if moto plays DynamoDB."""
        wanted = self._settings.get("DYNAMODB")
        if wanted == "moto":
            return ""
        try:
            server = DynamoDBLocal(template.ROOT / ".local" / "dynamodb-local", free_port(), self.say)
        except RuntimeError as missing:
            if wanted:
                raise
            self.say(f"moto plays DynamoDB, which is slower than DynamoDB Local: {missing}")
            return ""
        self.database = "DynamoDB Local"
        self._running.callback(server.close)
        return server.url

    def _create_resources(self) -> str:
        self.aws.dynamodb().create_table(**template.table())
        self.aws.events().create_event_bus(Name=template.BUS_NAME)
        made = self.aws.secretsmanager().create_secret(Name=_SECRET_NAME)
        self._put_secret("webhook-secret", [self.webhook_secret])
        return made["ARN"]

    def _put_secret(self, name: str, value: str | list[str]) -> None:
        manager = self.aws.secretsmanager()
        try:
            kept = json.loads(manager.get_secret_value(SecretId=_SECRET_NAME)["SecretString"])
        except manager.exceptions.ResourceNotFoundException:  # the secret has no value yet
            kept = {}
        whole = json.dumps(kept | {"api-key": self.api_key, name: value})
        manager.put_secret_value(SecretId=_SECRET_NAME, SecretString=whole)

    def parameters(self) -> dict[str, str]:
        """The values of the template's parameters."""
        return {
            "JwtIssuer": tokens.ISSUER,
            "JwtAudience": tokens.AUDIENCE,
            "ReturnOrigins": ",".join([self.api_url, *self._origins]),
            "CheckoutSuccessUrl": self.api_url + "/?note=Subscribed.&session={CHECKOUT_SESSION_ID}",
            "CheckoutCancelUrl": self.api_url,
            "PortalReturnUrl": self.api_url,
            "StripeSecretArn": self.secret_arn,
        }

    # -- files for other programs

    def write_environment(self) -> None:
        """Writes `stack.env` for shells and commands until the stack ends, and `sam-env.json` for `sam local`.

        The containers of `sam local` reach this machine by another host name.
        """
        shell = {
            "API_URL": self.api_url,
            "STRIPE_API_BASE": self.stripe_base,
            "AWS_ENDPOINT_URL": self.aws.url,
            **self.aws.credentials.environment,
            "TABLE_NAME": template.TABLE_NAME,
            "STRIPE_WEBHOOK_SECRET": self.webhook_secret,
            "TOKEN": self.token("550e8400"),
            "ADMIN_TOKEN": self.token(None, DEFAULT_ADMIN_SCOPE),
        }
        if self.stripe:
            shell["STRIPE_CONTROL_URL"] = self.stripe_base + _CONTROL
        self._settings_file.write(shell)
        self._written = True
        inside = {name: value.replace(LOOPBACK, HOST_OF_CONTAINERS) for name, value in self.environment.items()}
        _write_private(self.state / "sam-env.json", json.dumps({"Parameters": inside}, indent=2))


def temporary() -> tuple[Stack, Callable[[], None]]:
    """A stack on free ports with its own state folder, and a function that removes the folder.

    It takes only DYNAMODB from the environment: in a shell that has read the `stack.env` of another stack, the other
    settings would lead to that one.
    """
    folder = Path(tempfile.mkdtemp(prefix="billing-"))
    settings = {"DYNAMODB": os.environ.get("DYNAMODB", "")}
    return Stack(FREE, folder, settings), lambda: shutil.rmtree(folder, ignore_errors=True)


def _stripe_elsewhere(settings: Mapping[str, str]) -> str:
    """The base address of the Stripe to use instead of the stand-in; empty if there is none."""
    named = settings.get("STRIPE_API_BASE", "")
    # A shell that sourced a stack.env names the stand-in of that stack, which may run no more.
    if named and settings.get("STRIPE_CONTROL_URL") != f"{named}{_CONTROL}":
        return named
    return DEFAULT_STRIPE_API_BASE if settings.get("STRIPE_API_KEY") else ""


def _origins(text: str) -> list[str]:
    """The origins in `text`. Raises `RuntimeError` for one that a deployment would not take either."""
    allowed = template.raw()["Parameters"]["ReturnOrigins"]["AllowedPattern"]
    origins = re.split(r"[,\s]+", text.strip(", \n\t"))
    for origin in origins:
        if not re.fullmatch(allowed, origin):
            raise RuntimeError(f"ORIGINS: {origin} is no origin, such as http://localhost:5173 (without a path).")
    return origins


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.chmod(0o600)  # also if the file was there before
    path.write_text(text)
