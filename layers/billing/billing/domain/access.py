"""The one declared table of what a subscription's status means. Statuses are Stripe's own.

Source: https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses
"""

from typing import Final, NamedTuple


class Meaning(NamedTuple):
    tenant: str  # the status of a tenant whose current subscription is in this one
    live: bool  # not ended: blocks another checkout
    charges: bool  # Stripe bills it, or will again


MEANING: Final[dict[str, Meaning]] = {
    "trialing": Meaning("ACTIVE", live=True, charges=True),
    "active": Meaning("ACTIVE", live=True, charges=True),
    "past_due": Meaning("ACTIVE", live=True, charges=True),
    "unpaid": Meaning("SUSPENDED", live=True, charges=True),
    "paused": Meaning("SUSPENDED", live=True, charges=True),
    "incomplete": Meaning("SUSPENDED", live=True, charges=False),
    "incomplete_expired": Meaning("CANCELED", live=False, charges=False),
    "canceled": Meaning("CANCELED", live=False, charges=False),
}

# A status that Stripe invents after this was written neither opens the door nor sells a second subscription.
UNKNOWN: Final = Meaning("SUSPENDED", live=True, charges=True)


def meaning(status: str) -> Meaning:
    return MEANING.get(status, UNKNOWN)


def is_live(status: str) -> bool:
    return meaning(status).live
