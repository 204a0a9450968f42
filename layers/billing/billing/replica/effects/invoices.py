"""Effects of what happens to an invoice, and what follows for a checkout that waits for its money."""

from dataclasses import replace

from billing.domain.entities import SCHEMA, Invoice, Payment, Subscription
from billing.domain.invoicing import SETTLES_CHECKOUT, bills_first_period
from billing.domain.order import Snapshot, Verdict
from billing.domain.statuses import CheckoutPayment, PaymentStatus
from billing.domain.writes import Pointer, StripeId, Unchanged
from billing.replica import payloads
from billing.replica.account import Account
from billing.replica.effects.outcome import (
    OUT_OF_DATE,
    Answer,
    Fetch,
    Outcome,
    applied,
    ignored,
    later_state,
    next_state,
    verdict,
)
from billing.replica.effects.subscriptions import with_subscription
from billing.replica.reading import text
from billing.replica.stripe_event import Event


def invoice_changed(event: Event, account: Account, fetched: Snapshot | None) -> Answer:
    incoming = _invoice(account, fetched or event.snapshot)
    current = account.invoices.get(incoming.invoice_id)
    decided = verdict(current, incoming, fetched)
    if fetched is None and payloads.tells_too_little(event.object) and _may_be_new(current, incoming):
        decided = Verdict.FETCH
    match decided:
        case Verdict.FETCH:
            return Fetch("invoice", incoming.invoice_id)
        case Verdict.STALE:
            return OUT_OF_DATE
    return _with_invoice(account, next_state(current, incoming), *_payments_to_link(account, incoming))


def _may_be_new(current: Invoice | None, incoming: Invoice) -> bool:
    """Whether the event may tell more than the table has, although its payload shows nothing else.

    Two attempts of one second differ only in what the payload does not show, such as why they failed.
    """
    return current is None or (not current.terminal and incoming.snapshot_at >= current.snapshot_from)


def _with_invoice(account: Account, invoice: Invoice, *payments: Payment) -> Outcome:
    """The change of one invoice, its pointer if it is new, and what follows for a checkout that waits for its money."""
    new = () if invoice.revision else (Pointer(StripeId(invoice.invoice_id), tenant_id=invoice.tenant_id),)
    settled = _settle_checkout(account, invoice)
    return replace(settled, entities=(invoice, *payments, *settled.entities), pointers=(*new, *settled.pointers))


def _payments_to_link(account: Account, invoice: Invoice) -> list[Payment]:
    """The recorded payments that paid this invoice and do not name it yet."""
    payments = [p for p in account.payments.values() if p.invoice_id is None]
    return [replace(p, invoice_id=invoice.invoice_id) for p in payments]


def _settle_checkout(account: Account, invoice: Invoice) -> Outcome:
    """Settles the checkout whose first payment was pending or failed, if its invoice is paid after all, or void."""
    waiting = [
        s
        for s in account.subscriptions.values()
        if _awaits(s, invoice) and s.checkout_payment not in (None, CheckoutPayment.SETTLED)
    ]
    if invoice.status not in SETTLES_CHECKOUT or invoice.stripe_subscription_id is None:
        return applied()
    if waiting:
        return with_subscription(account, replace(waiting[0], checkout_payment=CheckoutPayment.SETTLED))
    known = account.subscriptions.get(invoice.stripe_subscription_id)
    if known and known.checkout_payment:
        return applied()
    # The checkout's event may be applied at this moment, and then the checkout waits for this invoice. One of the two
    # events must see the other. A change of a subscription also writes the tenant, so the tenant must be unchanged.
    if known is None and account.tenant.revision and account.tenant.checkout and account.tenant.checkout.plan_id:
        # The subscription's event may not name this invoice, so it cannot demand that the invoice is unchanged.
        return applied(account.tenant)
    return replace(applied(), unchanged=(Unchanged(account.tenant.identity, account.tenant.revision),))


def _awaits(subscription: Subscription, invoice: Invoice) -> bool:
    """Whether the invoice is the one whose money the subscription's checkout waits for."""
    if subscription.checkout_invoice_id:
        return subscription.checkout_invoice_id == invoice.invoice_id and bills_first_period(invoice)
    return subscription.stripe_subscription_id == invoice.stripe_subscription_id and bills_first_period(invoice)


def _invoice(account: Account, snapshot: Snapshot) -> Invoice:
    invoice_id = text(snapshot.object, "id")
    known = account.invoices.get(invoice_id)
    before = payloads.Failures(known.attempt_count, known.failure_code) if known else payloads.Failures()
    fields = payloads.invoice_fields(snapshot.object, snapshot.until, before)
    fields |= {"snapshot_from": snapshot.since, "snapshot_at": snapshot.until, "schema": SCHEMA}
    fields["stripe_payment_intent_id"] = _one_of(known, *payloads.invoice_intents(snapshot.object))
    if known:
        return replace(known, **fields)
    tenant_id = account.tenant.tenant_id
    return Invoice(tenant_id=tenant_id, invoice_id=invoice_id, stripe_invoice_id=invoice_id, **fields)


def _one_of(known: Invoice | None, *paid: str) -> str | None:
    """One PaymentIntent that paid. Of several it is always the same one, in whatever order they come."""
    before = known.stripe_payment_intent_id if known else None
    return min([*paid, *([before] if before else [])], default=None)


def invoice_payment_paid(event: Event, account: Account, fetched: Snapshot | None) -> Answer:
    """Records on the payment and on the invoice that they belong together, whichever of their events came first."""
    paid = payloads.invoice_payment(event.object)
    known = account.invoices.get(paid.invoice_id)
    # If it paid a part of an open invoice, perhaps no other event says so.
    if fetched is None and (known is None or not known.terminal):
        return Fetch("invoice", paid.invoice_id)
    invoice = known
    if fetched:
        invoice = later_state(known, _invoice(account, fetched), fetched)
    assert invoice is not None, "known, or fetched and applied"
    if paid.payment_intent_id is None:  # recorded by hand, or taken by another service than Stripe
        return _with_invoice(account, invoice) if fetched else ignored("of an invoice that is closed")
    payment = account.payments.get(paid.payment_intent_id) or Payment(
        tenant_id=invoice.tenant_id,
        stripe_payment_intent_id=paid.payment_intent_id,
        status=PaymentStatus.SUCCEEDED,
        amount=paid.amount_paid,
        currency=paid.currency,
    )
    tied = replace(invoice, stripe_payment_intent_id=_one_of(invoice, paid.payment_intent_id))
    return _with_invoice(account, tied, replace(payment, invoice_id=invoice.invoice_id))
