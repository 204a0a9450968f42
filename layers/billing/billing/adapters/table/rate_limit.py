"""How often a tenant may make us ask Stripe: so many calls a minute, counted in the table.

All tenants and Stripe's own webhooks share the rate that Stripe allows an account (100 calls a second in live mode, 25
in a sandbox: https://docs.stripe.com/rate-limits). A throttle of the API's route would not do: it counts all tenants
together, so the one that floods it would lock out the others.
"""

from dataclasses import dataclass
from typing import Final

from billing import clock
from billing.adapters.table import keys
from billing.adapters.table.store import Table
from billing.domain.caller import Caller
from billing.errors import TooManyCalls

_MINUTE: Final = 60


@dataclass(frozen=True)
class RateLimit:
    table: Table
    calls_per_minute: int

    def count(self, caller: Caller) -> None:
        """Counts one call of the caller's tenant. The calls of operators are not counted.

        A caller must be authorized before, so that nobody uses up the calls of another tenant.

        Raises `TooManyCalls` if the tenant made `calls_per_minute` calls in this minute of the clock.
        """
        if caller.is_admin:
            return
        now = clock.seconds()
        end = now - now % _MINUTE + _MINUTE
        key = keys.calls(caller.own_tenant(), clock.iso(end - _MINUTE))
        if not self.table.count(key, self.calls_per_minute, expires_at=end + _MINUTE):
            raise TooManyCalls("Too many calls of this tenant; wait until the next minute.", retry_after=end - now)
