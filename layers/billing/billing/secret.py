"""Stripe's credentials, from the one secret in Secrets Manager. They are never in the environment, code or log."""

import time
from dataclasses import dataclass, field
from typing import Final

from aws_lambda_powertools.utilities.parameters import SecretsProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError, TransformParameterError

from billing.errors import Misconfigured

CACHE_SECONDS: Final = 300
REFRESH_SECONDS: Final = 30  # a flood of bad signatures asks Secrets Manager at most this often


@dataclass(frozen=True)
class StripeSecret:
    api_key: str = field(repr=False)
    webhook_secrets: tuple[str, ...] = field(repr=False)
    portal_configuration: str | None = None  # no secret, but of the same account and mode as the key

    @property
    def livemode(self) -> bool:
        """`sk_live_…` and `rk_live_…` are live, `sk_test_…` and a sandbox's keys are not."""
        return "_live_" in self.api_key


class SecretStore:
    """Reads the secret, cached; a rotation needs no deployment. Raises `Misconfigured`."""

    def __init__(self, provider: SecretsProvider, arn: str) -> None:
        self._provider = provider
        self._arn = arn
        self._refreshed_at = -float("inf")

    def read(self) -> StripeSecret:
        return self._fetch(force=False)

    def refresh(self) -> StripeSecret | None:
        """The secret past the cache, or None when that was asked for a moment ago."""
        if time.monotonic() - self._refreshed_at < REFRESH_SECONDS:
            return None
        self._refreshed_at = time.monotonic()
        return self._fetch(force=True)

    def _fetch(self, *, force: bool) -> StripeSecret:
        try:
            value = self._provider.get(self._arn, transform="json", max_age=CACHE_SECONDS, force_fetch=force)
        except (GetParameterError, TransformParameterError) as error:
            raise Misconfigured("The Stripe secret cannot be read.") from error
        return _parse(value)


def _parse(value: object) -> StripeSecret:
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
