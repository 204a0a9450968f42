"""What an account at Stripe should look like for billing, and what differs: without I/O.

The same comparison is the plan of `make stripe-setup`, its dry run and its doctor: they cannot disagree.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import stripe

from billing.replica.effects import EFFECTS

type Thing = dict[str, Any]

VERSION: Final[str] = stripe.api_version  # what the pinned SDK speaks, and the payloads are read as
MANAGED: Final = {"managedBy": "billing"}
DESCRIPTION: Final = "Billing: what becomes of subscriptions, invoices and payments"
NAME: Final = "Billing"
NAMED: Final = "portal-configuration"  # in the secret: what the functions open the portal with
RETIRED: Final = "retired"  # metadata of an endpoint whose secret is gone: it is never enabled again


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
    wanted: Any

    def __str__(self) -> str:
        if self.name == "enabled_events":
            return f"enabled_events: {_types(self.now or [], self.wanted)}"
        before = "" if self.now is None else f"{_shown(self.now)} -> "
        return f"{self.name}: {before}{_shown(self.wanted)}"


@dataclass(frozen=True)
class Change:
    act: Act
    id: str
    form: Thing
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class Secret:
    """What Secrets Manager holds. `problem`: why it cannot be used, where it cannot."""

    value: Thing = field(default_factory=dict, repr=False)
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
    """What is there: the endpoints at our URL, the portal's configurations, the secret."""

    endpoints: list[Thing]
    configurations: list[Thing]
    secret: Secret


@dataclass(frozen=True)
class Wish:
    """`products`: those between which a customer may switch, with their prices; None leaves that as it is."""

    url: str
    live: bool
    products: list[Thing] | None = None
    retire: bool = False

    @property
    def mode(self) -> str:
        return "live" if self.live else "test"

    @property
    def endpoint(self) -> Thing:
        known = {"description": DESCRIPTION, "metadata": MANAGED}
        return {"url": self.url, "api_version": VERSION, "enabled_events": list(EFFECTS), **known}

    @property
    def configuration(self) -> Thing:
        """Whom a customer is, the platform knows: names and addresses are not changed at Stripe."""
        features = {
            "customer_update": {"enabled": False},
            "invoice_history": {"enabled": True},
            "payment_method_update": {"enabled": True},
            "subscription_cancel": {"enabled": True, "mode": "at_period_end", "proration_behavior": "none"},
        }
        return {"name": NAME, "metadata": MANAGED, "features": features | self._switching}

    @property
    def _switching(self) -> Thing:
        if self.products is None:
            return {}
        allowed = {"default_allowed_updates": ["price"], "proration_behavior": "create_prorations"}
        return {"subscription_update": {"enabled": True, **allowed, "products": self.products}}


def live(api_key: str) -> bool:
    """As `billing.adapters.secret` reads it."""
    return "_live_" in api_key


# -- which of those that are there is meant


def endpoint_in_use(account: Account) -> Thing | None:
    """Of the pinned version: an enabled one before a disabled one, ours before another's, the newest."""
    fit = [e for e in account.endpoints if e["api_version"] == VERSION and RETIRED not in e["metadata"]]
    return max(fit, key=lambda e: (enabled(e), managed(e), e["created"]), default=None)


def endpoints_beside(account: Account) -> list[Thing]:
    """Enabled, and not the one that stays: every event comes to them too."""
    return [e for e in account.endpoints if enabled(e) and e is not endpoint_in_use(account)]


def our_configuration(account: Account) -> Thing | None:
    """One that is active before one that is not, the newest."""
    ours = [c for c in account.configurations if managed(c) and not c["is_default"]]
    return max(ours, key=lambda c: (c["active"], c["created"]), default=None)


def enabled(endpoint: Thing) -> bool:
    return bool(endpoint["status"] == "enabled")


def managed(thing: Thing) -> bool:
    return MANAGED.items() <= (thing["metadata"] or {}).items()


# -- what differs


def differences(now: Mapping[str, Any], wanted: Thing, path: str = "") -> Iterator[Difference]:
    """Field by field, of those that are wanted; in lists the order says nothing."""
    for name, value in wanted.items():
        before = now.get(name)
        if isinstance(value, dict):
            yield from differences(before or {}, value, f"{path}{name}.")
        elif _comparable(before) != _comparable(value):
            yield Difference(path + name, before, value)


def _comparable(value: Any) -> Any:
    if isinstance(value, list):
        return sorted(map(_comparable, value), key=str)
    if isinstance(value, dict):  # a product of the portal's: which quantities it allows is not ours to say
        return {name: _comparable(inner) for name, inner in value.items() if name != "adjustable_quantity"}
    return value


def _types(now: list[str], wanted: list[str]) -> str:
    missing, surplus = [t for t in wanted if t not in now], [t for t in now if t not in wanted]
    parts = [f"missing {', '.join(missing)}" if missing else "", f"surplus {', '.join(surplus)}" if surplus else ""]
    return "; ".join(filter(None, parts)) if now else f"{len(wanted)} types: {', '.join(wanted)}"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_shown, value)) or "none"
    if isinstance(value, dict):
        return f"{value.get('product')} ({_shown(value.get('prices', []))})"
    return str(value)
