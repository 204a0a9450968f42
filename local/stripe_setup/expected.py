"""The expected state of a Stripe account for billing, and the differences from it. This module does no I/O.

The plan, the dry run and the check of `make stripe-setup` use the same comparison, so they cannot disagree.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import stripe

from billing.replica.effects import EFFECTS

type StripeObject = dict[str, Any]  # an endpoint or a portal configuration, as Stripe returns it
type Form = dict[str, Any]  # the parameters of a request to Stripe

VERSION: Final[str] = stripe.api_version  # the version of the pinned SDK and of the event payloads
MANAGED: Final = {"managedBy": "billing"}
DESCRIPTION: Final = "Billing: what becomes of subscriptions, invoices and payments"
NAME: Final = "Billing"
NAMED: Final = "portal-configuration"  # the key in the secret; the functions open the portal with its value
RETIRED: Final = "retired"  # metadata of an endpoint whose secret is gone; it is never enabled again


class Act(StrEnum):
    CREATE_ENDPOINT = "create the webhook endpoint"
    CHANGE_ENDPOINT = "change the webhook endpoint"
    CREATE_PORTAL = "create the portal configuration"
    CHANGE_PORTAL = "change the portal configuration"
    NAME_PORTAL = "name the portal configuration in the secret"
    RETIRE_ENDPOINT = "disable the webhook endpoint"
    DROP_SECRETS = "drop the signing secrets after the first"


@dataclass(frozen=True)
class Difference:
    name: str
    now: Any
    expected: Any

    def __str__(self) -> str:
        if self.name == "enabled_events":
            return f"enabled_events: {_types(self.now or [], self.expected)}"
        before = "" if self.now is None else f"{_shown(self.now)} -> "
        return f"{self.name}: {before}{_shown(self.expected)}"


@dataclass(frozen=True)
class Change:
    act: Act
    id: str
    form: Form
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class Secret:
    """The value in Secrets Manager. `problem` says why the secret is not usable; otherwise it is empty."""

    value: dict[str, Any] = field(default_factory=dict, repr=False)
    problem: str = ""

    @property
    def signing(self) -> list[str]:
        stored = self.value.get("webhook-secret") or []
        return [stored] if isinstance(stored, str) else stored

    @property
    def portal(self) -> str | None:
        return self.value.get(NAMED) or None


@dataclass(frozen=True)
class Account:
    """The present state: the endpoints at our URL, the portal's configurations, the secret."""

    endpoints: list[StripeObject]
    configurations: list[StripeObject]
    secret: Secret


@dataclass(frozen=True)
class Wish:
    """`products`: customers may switch between these products and their prices. None leaves this setting unchanged.

    `proration`: how a switch is billed, by Stripe's name. An upgrade that is billed with the next invoice is free until
    then, on a yearly plan for up to a year. `downgrades_wait`: a switch to a lower price or a shorter interval happens
    at the end of the period, so nothing is given back.
    https://docs.stripe.com/customer-management/configure-portal
    """

    url: str
    live: bool
    products: list[Form] | None = None
    retire: bool = False
    proration: str = "always_invoice"
    downgrades_wait: bool = True

    @property
    def mode(self) -> str:
        return "live" if self.live else "test"

    @property
    def endpoint(self) -> Form:
        known = {"description": DESCRIPTION, "metadata": MANAGED}
        return {"url": self.url, "api_version": VERSION, "enabled_events": list(EFFECTS), **known}

    @property
    def configuration(self) -> Form:
        """Customers cannot change names and addresses at Stripe, because the platform manages them."""
        features = {
            "customer_update": {"enabled": False},
            "invoice_history": {"enabled": True},
            "payment_method_update": {"enabled": True},
            "subscription_cancel": {"enabled": True, "mode": "at_period_end", "proration_behavior": "none"},
        }
        return {"name": NAME, "metadata": MANAGED, "features": features | self._switching}

    @property
    def _switching(self) -> Form:
        if self.products is None:
            return {}
        waiting = [{"type": name} for name in ("decreasing_item_amount", "shortening_interval")]
        allowed = {
            "default_allowed_updates": ["price"],
            "proration_behavior": self.proration,
            "schedule_at_period_end": {"conditions": waiting if self.downgrades_wait else []},
        }
        return {"subscription_update": {"enabled": True, **allowed, "products": self.products}}


def live(api_key: str) -> bool:
    """Whether the key is of live mode. It uses the same rule as `billing.adapters.secret`."""
    return "_live_" in api_key


# -- choosing among the existing endpoints and configurations


def endpoint_in_use(account: Account) -> StripeObject | None:
    """The best endpoint of the pinned version.

    An enabled endpoint comes before a disabled one, then a managed one before others, then the newest.
    """
    fit = [e for e in account.endpoints if e["api_version"] == VERSION and RETIRED not in e["metadata"]]
    return max(fit, key=lambda e: (enabled(e), managed(e), e["created"]), default=None)


def endpoints_beside(account: Account) -> list[StripeObject]:
    """The other enabled endpoints. They get every event too."""
    return [e for e in account.endpoints if enabled(e) and e is not endpoint_in_use(account)]


def our_configuration(account: Account) -> StripeObject | None:
    """The managed configuration. An active one comes before an inactive one, then the newest."""
    ours = [c for c in account.configurations if managed(c) and not c["is_default"]]
    return max(ours, key=lambda c: (c["active"], c["created"]), default=None)


def enabled(endpoint: StripeObject) -> bool:
    return bool(endpoint["status"] == "enabled")


def managed(obj: StripeObject) -> bool:
    return MANAGED.items() <= (obj["metadata"] or {}).items()


# -- differences


def differences(now: Mapping[str, Any], expected: Form, path: str = "") -> Iterator[Difference]:
    """Compares each expected field. The order in lists does not matter."""
    for name, value in expected.items():
        before = now.get(name)
        if isinstance(value, dict):
            yield from differences(before or {}, value, f"{path}{name}.")
        elif _comparable(before) != _comparable(value):
            yield Difference(path + name, before, value)


def _comparable(value: Any) -> Any:
    if isinstance(value, list):
        return sorted(map(_comparable, value), key=str)
    if isinstance(value, dict):  # a product of the portal; we do not decide which quantities it allows
        return {name: _comparable(inner) for name, inner in value.items() if name != "adjustable_quantity"}
    return value


def _types(now: list[str], expected: list[str]) -> str:
    missing, surplus = [t for t in expected if t not in now], [t for t in now if t not in expected]
    parts = [f"missing {', '.join(missing)}" if missing else "", f"surplus {', '.join(surplus)}" if surplus else ""]
    return "; ".join(filter(None, parts)) if now else f"{len(expected)} types: {', '.join(expected)}"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_shown, value)) or "none"
    if isinstance(value, dict):
        return f"{value.get('product')} ({_shown(value.get('prices', []))})"
    return str(value)
