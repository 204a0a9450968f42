"""Effects of what happens to a subscription, and what follows for its tenant."""

from dataclasses import replace

from billing.domain import access, tenancy
from billing.domain.entities import Subscription, Tenant
from billing.domain.order import Snapshot, Verdict
from billing.domain.writes import Pointer, StripeId
from billing.replica import payloads
from billing.replica.account import Account
from billing.replica.effects.outcome import OUT_OF_DATE, Answer, Fetch, Outcome, applied, next_state, verdict
from billing.replica.stripe_event import Event


def subscription_changed(event: Event, account: Account, fetched: Snapshot | None) -> Answer:
    incoming = subscription_of(account, fetched or event.snapshot)
    current = account.subscriptions.get(incoming.stripe_subscription_id)
    match verdict(current, incoming, fetched):
        case Verdict.FETCH:
            return Fetch("subscription", incoming.stripe_subscription_id)
        case Verdict.STALE:
            return OUT_OF_DATE
    return with_subscription(account, next_state(current, incoming))


def trial_ending(event: Event, account: Account, fetched: Snapshot | None) -> Answer:
    """Applies the change like any other, and stores the notice, because no field of the subscription shows it."""
    incoming = subscription_of(account, fetched or event.snapshot)
    current = account.subscriptions.get(incoming.stripe_subscription_id)
    decided = verdict(current, incoming, fetched)
    if decided is Verdict.FETCH:
        return Fetch("subscription", incoming.stripe_subscription_id)
    after = next_state(current, incoming) if decided is Verdict.APPLY or current is None else current
    ends = payloads.moment(event.object.get("trial_end"))
    if ends and access.is_live(after.status) and ends > (after.trial_notice or ""):
        after = replace(after, trial_notice=ends)
    return OUT_OF_DATE if after == current else with_subscription(account, after)


def subscription_of(account: Account, snapshot: Snapshot) -> Subscription:
    """The subscription as the snapshot has it, with what only the table knows."""
    fields = payloads.subscription_fields(snapshot.object)
    known = account.subscriptions.get(snapshot.object["id"])
    price = fields["stripe_price_id"]
    same_price = known is not None and known.stripe_price_id == price
    fields["plan_id"] = account.plans.get(price) or (known.plan_id if known and same_price else None)
    fields |= {"snapshot_from": snapshot.since, "snapshot_at": snapshot.until}
    if known:
        return replace(known, **fields)
    return Subscription(tenant_id=account.tenant.tenant_id, stripe_subscription_id=snapshot.object["id"], **fields)


def with_subscription(account: Account, changed: Subscription, tenant: Tenant | None = None) -> Outcome:
    """The change of one subscription, and what follows for the tenant and its other subscriptions.

    The tenant is always written. So of two changes at once, also of two different subscriptions, only one succeeds on
    the tenant's revision, and the other one reads again.
    """
    others = {**account.subscriptions, changed.stripe_subscription_id: changed}
    owner, pointers = _with_customer(account, tenant or account.tenant, changed.stripe_customer_id)
    owner, marked = tenancy.follow(owner, others.values())
    touched = [s for s in marked if s != account.subscriptions.get(s.stripe_subscription_id)]
    return applied(owner, *touched, pointers=pointers)


def _with_customer(account: Account, tenant: Tenant, customer_id: str) -> tuple[Tenant, tuple[Pointer, ...]]:
    if account.customer_known:
        return tenant, ()
    pointer = Pointer(StripeId(customer_id), tenant_id=tenant.tenant_id)
    return replace(tenant, stripe_customer_id=tenant.stripe_customer_id or customer_id), (pointer,)
