"""A tenant manages its billing in Stripe's Customer Portal."""

from urllib.parse import urlsplit

from billing.domain.caller import Caller
from billing.errors import BadReturnUrl, CustomerNotFound, Forbidden
from billing.parameters import OpenPortal
from billing.settings import Settings
from billing.stripe_api import StripeApi
from billing.table import keys
from billing.table.store import Table

_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1"})


def open_session(
    table: Table,
    stripe: StripeApi,
    settings: Settings,
    caller: Caller,
    wanted: OpenPortal,
    configuration: str | None = None,
) -> str:
    """The address of a portal session. `configuration`: of Stripe's portal, its default one if None.

    Raises `Forbidden`, `CustomerNotFound`, `BadReturnUrl` and Stripe's failures.

    A tenant gets the same answer for a customer of somebody else and for one that does not exist.
    """
    return_url = wanted.return_url or settings.portal_return_url
    if wanted.return_url:
        check_return_url(wanted.return_url, settings.return_origins)
    owner = table.owner(keys.stripe_pointer(wanted.customer_id))
    if owner is None and caller.is_admin:
        raise CustomerNotFound("No tenant has this customer.")
    if not caller.is_admin and (owner is None or owner != caller.tenant_id):
        raise Forbidden("This customer does not belong to the tenant.")
    return stripe.create_portal_session(wanted.customer_id, return_url, configuration)


def check_return_url(url: str, origins: frozenset[str]) -> None:
    """Raises `BadReturnUrl` unless the address is https (http on this machine) and of one of the origins.

    Compared by its parts, not as text: `https://app.example.com.evil.net` and `https://app.example.com@evil.net`
    begin like an allowed origin and are none. Characters that browsers and parsers read differently are refused.
    """
    refusal = BadReturnUrl("returnUrl must be of an allowed origin, over https (http on localhost).")
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
