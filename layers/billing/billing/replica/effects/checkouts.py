"""Effects of what happens to a Checkout Session."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from billing.domain import tenancy
from billing.domain.entities import Identity, Invoice, Kind, OpenCheckout, Tenant
from billing.domain.invoicing import SETTLES_CHECKOUT
from billing.domain.order import Snapshot
from billing.domain.statuses import CheckoutPayment
from billing.domain.writes import Unchanged
from billing.replica import payloads
from billing.replica.account import Account
from billing.replica.effects.outcome import OUT_OF_DATE, Answer, Fetch, applied, ignored, later_state
from billing.replica.effects.subscriptions import subscription_of, with_subscription
from billing.replica.stripe_event import Event

_STAGE: Final[Mapping[str, CheckoutPayment]] = {
    "checkout.session.async_payment_succeeded": CheckoutPayment.SETTLED,
    "checkout.session.async_payment_failed": CheckoutPayment.FAILED,
}


def checkout_finished(event: Event, account: Account, fetched: Snapshot | None) -> Answer:
    """For completed, async_payment_succeeded and async_payment_failed. The first to come records the subscription."""
    session = payloads.checkout_session(event.object)
    if session.mode != "subscription" or session.subscription_id is None:
        return ignored("not a checkout of a subscription")
    known = account.subscriptions.get(session.subscription_id)
    # A complete session has a subscription that is not `incomplete` any more. Its own event may come later.
    if fetched is None and (known is None or known.status == "incomplete"):
        return Fetch("subscription", session.subscription_id)
    if known is None or fetched:
        subscription = later_state(known, subscription_of(account, fetched or event.snapshot), fetched)
    else:
        subscription = known
    invoice = account.invoices.get(session.invoice_id or "")
    stage = tenancy.further(subscription.checkout_payment, _stage(event.type, session, invoice))
    subscription = replace(subscription, checkout_payment=stage, checkout_invoice_id=session.invoice_id)
    outcome = with_subscription(account, subscription, _without_session(account.tenant, session))
    if outcome.entities == (account.tenant,) and not outcome.pointers:
        return OUT_OF_DATE  # it was applied before, when the buyer came back from Checkout
    if stage is CheckoutPayment.SETTLED or session.invoice_id is None:
        return outcome
    # The checkout waits for its invoice, whose event may be applied at this moment. One of the two must see the other,
    # so the invoice must be unchanged at the commit.
    identity = Identity(Kind.INVOICE, session.invoice_id, account.tenant.tenant_id)
    return replace(outcome, unchanged=(Unchanged(identity, invoice.revision if invoice else 0),))


def _stage(event_type: str, session: payloads.CheckoutSession, invoice: Invoice | None) -> CheckoutPayment:
    if invoice and invoice.status in SETTLES_CHECKOUT:
        return CheckoutPayment.SETTLED
    paid = session.payment_status in ("paid", "no_payment_required")
    return _STAGE.get(event_type, CheckoutPayment.SETTLED if paid else CheckoutPayment.PENDING)


def checkout_expired(event: Event, account: Account, _: Snapshot | None) -> Answer:
    """A subscription that it began waits for it no more: its invoice can still be paid, but elsewhere."""
    session = payloads.checkout_session(event.object)
    tenant = _without_session(account.tenant, session)
    for one in account.subscriptions.values():
        waits = one.checkout_payment is CheckoutPayment.PENDING and not one.terminal
        if waits and one.checkout_attempt is not None and one.checkout_attempt == session.attempt:
            return with_subscription(account, replace(one, checkout_payment=CheckoutPayment.SETTLED), tenant)
    return OUT_OF_DATE if tenant == account.tenant else applied(tenant)


def _without_session(tenant: Tenant, session: payloads.CheckoutSession) -> Tenant:
    """Removes the session if it is the open one, or the one that was reserved and whose id was never stored."""
    checkout = tenant.checkout
    if checkout is None or not checkout.plan_id:
        return tenant
    mine = checkout.session_id == session.id if checkout.session_id else str(checkout.attempt) == session.attempt
    return replace(tenant, checkout=OpenCheckout(attempt=checkout.attempt)) if mine else tenant
