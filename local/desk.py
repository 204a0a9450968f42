"""The part of a running stack that the console and the commands use. They do not depend on how the stack is built."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from local.aws.clients import AwsAccess
from local.aws.exchanges import Exchanges
from local.aws.runtime import Runtime
from local.stripe.account import Account


class Desk(Protocol):
    """`stripe` is None if the stack uses a Stripe that is not the stand-in."""

    api_key: str
    stripe: Account | None
    announcements: list[dict[str, Any]]
    aws: AwsAccess
    exchanges: Exchanges

    @property
    def api_url(self) -> str: ...

    @property
    def stripe_base(self) -> str: ...

    @property
    def logs(self) -> Path:
        """The folder of the functions' logs."""

    @property
    def runtimes(self) -> Mapping[str, Runtime]:
        """The functions, by the names that the template gives them."""

    def token(self, tenant_id: str | None, scope: str = "") -> str:
        """A bearer token. If `tenant_id` is None, it is an operator's token; `scope` is then the admin scope."""

    def name_portal(self, configuration: str) -> None:
        """Names the configuration with which the functions open the portal, in Secrets Manager."""

    def wait_until_on_time(self, timeout: float) -> bool:
        """Whether the functions that start by themselves have done so for Stripe's present time, within `timeout`
        seconds.
        """

    def reset(self) -> None:
        """Everything is as it was after the start: no time has passed, and nobody has done anything."""

    def roll_webhook_secret(self) -> None:
        """Makes a new webhook secret at Stripe and in Secrets Manager. The previous secret stays valid too."""
