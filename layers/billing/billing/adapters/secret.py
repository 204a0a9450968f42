"""Stripe's credentials, from one secret in Secrets Manager. They never stand in the environment, code or log."""

import time
from dataclasses import dataclass, field
from typing import Final

from aws_lambda_powertools.utilities.parameters import SecretsProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError, TransformParameterError

from billing.adapters import aws
from billing.errors import Misconfigured

CACHE_SECONDS: Final = 300
REFRESH_SECONDS: Final = 30  # many bad signatures must not become many calls of Secrets Manager


@dataclass(frozen=True)
class StripeSecret:
    api_key: str = field(repr=False)
    webhook_secrets: tuple[str, ...] = field(repr=False)
    portal_configuration: str | None = None  # not secret, but it must be of the same account and mode as the key

    @property
    def livemode(self) -> bool:
        """Keys that begin with `sk_live_` or `rk_live_` are live. `sk_test_` and a sandbox's keys are not."""
        return "_live_" in self.api_key


class SecretStore:
    """Reads the secret and caches it. A rotation needs no deployment. Raises `Misconfigured` and `AwsUnavailable`."""

    def __init__(self, provider: SecretsProvider, arn: str) -> None:
        self._provider = provider
        self._arn = arn
        self._refreshed_at = -float("inf")

    def read(self) -> StripeSecret:
        return self._fetch(force=False)

    def refresh(self) -> StripeSecret | None:
        """Reads the secret anew, without the cache. None if that was done a moment ago."""
        if time.monotonic() - self._refreshed_at < REFRESH_SECONDS:
            return None
        self._refreshed_at = time.monotonic()
        return self._fetch(force=True)

    def _fetch(self, *, force: bool) -> StripeSecret:
        try:
            value = self._provider.get(self._arn, transform="json", max_age=CACHE_SECONDS, force_fetch=force)
        except (GetParameterError, TransformParameterError) as error:
            cause = error.__cause__ or error.__context__  # Powertools raises without a cause
            if aws.is_temporary(cause):
                raise aws.unavailable("Secrets Manager", type(cause).__name__) from error
            raise Misconfigured("The Stripe secret cannot be read.") from error
        return parse(value)


def parse(value: object) -> StripeSecret:
    """The secret from its JSON. Raises `Misconfigured` with what is wrong in it."""
    if not isinstance(value, dict) or not isinstance(value.get("api-key"), str) or not value["api-key"]:
        raise Misconfigured("The Stripe secret has no api-key.")
    stored = value.get("webhook-secret") or []
    secrets = [stored] if isinstance(stored, str) else stored
    if not isinstance(secrets, list) or not all(isinstance(secret, str) for secret in secrets):
        raise Misconfigured("webhook-secret of the Stripe secret must be one text or a list of them.")
    portal = value.get("portal-configuration") or None
    if portal is not None and not isinstance(portal, str):
        raise Misconfigured("portal-configuration of the Stripe secret must be a text.")
    return StripeSecret(value["api-key"], tuple(filter(None, secrets)), portal)
