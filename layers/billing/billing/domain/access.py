"""The one table that says what a subscription's status means. The statuses are Stripe's own.

Source: https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses
"""

from typing import Final, NamedTuple

from billing.domain.statuses import TenantStatus


class Meaning(NamedTuple):
    tenant: TenantStatus  # the status of a tenant whose current subscription has this status
    live: bool  # the subscription has not ended
    charges: bool  # Stripe bills it now, or will bill it again: it blocks another checkout
    began: bool = True  # its first payment (or its trial) was accepted once


MEANING: Final[dict[str, Meaning]] = {
    "trialing": Meaning(TenantStatus.ACTIVE, live=True, charges=True),
    "active": Meaning(TenantStatus.ACTIVE, live=True, charges=True),
    "past_due": Meaning(TenantStatus.ACTIVE, live=True, charges=True),
    "unpaid": Meaning(TenantStatus.SUSPENDED, live=True, charges=True),
    "paused": Meaning(TenantStatus.SUSPENDED, live=True, charges=True),
    # Checkout makes the subscription when the buyer sends the form. If the card is declined or must be confirmed, the
    # subscription waits for 23 hours for its first payment. It was never active before that.
    "incomplete": Meaning(TenantStatus.PENDING, live=True, charges=False, began=False),
    "incomplete_expired": Meaning(TenantStatus.PENDING, live=False, charges=False, began=False),
    "canceled": Meaning(TenantStatus.CANCELED, live=False, charges=False),
}

# Stripe may add a status after this was written. Such a status gives no access and blocks a second subscription.
UNKNOWN: Final = Meaning(TenantStatus.SUSPENDED, live=True, charges=True)


# While the collection of its invoices is paused, a subscription stays active at Stripe. If the invoices are voided,
# nobody pays for this time, and nobody gets anything for it. With the other behaviors (keep_as_draft,
# mark_uncollectible) the seller goes on serving and decides about the money later.
# https://docs.stripe.com/billing/subscriptions/pause-payment
FREE_PAUSE: Final = "void"


def meaning(status: str) -> Meaning:
    return MEANING.get(status, UNKNOWN)


def is_live(status: str) -> bool:
    return meaning(status).live
