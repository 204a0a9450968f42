"""The environment of a function with types. A variable is read on its first use.

A function has only the variables that it needs. So one that is missing matters only to whoever asks for it.
"""

import os
from functools import cached_property
from typing import Literal

from billing.errors import Misconfigured

DEFAULT_STRIPE_API_BASE = "https://api.stripe.com"


def _required(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise Misconfigured(f"The environment variable {name} is not set.")
    return value


class Settings:
    """What `template.yaml` sets. Raises `Misconfigured` on the first use of a variable that is not set."""

    @cached_property
    def table_name(self) -> str:
        return _required("TABLE_NAME")

    @cached_property
    def stripe_secret_arn(self) -> str:
        """The Secrets Manager secret: JSON with `api-key`, `webhook-secret` (a text, or a list while it is rolled)
        and perhaps `portal-configuration`.
        """
        return _required("STRIPE_SECRET_ARN")

    @cached_property
    def stripe_api_base(self) -> str:
        """Only on a developer's machine it is another address than Stripe's own."""
        return os.environ.get("STRIPE_API_BASE") or DEFAULT_STRIPE_API_BASE

    @cached_property
    def time_limit_factor(self) -> float:
        """The factor by which a call over the network may take longer than in a deployment.

        More than 1 only on a developer's machine, where a busy processor must not look like a broken network.
        """
        return float(os.environ.get("TIME_LIMIT_FACTOR") or 1)

    @cached_property
    def event_bus_name(self) -> str:
        return _required("EVENT_BUS_NAME")

    @cached_property
    def announcement_version(self) -> Literal["1", "2"]:
        return "1" if os.environ.get("ANNOUNCEMENT_VERSION") == "1" else "2"

    @cached_property
    def tenant_claim(self) -> str:
        return _required("TENANT_CLAIM")

    @cached_property
    def admin_scope(self) -> str:
        """Who has this scope is an operator."""
        return _required("ADMIN_SCOPE")

    @cached_property
    def tenant_calls_per_minute(self) -> int:
        """Of the endpoints that ask Stripe."""
        return int(_required("TENANT_CALLS_PER_MINUTE"))

    @cached_property
    def success_url(self) -> str:
        return _required("CHECKOUT_SUCCESS_URL")

    @cached_property
    def cancel_url(self) -> str:
        return _required("CHECKOUT_CANCEL_URL")

    @cached_property
    def portal_return_url(self) -> str:
        return _required("PORTAL_RETURN_URL")

    @cached_property
    def return_origins(self) -> frozenset[str]:
        """Origins (`https://app.example.com`) to which the portal may send people. Commas separate them."""
        return frozenset(part.strip().rstrip("/") for part in _required("RETURN_ORIGINS").split(",") if part.strip())

    @cached_property
    def reconcile_function(self) -> str:
        """Name or ARN of the function that compares the table with Stripe."""
        return _required("RECONCILE_FUNCTION")
