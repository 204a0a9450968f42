"""Tries a request again that lost a race, or that met a failure of Stripe's that may be an old one."""

from collections.abc import Callable
from typing import Final

from billing import deadline
from billing.errors import BillingError, Contention, RevisionConflict, StripeFailed

MAX_TRIES: Final = 4


def attempts[T](act: Callable[[], T], busy: str) -> T:
    """What `act` returns. It is run again, from its first read, when somebody wrote meanwhile.

    After a 5xx of Stripe's it is run once more: `act` has left the idempotency key whose answer that is for a day, and
    the failure may have been there since a call that died before it could leave the key.

    Raises `Contention` with `busy` when others keep writing, and what `act` raises.
    """
    failure: BillingError | None = None
    for attempt in range(MAX_TRIES):
        if attempt and deadline.is_near():
            break
        try:
            return act()
        except RevisionConflict:
            continue
        except StripeFailed as error:
            if failure:
                raise
            failure = error
    raise failure or Contention(busy, retry_after=1)
