"""The two places that hold the set-up: the account at Stripe, and the secret in Secrets Manager.

This module reads them and makes the changes of a plan.
"""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import boto3
import stripe

from billing.adapters.stripe_api import PERMISSIONS
from local.stripe_setup.expected import NAMED, Account, Act, Change, Form, Secret, StripeObject, Wish, our_configuration

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

_TIMEOUT_SECONDS: Final = 30
_RETRIES: Final = 2
_MADE: Final = "docs/deployment.md, 1. The secret"  # where a person reads how to make it
_PRODUCTS: Final = "features.subscription_update.products"

stripe.enable_telemetry = False


class Refused(Exception):
    """The set-up cannot be done. The message gives a reason that the caller can remove."""


class Stores:
    """Raises the errors of stripe-python and boto3, and `Refused`. `base`: another address of Stripe's API."""

    def __init__(self, api_key: str, arn: str, base: str = "") -> None:
        self.stripe = stripe.StripeClient(
            api_key,
            base_addresses={"api": base} if base else {},
            http_client=stripe.RequestsClient(timeout=_TIMEOUT_SECONDS),
            max_network_retries=_RETRIES,
        ).v1
        self._arn = arn
        region = arn.split(":")[3] if arn.startswith("arn:") and arn.count(":") >= 6 else None
        self._secrets: SecretsManagerClient = boto3.client("secretsmanager", region_name=region)

    def account(self, wish: Wish) -> Account:
        endpoints = [e.to_dict() for e in self.stripe.webhook_endpoints.list({"limit": 100}).auto_paging_iter()]
        listed = self.stripe.billing_portal.configurations.list({"limit": 100}).auto_paging_iter()
        account = Account([e for e in endpoints if e["url"] == wish.url], [c.to_dict() for c in listed], self.secret())
        ours = our_configuration(account)
        if wish.products and ours and not ours["features"]["subscription_update"].get("products"):
            self._expand(ours)
        return account

    def _expand(self, configuration: StripeObject) -> None:
        """Fetches the products too, because Stripe may leave them out if the request does not expand them."""
        whole = self.stripe.billing_portal.configurations.retrieve(configuration["id"], {"expand": [_PRODUCTS]})
        configuration["features"] = whole.to_dict()["features"]

    def products(self, prices: list[str]) -> list[Form] | None:
        """Groups the prices by product, because the portal's configuration lists them in this way."""
        found: dict[str, list[str]] = {}
        for price_id in prices:
            price = self.stripe.prices.retrieve(price_id)
            if price.recurring is None or not price.active:
                raise Refused(f"{price_id} is not an active, recurring price: nobody can switch to it.")
            product = price.product if isinstance(price.product, str) else price.product.id
            found.setdefault(product, []).append(price.id)
        return [{"product": product, "prices": of} for product, of in found.items()] or None

    def secret(self) -> Secret:
        try:
            text = self._secrets.get_secret_value(SecretId=self._arn).get("SecretString", "")
        except self._secrets.exceptions.ResourceNotFoundException:
            return Secret(problem=f"The secret is not there, or empty: make it first ({_MADE}).")
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        signing = value.get("webhook-secret") or [] if isinstance(value, dict) else None
        if not isinstance(signing, str | list) or not all(isinstance(one, str) for one in signing):
            return Secret(problem=f'The secret is not {{"api-key": "…", "webhook-secret": ["…"]}} ({_MADE}).')
        return Secret(value)

    def lacking(self, base: str, api_key: str) -> list[str]:
        """What the functions' key may not read, with the dashboard's names. What it may write cannot be tried."""
        v1 = stripe.StripeClient(api_key, base_addresses={"api": base} if base else {}).v1
        tries: dict[str, Callable[[], object]] = {
            "Customers": lambda: v1.customers.list({"limit": 1}),
            "Checkout Sessions": lambda: v1.checkout.sessions.list({"limit": 1}),
            "PaymentIntents": lambda: v1.payment_intents.list({"limit": 1}),
            "Prices": lambda: v1.prices.list({"limit": 1}),
            "Subscriptions": lambda: v1.subscriptions.list({"limit": 1}),
            "Invoices": lambda: v1.invoices.list({"limit": 1}),
            "Charges": lambda: v1.charges.list({"limit": 1}),
            "Disputes": lambda: v1.disputes.list({"limit": 1}),
            "Events": lambda: v1.events.list({"limit": 1}),
        }
        try:
            missing = [name for name, ask in tries.items() if not _allowed(ask)]
        except stripe.AuthenticationError:
            return ["Stripe does not know the functions' key (api-key in the secret)."]
        return [f"The functions' key lacks a permission: {name} ({_level(name)})." for name in missing]

    # -- changes

    def create_endpoint(self, form: Any) -> str:
        """Creates the endpoint and stores its secret, because only this answer of Stripe shows it.

        If the secret cannot be stored, deletes the endpoint again.
        """
        made = self.stripe.webhook_endpoints.create(form)
        try:
            assert made.secret, "Stripe returns it at creation"
            self._store("webhook-secret", [made.secret, *self.secret().signing])
        except BaseException:
            self._take_away(made.id)
            raise
        return made.id

    def _take_away(self, endpoint_id: str) -> None:
        try:
            self.stripe.webhook_endpoints.delete(endpoint_id)
        except stripe.StripeError as error:
            raise Refused(
                f"{endpoint_id} was made, but its secret could not be stored, and the endpoint could not be deleted: "
                "delete it at Stripe."
            ) from error

    def drop_secrets(self) -> None:
        self._store("webhook-secret", self.secret().signing[:1])

    def _store(self, name: str, kept: list[str] | str) -> None:
        """Sets one key of the secret. Every other key keeps its present value."""
        stored = self.secret()
        if stored.problem:
            raise Refused(stored.problem)
        value = json.dumps(stored.value | {name: kept})
        self._secrets.put_secret_value(SecretId=self._arn, SecretString=value)

    def do(self, change: Change) -> str:
        """Makes the change. Returns the id of the changed object."""
        form: Any = change.form
        match change.act:
            case Act.CREATE_ENDPOINT:
                return self.create_endpoint(form)
            case Act.CHANGE_ENDPOINT | Act.RETIRE_ENDPOINT:
                return self.stripe.webhook_endpoints.update(change.id, form).id
            case Act.CREATE_PORTAL:
                made = self.stripe.billing_portal.configurations.create(form).id
                self._store(NAMED, made)  # if this fails, the next run stores the id
                return made
            case Act.CHANGE_PORTAL:
                return self.stripe.billing_portal.configurations.update(change.id, form).id
            case Act.NAME_PORTAL:
                self._store(NAMED, change.id)
            case Act.DROP_SECRETS:
                self.drop_secrets()
        return change.id


def _allowed(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except stripe.PermissionError:
        return False
    return True


def _level(resource: str) -> str:
    return next(level for named, level in PERMISSIONS.values() if named == resource)
