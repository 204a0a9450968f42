"""Builds the table, the Stripe client and the settings once a process, each on first use."""

from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.parameters import SecretsProvider
from botocore.config import Config

from billing.secret import SecretStore
from billing.settings import Settings
from billing.table.store import Table

if TYPE_CHECKING:
    from billing.background import Background
    from billing.bus import Bus
    from billing.stripe_api import StripeApi

# Two attempts of a call that usually takes milliseconds: inside deadline.RESERVE_SECONDS.
_BOTO = Config(connect_timeout=1, read_timeout=1, retries={"mode": "standard", "total_max_attempts": 2})


@cache
def settings() -> Settings:
    return Settings()


@cache
def table() -> Table:
    return Table(boto3.client("dynamodb", config=_BOTO), settings().table_name)


@cache
def bus() -> "Bus":
    from billing.bus import Bus  # noqa: PLC0415 - one function has a use for it

    return Bus(boto3.client("events", config=_BOTO), settings().event_bus_name)


@cache
def background() -> "Background":
    from billing.background import Background  # noqa: PLC0415 - one function has a use for it

    return Background(boto3.client("lambda", config=_BOTO), settings().reconcile_function)


@cache
def secrets() -> SecretStore:
    return SecretStore(SecretsProvider(boto_config=_BOTO), settings().stripe_secret_arn)


def stripe() -> "StripeApi":
    """With the present API key: a rotated one is taken up without a deployment."""
    return _stripe(secrets().read().api_key)


@cache
def _stripe(api_key: str) -> "StripeApi":
    from billing.stripe_api import StripeApi  # noqa: PLC0415 - most webhooks never ask Stripe, and it costs 200 ms

    return StripeApi(api_key, settings().stripe_api_base)


def fetch(kind: str, object_id: str) -> tuple[dict[str, Any], str, str]:
    """`StripeApi.fetch`, with the client built when the first event needs it."""
    return stripe().fetch(kind, object_id)


def reset() -> None:
    """Forgets everything built, for a test that changes the environment."""
    for built in (settings, table, bus, background, secrets, _stripe):
        built.cache_clear()
