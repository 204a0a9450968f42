"""Stripe's API: webhook endpoints and the customer portal's configurations. An account sets them up once.

The stand-in stores endpoints, but does not send events to them. `local/stripe/webhooks.py` decides where events go.
"""

import copy
import secrets
from typing import Any, Final
from urllib.parse import urlsplit

from local.stripe.api.lists import listed
from local.stripe.check import missing
from local.stripe.engine.objects import Operation, on, set_fields
from local.stripe.engine.store import Object, Store
from local.stripe.errors import ApiError, invalid

MOST_ENDPOINTS: Final = 16  # https://docs.stripe.com/webhooks
DEFAULT_CONFIGURATION: Final = "bpc_local"

_ENDPOINTS: Final = "/v1/webhook_endpoints"
_CONFIGURATION: Final = "billing_portal.configuration"
_CONFIGURATIONS: Final = "/v1/billing_portal/configurations"

# Stripe's answer for parameters that a request does not set. The document describes it only in prose.
_FEATURES: Final[Object] = {
    "customer_update": {"enabled": False, "allowed_updates": []},
    "invoice_history": {"enabled": False},
    "payment_method_update": {"enabled": False, "payment_method_configuration": None},
    "subscription_cancel": {
        "enabled": False,
        "mode": "at_period_end",
        "proration_behavior": "none",
        "cancellation_reason": {
            "enabled": False,
            "options": ["too_expensive", "missing_features", "switched_service", "unused", "other"],
        },
    },
    "subscription_update": {
        "enabled": False,
        "billing_cycle_anchor": None,
        "default_allowed_updates": [],
        "products": None,
        "proration_behavior": "none",
        "schedule_at_period_end": {"conditions": []},
        "trial_update_behavior": "end_trial",
    },
}
_SAVED: Final[Object] = {name: {"enabled": True} for name in ("invoice_history", "payment_method_update")}

# -- webhook endpoints


def _create_endpoint(store: Store, form: Object, _: str) -> Object:
    """Only this answer contains the secret of the endpoint."""
    _check_endpoint(form)
    if len(store.all("webhook_endpoint")) >= MOST_ENDPOINTS:
        raise invalid(f"You have reached the maximum of {MOST_ENDPOINTS} test webhook endpoints.")
    secret = f"whsec_{secrets.token_urlsafe(24)}"
    endpoint = store.create("webhook_endpoint", status="enabled", api_version=form.get("api_version"), _secret=secret)
    set_fields("webhook_endpoint", endpoint, form)
    return {**endpoint, "secret": secret}


def _update_endpoint(store: Store, form: Object, id: str) -> Object:
    endpoint = store.get("webhook_endpoint", id)
    _check_endpoint(form)
    set_fields("webhook_endpoint", endpoint, form)
    if "disabled" in form:
        endpoint["status"] = "disabled" if form["disabled"] else "enabled"
    return endpoint


def _check_endpoint(form: Object) -> None:
    parts = urlsplit(form.get("url", "https://there"))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise invalid("Invalid URL: An explicit scheme (such as https) must be provided.", "url", code="url_invalid")
    types = form.get("enabled_events", ["*"])
    if len(set(types)) < len(types):
        raise invalid("The list of enabled events contains an event type twice.", "enabled_events")
    if "*" in types and len(types) > 1:
        raise invalid("`*` stands for all events: it stands alone.", "enabled_events")


# -- the portal's configurations


def _create_configuration(store: Store, form: Object, _: str) -> Object:
    made = create_configuration(store, form)
    store.emit(f"{_CONFIGURATION}.created", made)
    return made


def create_configuration(store: Store, form: Object, **values: Any) -> Object:
    """A configuration of the portal, by the fields of a request. Raises `ApiError`."""
    made = store.create(_CONFIGURATION, active=True, updated=store.now(), **values)
    made["business_profile"] = dict.fromkeys(("headline", "privacy_policy_url", "terms_of_service_url"))
    made["login_page"] = {"enabled": False, "url": None}
    made["features"] = copy.deepcopy(_FEATURES)
    try:
        _set(store, made, form)
    except ApiError:
        store.delete(made)
        raise
    return made


def _update_configuration(store: Store, form: Object, id: str) -> Object:
    _saved(store)
    configuration = store.get(_CONFIGURATION, id)
    if configuration["is_default"] and form.get("active") is False:
        raise invalid("The default configuration cannot be deactivated.", "active")
    _set(store, configuration, form)
    configuration["updated"] = store.now()
    store.emit(f"{_CONFIGURATION}.updated", configuration)
    return configuration


def _set(store: Store, configuration: Object, form: Object) -> None:
    """Applies all of the form or none of it."""
    features = _merged(configuration["features"], form.get("features", {}))
    _check_update(store, features["subscription_update"])
    set_fields(_CONFIGURATION, configuration, {name: form[name] for name in form if name != "features"})
    configuration["features"] = features


def _merged(now: Object, given: Object) -> Object:
    """Merges nested features. A missing name keeps its value. An empty text removes the value."""
    made = copy.deepcopy(now)
    for name, value in given.items():
        nested = isinstance(value, dict) and isinstance(made.get(name), dict)
        emptied: list[Any] | None = (
            [] if name in ("allowed_updates", "default_allowed_updates", "options", "conditions") else None
        )
        made[name] = _merged(made[name], value) if nested else emptied if value == "" else value
    return made


def _check_update(store: Store, update: Object) -> None:
    """If customers may switch plans, the features must name the products. Each price must belong to its product."""
    path = "features[subscription_update]"
    for name in ("default_allowed_updates", "products"):
        if update["enabled"] and not update[name]:
            raise missing(f"{path}[{name}]")
    for n, product in enumerate(update["products"] or []):
        product["adjustable_quantity"] = {"minimum": 1, "maximum": None} | product.get(
            "adjustable_quantity", {"enabled": False}
        )
        for m, price in enumerate(product["prices"]):
            at = f"{path}[products][{n}][prices][{m}]"
            if store.named("price", price, at)["product"] != product["product"]:
                raise invalid(f"The price {price} is not of the product {product['product']}.", at)


def _saved(store: Store) -> None:
    """Makes the default configuration, which sessions use, if it does not exist yet.

    In this account, a person saved the portal in the dashboard. This makes the default at Stripe.
    """
    if not store.find(DEFAULT_CONFIGURATION):
        create_configuration(store, {"features": _SAVED}, id=DEFAULT_CONFIGURATION, is_default=True)


def _list_configurations(store: Store, form: Object, _: str) -> Object:
    _saved(store)
    return listed(_CONFIGURATION, _CONFIGURATIONS, store, form, "")


def _get_configuration(store: Store, _: Object, id: str) -> Object:
    _saved(store)
    return store.get(_CONFIGURATION, id)


def _delete_endpoint(store: Store, endpoint: Object) -> Object:
    return store.delete(endpoint)


OPERATIONS: Final[tuple[tuple[str, str, Operation], ...]] = (
    ("POST", _ENDPOINTS, _create_endpoint),
    ("POST", f"{_ENDPOINTS}/{{webhook_endpoint}}", _update_endpoint),
    ("DELETE", f"{_ENDPOINTS}/{{webhook_endpoint}}", on("webhook_endpoint", _delete_endpoint)),
    ("GET", _CONFIGURATIONS, _list_configurations),
    ("GET", f"{_CONFIGURATIONS}/{{configuration}}", _get_configuration),
    ("POST", _CONFIGURATIONS, _create_configuration),
    ("POST", f"{_CONFIGURATIONS}/{{configuration}}", _update_configuration),
)
