"""Effects of what happens to a subscription, and what follows for its tenant."""

from dataclasses import replace

from billing.domain import tenancy
from billing.domain.entities import SCHEMA, Identity, Kind, Subscription, Tenant
from billing.domain.invoicing import SETTLES_CHECKOUT, bills_first_period, is_first
from billing.domain.order import Snapshot, Verdict
from billing.domain.statuses import CheckoutPayment
from billing.domain.writes import Pointer, StripeId, Unchanged
from billing.replica import payloads
from billing.replica.account import Account
from billing.replica.effects.outcome import OUT_OF_DATE, Answer, Fetch, Outcome, applied, next_state, verdict
from billing.replica.reading import id_in, moment, text
from billing.replica.stripe_event import Event


def subscription_changed(event: Event, account: Account, fetched: Snapshot | None) -> Answer:
    incoming = subscription_of(account, fetched or event.snapshot)
    current = account.subscriptions.get(incoming.stripe_subscription_id)
    match _verdict(current, incoming, fetched):
        case Verdict.FETCH:
            return Fetch("subscription", incoming.stripe_subscription_id)
        case Verdict.STALE:
            return OUT_OF_DATE
    outcome = with_subscription(account, next_state(current, incoming))
    return replace(outcome, unchanged=_awaited(account, incoming)) if current is None else outcome


def _verdict(current: Subscription | None, incoming: Subscription, fetched: Snapshot | None) -> Verdict:
    """As for every entity. Stripe is also asked if the event was made before the first invoice, for whose money the
    subscription waits: only that invoice can tell that it came.
    """
    waits = incoming.checkout_payment is CheckoutPayment.PENDING
    if current is None and fetched is None and waits and incoming.checkout_invoice_id is None:
        return Verdict.FETCH
    return verdict(current, incoming, fetched)


def _awaited(account: Account, new: Subscription) -> tuple[Unchanged, ...]:
    """The first invoice of a new subscription that waits for its money.

    The invoice's event may be applied at this moment. One of the two must see the other, so the invoice must be
    unchanged at the commit.
    """
    if new.checkout_payment is not CheckoutPayment.PENDING or new.checkout_invoice_id is None:
        return ()
    invoice = account.invoices.get(new.checkout_invoice_id)
    identity = Identity(Kind.INVOICE, new.checkout_invoice_id, account.tenant.tenant_id)
    return (Unchanged(identity, invoice.revision if invoice else 0),)


def trial_ending(event: Event, account: Account, fetched: Snapshot | None) -> Answer:
    """Applies the change like any other, and stores the notice, because no field of the subscription shows it."""
    incoming = subscription_of(account, fetched or event.snapshot)
    current = account.subscriptions.get(incoming.stripe_subscription_id)
    decided = _verdict(current, incoming, fetched)
    if decided is Verdict.FETCH:
        return Fetch("subscription", incoming.stripe_subscription_id)
    after = next_state(current, incoming) if decided is Verdict.APPLY or current is None else current
    ends = moment(event.object, "trial_end")
    if ends and ends > (after.trial_notice or ""):
        after = replace(after, trial_notice=ends)
    if after == current:
        return OUT_OF_DATE
    outcome = with_subscription(account, after)
    return replace(outcome, unchanged=_awaited(account, incoming)) if current is None else outcome


def subscription_of(account: Account, snapshot: Snapshot) -> Subscription:
    """The subscription as the snapshot has it, with what only the table knows."""
    subscription_id = text(snapshot.object, "id")
    fields = payloads.subscription_fields(snapshot.object, account.plans)
    known = account.subscriptions.get(subscription_id)
    price = fields["stripe_price_id"]
    same_price = known is not None and known.stripe_price_id == price
    fields["plan_id"] = account.plans.get(price) or (known.plan_id if known and same_price else None)
    fields |= {"snapshot_from": snapshot.since, "snapshot_at": snapshot.until, "schema": SCHEMA}
    if known:
        return replace(known, **fields)
    new = Subscription(tenant_id=account.tenant.tenant_id, stripe_subscription_id=subscription_id, **fields)
    return _of_open_checkout(account, new, snapshot)


def _of_open_checkout(account: Account, new: Subscription, snapshot: Snapshot) -> Subscription:
    """The new subscription. If our open checkout made it, it waits for the money of its first invoice.

    Stripe makes it active at once when the buyer pays by a bank debit, and the checkout's own event may come later.
    """
    checkout, attempt = account.tenant.checkout, payloads.checkout_attempt(snapshot.object)
    if checkout is None or not checkout.plan_id or attempt != str(checkout.attempt):
        return new
    invoice_id = _first_invoice(account, new, snapshot)
    invoice = account.invoices.get(invoice_id or "")
    settled = invoice is not None and invoice.status in SETTLES_CHECKOUT
    stage = CheckoutPayment.SETTLED if settled else CheckoutPayment.PENDING
    return replace(new, checkout_payment=stage, checkout_invoice_id=invoice_id, checkout_attempt=attempt)


def _first_invoice(account: Account, new: Subscription, snapshot: Snapshot) -> str | None:
    """The one that the table has. Otherwise the subscription's latest invoice: that is the first one, until the next
    period begins or a change is billed. Then the checkout's own event says which one was the first.
    """
    for one in account.invoices.values():
        if is_first(one) and one.stripe_subscription_id == new.stripe_subscription_id:
            return one.invoice_id
    latest = id_in(snapshot.object, "latest_invoice")
    known = account.invoices.get(latest or "")
    other = known is not None and not bills_first_period(known)
    later = (new.current_period_start or "") > new.started_at
    return None if other or later else latest


def with_subscription(account: Account, changed: Subscription, tenant: Tenant | None = None) -> Outcome:
    """The change of one subscription, and what follows for the tenant and its other subscriptions.

    The tenant is always written. So of two changes at once, also of two different subscriptions, only one succeeds on
    the tenant's revision, and the other one reads again.
    """
    others = {**account.subscriptions, changed.stripe_subscription_id: changed}
    owner, pointers = _with_customer(account, tenant or account.tenant, changed)
    owner, marked = tenancy.follow(owner, others.values())
    owner = tenancy.with_customer_of_current(owner, marked)
    touched = [s for s in marked if s != account.subscriptions.get(s.stripe_subscription_id)]
    return applied(tenancy.with_list(owner, marked, touched), *touched, pointers=pointers)


def _with_customer(account: Account, tenant: Tenant, of: Subscription) -> tuple[Tenant, tuple[Pointer, ...]]:
    if account.customer_known:
        return tenant, ()
    pointer = Pointer(StripeId(of.stripe_customer_id), tenant_id=tenant.tenant_id)
    # What Stripe has of the customer may have come before this, and nobody knew whose it was.
    return replace(tenant, import_due=of.snapshot_at), (pointer,)
