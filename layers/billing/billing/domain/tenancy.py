"""A tenant's status follows from all of its subscriptions. The order in which they became known has no influence."""

from collections.abc import Collection, Iterable
from dataclasses import replace

from billing.domain import access
from billing.domain.entities import TOO_MANY, Listed, OpenCheckout, Subscription, Tenant
from billing.domain.statuses import CheckoutPayment, TenantStatus

_STAGES = list(CheckoutPayment)
_MOST_LISTED = 20  # so that the tenant stays a small item


def further(a: CheckoutPayment | None, b: CheckoutPayment | None) -> CheckoutPayment | None:
    """The later of two stages of a checkout's first payment, whichever of them became known first."""
    stages = [stage for stage in (a, b) if stage is not None]
    return max(stages, key=_STAGES.index, default=None)


def status_given_by(subscription: Subscription) -> TenantStatus:
    status = access.meaning(subscription.status).tenant
    if subscription.pause_behavior == access.FREE_PAUSE and status is TenantStatus.ACTIVE:
        return TenantStatus.SUSPENDED
    unpaid = subscription.checkout_payment in (CheckoutPayment.PENDING, CheckoutPayment.FAILED)
    return TenantStatus.PENDING if unpaid and status is TenantStatus.ACTIVE else status


def current(subscriptions: Iterable[Subscription]) -> Subscription | None:
    """The subscription that decides about the tenant: the oldest live one that gives access.

    If none gives access it is the oldest live one, and if none is live the newest of the ended ones. One whose first
    payment was never accepted decides only if there is no other: a declined card takes nothing from a tenant.
    """
    known = sorted(subscriptions, key=lambda s: (s.started_at, s.stripe_subscription_id))
    known = [s for s in known if access.meaning(s.status).began] or known
    live = [s for s in known if access.is_live(s.status)]
    giving = [s for s in live if status_given_by(s) is TenantStatus.ACTIVE]
    return next(iter(giving or live or known[::-1]), None)


def with_list(tenant: Tenant, subscriptions: Iterable[Subscription], written: Collection[Subscription] = ()) -> Tenant:
    """The tenant with the list of those that can decide about it, now or later: the live ones, and the ended one that
    decides if none is live. So the other ended ones, however many, need not be read.

    `written` are those that get their next revision together with the tenant.
    """
    known = sorted(subscriptions, key=lambda s: s.stripe_subscription_id)
    last = current(s for s in known if not access.is_live(s.status))
    those = [s for s in known if s is last or access.is_live(s.status)]
    if len(those) > _MOST_LISTED:
        return replace(tenant, subscriptions=(), listed_at=TOO_MANY)
    listed = (Listed(subscription_id=s.stripe_subscription_id, revision=s.revision + (s in written)) for s in those)
    return replace(tenant, subscriptions=tuple(listed), listed_at=tenant.revision)


def follow(tenant: Tenant, subscriptions: Iterable[Subscription]) -> tuple[Tenant, list[Subscription]]:
    """The tenant and all of its subscriptions with the fields that depend on all of them brought up to date.

    A second subscription that charges is kept and marked `duplicate`. A human must decide what to do about it.
    """
    known = list(subscriptions)
    chosen = current(known)
    if chosen is None:
        return tenant, known
    marks = [s is not chosen and access.meaning(s.status).charges for s in known]
    marked = [s if s.duplicate is mark else replace(s, duplicate=mark) for s, mark in zip(known, marks, strict=True)]
    tenant = replace(tenant, status=status_given_by(chosen), current_subscription_id=chosen.stripe_subscription_id)
    return tenant, marked


def with_customer_of_current(tenant: Tenant, subscriptions: Iterable[Subscription]) -> Tenant:
    """The tenant whose customer was not made or linked by a call has that of the subscription that decides.

    If that one was deleted, it has the customer of its oldest subscription whose customer was not. So if two customers
    of Stripe have its subscriptions, it does not matter whose event came first.
    """
    if tenant.stripe_customer_id and not tenant.customer_found:
        return tenant
    first = sorted(
        subscriptions,
        key=lambda s: (
            s.stripe_subscription_id != tenant.current_subscription_id,
            s.started_at,
            s.stripe_subscription_id,
        ),
    )
    there = [s.stripe_customer_id for s in first if s.stripe_customer_id not in tenant.deleted_customers]
    found = next(iter(there), None)
    return replace(tenant, stripe_customer_id=found, customer_found=found is not None)


def without_customer(tenant: Tenant, customer_id: str, subscriptions: Iterable[Subscription]) -> Tenant:
    """The tenant after this customer of it was deleted at Stripe.

    If it was the tenant's present one and no subscription has another, the next checkout makes a new one. Perhaps the
    deleted one was made by a checkout: then the next has another idempotency key, under which Stripe does not repeat
    it. The open session was the deleted customer's.
    """
    if customer_id == tenant.stripe_customer_id:
        checkout = tenant.checkout and OpenCheckout(attempt=tenant.checkout.attempt)
        attempt = tenant.customer_attempt + (not tenant.customer_found)
        tenant = replace(tenant, stripe_customer_id=None, customer_attempt=attempt, checkout=checkout)
    elif customer_id in tenant.deleted_customers:
        return tenant
    deleted = tuple(dict.fromkeys((*tenant.deleted_customers, customer_id)))
    return with_customer_of_current(replace(tenant, deleted_customers=deleted), subscriptions)
