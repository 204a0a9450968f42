"""Stripe's credentials, from one secret in Secrets Manager. They never stand in the environment, code or log."""

import json
import time
from dataclasses import dataclass, field
from typing import Any, Final

from billing.adapters.aws.json_api import AwsError, JsonApi
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

    def __init__(self, api: JsonApi, arn: str) -> None:
        self._api = api
        self._arn = arn
        self._held: StripeSecret | None = None
        self._held_since = self._refreshed_at = -float("inf")

    def read(self) -> StripeSecret:
        if self._held is None or time.monotonic() - self._held_since >= CACHE_SECONDS:
            return self._fetch()
        return self._held

    def refresh(self) -> StripeSecret | None:
        """Reads the secret anew, without the cache. None if that was done a moment ago."""
        if time.monotonic() - self._refreshed_at < REFRESH_SECONDS:
            return None
        self._refreshed_at = time.monotonic()
        return self._fetch()

    def _fetch(self) -> StripeSecret:
        self._held = parse(self._asked())
        self._held_since = time.monotonic()
        return self._held

    def _asked(self) -> Any:
        try:
            return json.loads(self._api.call("GetSecretValue", {"SecretId": self._arn})["SecretString"])
        except (AwsError, KeyError, ValueError) as error:  # not allowed or not there; binary; no JSON
            raise Misconfigured("The Stripe secret cannot be read.") from error


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
