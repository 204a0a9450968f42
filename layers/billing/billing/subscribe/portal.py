"""A tenant manages its billing in Stripe's Customer Portal."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from billing.adapters.secret import SecretStore
from billing.adapters.stripe_api import StripeApi
from billing.adapters.table.rate_limit import RateLimit
from billing.adapters.table.store import Table
from billing.domain.caller import Caller
from billing.domain.writes import StripeId
from billing.edge.parameters.subscribe import OpenPortal
from billing.errors import BadReturnUrl, CustomerGone, CustomerNotFound, Forbidden
from billing.settings import Settings

_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1"})


@dataclass(frozen=True)
class Portal:
    """The secret may name a configuration of the portal. Without one Stripe uses the account's default."""

    table: Table
    stripe: StripeApi
    settings: Settings
    secrets: SecretStore
    limit: RateLimit

    def open_session(self, caller: Caller, request: OpenPortal) -> str:
        """The address of a portal session.

        A tenant gets the same answer for a customer of somebody else and for one that does not exist.

        Raises `Forbidden`, `CustomerNotFound`, `BadReturnUrl`, `TooManyCalls` and Stripe's failures.
        """
        return_url = request.return_url or self.settings.portal_return_url
        if request.return_url:
            check_return_url(request.return_url, self.settings.return_origins)
        owner = self.table.owner(StripeId(request.customer_id))
        if owner is None and caller.is_admin:
            raise CustomerNotFound("No tenant has this customer.")
        if not caller.is_admin and (owner is None or owner != caller.tenant_id):
            raise Forbidden("This customer does not belong to the tenant.")
        self.limit.count(caller)
        configuration = self.secrets.read().portal_configuration
        try:
            return self.stripe.create_portal_session(request.customer_id, return_url, configuration)
        except CustomerGone as error:
            raise CustomerNotFound("Stripe does not have this customer any more; start a checkout.") from error


def check_return_url(url: str, origins: frozenset[str]) -> None:
    """Raises `BadReturnUrl` unless the address has one of the origins, and is https (for localhost also http).

    It compares the parts of the address and not its text: `https://app.example.com.evil.net` and
    `https://app.example.com@evil.net` begin with the text of an allowed origin, but have another one. Characters that
    browsers and parsers read differently are refused.
    """
    refusal = BadReturnUrl("returnUrl must have an allowed origin, and be https (http on localhost).")
    if not url.isascii() or not url.isprintable() or "\\" in url or " " in url:
        raise refusal
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise refusal from error
    secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL_HOSTS)
    if not secure or parts.username is not None or parts.password is not None:
        raise refusal
    default = {"https": 443, "http": 80}[parts.scheme]
    origin = f"{parts.scheme}://{parts.hostname}" + (f":{port}" if port not in (None, default) else "")
    if origin not in origins:
        raise refusal
