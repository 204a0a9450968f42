"""Builds the table, the clients and the settings, each on first use and once in a process."""

from functools import cache
from typing import TYPE_CHECKING

from billing.adapters.aws import credentials, json_api
from billing.adapters.aws.json_api import DYNAMODB, SECRETS_MANAGER, JsonApi, Limits
from billing.adapters.secret import SecretStore
from billing.adapters.table.store import Table
from billing.settings import Settings

if TYPE_CHECKING:
    from billing.adapters.background import Background
    from billing.adapters.bus import Bus
    from billing.adapters.stripe_api import StripeApi
    from billing.adapters.table.rate_limit import RateLimit
    from billing.domain.order import FetchedKind, Snapshot
    from billing.inbox.inbox import Inbox
    from billing.replica.decide import Decider

_AWS_SECONDS = 1.0  # to connect, and to answer what usually takes milliseconds: two attempts fit into RESERVE_SECONDS


@cache
def settings() -> Settings:
    return Settings()


def prepare(*services: str) -> None:
    """Makes what needs neither network nor secret nor environment. Called while a function is imported: Lambda then
    gives a whole processor, and nobody waits. `services`: those of Stripe that requests ask, as the SDK names them.
    """
    json_api.tls()
    if services:
        from billing.adapters import stripe_api  # noqa: PLC0415 - only some functions need it

        stripe_api.prepare(services)


@cache
def keys() -> credentials.Provider:
    """Of the function's role, for all clients: under SnapStart they are asked for over the network.

    A program on an operator's machine replaces this function before its first use.
    """
    return credentials.provider()


@cache
def table() -> Table:
    return Table(JsonApi(DYNAMODB, keys(), _limits()), settings().table_name)


@cache
def rate_limit() -> "RateLimit":
    from billing.adapters.table.rate_limit import RateLimit  # noqa: PLC0415 - few functions need it

    return RateLimit(table(), settings().tenant_calls_per_minute)


@cache
def bus() -> "Bus":
    from billing.adapters.aws import boto  # noqa: PLC0415 - it costs 300 ms, and only one function needs it
    from billing.adapters.bus import Bus  # noqa: PLC0415 - likewise

    return Bus(boto.client("events", _limits()), settings().event_bus_name)


@cache
def background(function: str = "") -> "Background":
    """Of the function with this name. If none is given, of the one that compares the table with Stripe."""
    from billing.adapters.aws import boto  # noqa: PLC0415 - it costs 300 ms, and only one function needs it
    from billing.adapters.background import Background  # noqa: PLC0415 - likewise

    return Background(boto.client("lambda", _limits()), function or settings().reconcile_function)


@cache
def secrets() -> SecretStore:
    return SecretStore(JsonApi(SECRETS_MANAGER, keys(), _limits()), settings().stripe_secret_arn)


def stripe() -> "StripeApi":
    """With the present API key: a rotated key is used without a deployment."""
    return _stripe(secrets().read().api_key)


@cache
def _stripe(api_key: str) -> "StripeApi":
    from billing.adapters.stripe_api import StripeApi  # noqa: PLC0415 - it costs 200 ms, and few webhooks ask Stripe

    return StripeApi(api_key, settings().stripe_api_base, time_limit_factor=settings().time_limit_factor)


def fetch(kind: "FetchedKind", object_id: str) -> "Snapshot":
    """`StripeApi.fetch`. The client is built when the first event needs it."""
    return stripe().fetch(kind, object_id)


@cache
def decider() -> "Decider":
    from billing.replica.decide import Decider  # noqa: PLC0415 - few functions need it

    return Decider(table(), fetch)


@cache
def inbox() -> "Inbox":
    from billing.inbox.inbox import Inbox  # noqa: PLC0415 - few functions need it

    return Inbox(decider(), lambda: secrets().read().livemode)


def reset() -> None:
    """Forgets everything that was built, for a test that changes the environment."""
    for built in (settings, keys, table, rate_limit, bus, background, secrets, _stripe, decider, inbox):
        built.cache_clear()


def _limits() -> Limits:
    seconds = _AWS_SECONDS * settings().time_limit_factor
    return Limits(connect=seconds, read=seconds)
