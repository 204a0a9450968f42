"""What the console and the commands need of a running stack, and no more: they do not know how it is built."""

from typing import Any, Protocol

from local.stripe.account import Account


class Desk(Protocol):
    """`stripe` is None where the stack works with another Stripe than the stand-in."""

    api_key: str
    stripe: Account | None
    announcements: list[dict[str, Any]]

    @property
    def api_url(self) -> str: ...

    @property
    def aws_url(self) -> str: ...

    @property
    def stripe_base(self) -> str: ...

    def token(self, tenant_id: str | None, scope: str = "") -> str:
        """A bearer token. None: an operator's, if the scope is the admin's."""

    def roll_webhook_secret(self) -> None:
        """A new webhook secret at Stripe and in Secrets Manager. The one before stays valid beside it."""
