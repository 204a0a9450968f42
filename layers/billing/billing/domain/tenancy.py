"""How a tenant's status follows from its subscriptions: a pure function of all of them, in any order."""

from collections.abc import Iterable
from dataclasses import replace

from billing.domain import access
from billing.domain.entities import CheckoutPayment, Subscription, Tenant, TenantStatus

_PROGRESS = list(CheckoutPayment)


def further(a: CheckoutPayment | None, b: CheckoutPayment | None) -> CheckoutPayment | None:
    """The later of two stages of a checkout's first payment, in whatever order they became known."""
    stages = [stage for stage in (a, b) if stage is not None]
    return max(stages, key=_PROGRESS.index, default=None)


def status_given_by(subscription: Subscription) -> TenantStatus:
    status = TenantStatus(access.meaning(subscription.status).tenant)
    unpaid = subscription.checkout_payment in (CheckoutPayment.PENDING, CheckoutPayment.FAILED)
    return TenantStatus.PENDING if unpaid and status is TenantStatus.ACTIVE else status


def current(subscriptions: Iterable[Subscription]) -> Subscription | None:
    """The one that decides: the oldest live one that gives access, else the oldest live one, else the last ended."""
    known = sorted(subscriptions, key=lambda s: (s.started_at, s.stripe_subscription_id))
    live = [s for s in known if access.is_live(s.status)]
    giving = [s for s in live if status_given_by(s) is TenantStatus.ACTIVE]
    return next(iter(giving or live or known[::-1]), None)


def follow(tenant: Tenant, subscriptions: Iterable[Subscription]) -> tuple[Tenant, list[Subscription]]:
    """The tenant and every subscription as they must be, given all subscriptions of the tenant.

    A second one that charges is kept and marked `duplicate`: what to do about it is for a human to say.
    """
    known = list(subscriptions)
    chosen = current(known)
    if chosen is None:
        return tenant, known
    marked = [replace(s, duplicate=s is not chosen and access.meaning(s.status).charges) for s in known]
    tenant = replace(tenant, status=status_given_by(chosen), current_subscription_id=chosen.stripe_subscription_id)
    return tenant, marked
