"""What an event means for the entities: pure functions of the event and the account, without I/O.

An effect returns the writes it wants, or asks for Stripe's present state of one object (`Fetch`) and is called again
with it. It never decides by the order in which events arrived: every state is compared by `domain/order.py`, and what
follows from several (a tenant's status) is computed from all of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from billing.domain import access, tenancy
from billing.domain.entities import (
    CheckoutPayment,
    Entity,
    Invoice,
    InvoiceStatus,
    OpenCheckout,
    Payment,
    PaymentStatus,
    Replica,
    Subscription,
    Tenant,
)
from billing.domain.invoicing import receive
from billing.domain.order import Verdict, compare, succeed
from billing.table import keys
from billing.table.records import RecordStatus
from billing.table.store import Pointer, Unchanged
from billing.webhook import payloads
from billing.webhook.account import Account
from billing.webhook.payloads import Event, Snapshot


@dataclass(frozen=True)
class Outcome:
    status: RecordStatus
    reason: str | None = None
    entities: tuple[Entity, ...] = ()
    pointers: tuple[Pointer, ...] = ()
    unchanged: tuple[Unchanged, ...] = ()


@dataclass(frozen=True)
class Fetch:
    kind: str
    object_id: str


type Answer = Outcome | Fetch
type Effect = Callable[[Event, Account, Snapshot | None], Answer]

OUT_OF_DATE: Final = Outcome(RecordStatus.STALE, "the record holds this state or a later one")


def ignored(reason: str) -> Outcome:
    return Outcome(RecordStatus.IGNORED, reason)


def applied(*entities: Entity, pointers: tuple[Pointer, ...] = ()) -> Outcome:
    return Outcome(RecordStatus.PROCESSED, None, entities, pointers)


# -- subscriptions


def subscription_changed(event: Event, account: Account, fetched: Snapshot | None) -> Answer:
    incoming = _subscription(account, fetched or event.snapshot)
    current = account.subscriptions.get(incoming.stripe_subscription_id)
    match _verdict(current, incoming, fetched):
        case Verdict.FETCH:
            return Fetch("subscription", incoming.stripe_subscription_id)
        case Verdict.STALE:
            return OUT_OF_DATE
    return _subscribed(account, _next(current, incoming))


def trial_ending(event: Event, account: Account, fetched: Snapshot | None) -> Answer:
    """A change like any other, and a notice that no state of the subscription shows: it is kept once a trial."""
    incoming = _subscription(account, fetched or event.snapshot)
    current = account.subscriptions.get(incoming.stripe_subscription_id)
    verdict = _verdict(current, incoming, fetched)
    if verdict is Verdict.FETCH:
        return Fetch("subscription", incoming.stripe_subscription_id)
    after = _next(current, incoming) if verdict is Verdict.APPLY or current is None else current
    ends = payloads.moment(event.object.get("trial_end"))
    if ends and access.is_live(after.status) and ends > (after.trial_notice or ""):
        after = replace(after, trial_notice=ends)
    return OUT_OF_DATE if after == current else _subscribed(account, after)


def _subscription(account: Account, snapshot: Snapshot) -> Subscription:
    fields = payloads.subscription_fields(snapshot.object)
    known = account.subscriptions.get(snapshot.object["id"])
    price = fields["stripe_price_id"]
    same_price = known is not None and known.stripe_price_id == price
    fields["plan_id"] = account.plans.get(price) or (known.plan_id if known and same_price else None)
    fields |= {"snapshot_from": snapshot.since, "snapshot_at": snapshot.until}
    if known:
        return replace(known, **fields)
    return Subscription(tenant_id=account.tenant.tenant_id, stripe_subscription_id=snapshot.object["id"], **fields)


def _subscribed(account: Account, changed: Subscription, tenant: Tenant | None = None) -> Outcome:
    """One subscription's change, and what follows for the tenant and the tenant's other subscriptions.

    The tenant is always written: its revision is what two changes of different subscriptions race for.
    """
    others = {**account.subscriptions, changed.stripe_subscription_id: changed}
    owner, pointers = _with_customer(account, tenant or account.tenant, changed.stripe_customer_id)
    owner, marked = tenancy.follow(owner, others.values())
    touched = [s for s in marked if s != account.subscriptions.get(s.stripe_subscription_id)]
    return applied(owner, *touched, pointers=pointers)


def _with_customer(account: Account, tenant: Tenant, customer_id: str) -> tuple[Tenant, tuple[Pointer, ...]]:
    if account.customer_known:
        return tenant, ()
    pointer = Pointer(keys.stripe_pointer(customer_id), tenant_id=tenant.tenant_id)
    return replace(tenant, stripe_customer_id=tenant.stripe_customer_id or customer_id), (pointer,)


# -- Checkout

# Of the checkout's first invoice. Who voids it lets go of the money: from then on Stripe's status alone decides.
_SETTLES: Final = frozenset({InvoiceStatus.PAID, InvoiceStatus.VOID})
_STAGE: Final[Mapping[str, CheckoutPayment]] = {
    "checkout.session.async_payment_succeeded": CheckoutPayment.SETTLED,
    "checkout.session.async_payment_failed": CheckoutPayment.FAILED,
}


def checkout_finished(event: Event, account: Account, fetched: Snapshot | None) -> Answer:
    """completed, async_payment_succeeded, async_payment_failed: whichever comes first records the subscription."""
    session = payloads.checkout_session(event.object)
    if session.mode != "subscription" or session.subscription_id is None:
        return ignored("not a checkout of a subscription")
    known = account.subscriptions.get(session.subscription_id)
    if known is None and fetched is None:
        return Fetch("subscription", session.subscription_id)
    subscription = known or _subscription(account, fetched or event.snapshot)
    invoice = account.invoices.get(session.invoice_id or "")
    stage = tenancy.further(subscription.checkout_payment, _stage(event.type, session, invoice))
    subscription = replace(subscription, checkout_payment=stage, checkout_invoice_id=session.invoice_id)
    outcome = _subscribed(account, subscription, _without_session(account.tenant, session))
    if outcome.entities == (account.tenant,) and not outcome.pointers:
        return OUT_OF_DATE  # whoever came back from Checkout made us ask Stripe, before this event came
    if stage is CheckoutPayment.SETTLED or session.invoice_id is None:
        return outcome
    # It waits for its invoice: should that be paid at this moment, one of the two events has to see the other.
    key = keys.invoice(account.tenant.tenant_id, session.invoice_id)
    return replace(outcome, unchanged=(Unchanged(key, invoice.revision if invoice else 0),))


def _stage(event_type: str, session: payloads.CheckoutSession, invoice: Invoice | None) -> CheckoutPayment:
    if invoice and invoice.status in _SETTLES:
        return CheckoutPayment.SETTLED
    paid = session.payment_status in ("paid", "no_payment_required")
    return _STAGE.get(event_type, CheckoutPayment.SETTLED if paid else CheckoutPayment.PENDING)


def checkout_expired(event: Event, account: Account, _: Snapshot | None) -> Answer:
    tenant = _without_session(account.tenant, payloads.checkout_session(event.object))
    return OUT_OF_DATE if tenant == account.tenant else applied(tenant)


def _without_session(tenant: Tenant, session: payloads.CheckoutSession) -> Tenant:
    """Forgets the session if it is the one that is open, or reserved and never heard of again."""
    checkout = tenant.checkout
    if checkout is None or not checkout.plan_id:
        return tenant
    mine = checkout.session_id == session.id if checkout.session_id else str(checkout.attempt) == session.attempt
    return replace(tenant, checkout=OpenCheckout(attempt=checkout.attempt)) if mine else tenant


# -- invoices

_ATTEMPT_FAILED: Final = "invoice.payment_failed"


def invoice_changed(event: Event, account: Account, fetched: Snapshot | None) -> Answer:
    incoming = _invoice(account, fetched or event.snapshot)
    current = account.invoices.get(incoming.invoice_id)
    match _verdict(current, incoming, fetched):
        case Verdict.FETCH:
            return Fetch("invoice", incoming.invoice_id)
        case Verdict.STALE:
            return OUT_OF_DATE
    if fetched is None and event.type != _ATTEMPT_FAILED and payloads.attempted(event.object):
        return Fetch("invoice", incoming.invoice_id)
    return _invoiced(account, _next(current, incoming), *_ties(account, incoming))


def _invoiced(account: Account, invoice: Invoice, *payments: Payment) -> Outcome:
    """One invoice's change, its pointer when it is new, and what follows for a checkout that waited for its money."""
    new = () if invoice.revision else (Pointer(keys.stripe_pointer(invoice.invoice_id), tenant_id=invoice.tenant_id),)
    settled = _settle_checkout(account, invoice)
    return replace(settled, entities=(invoice, *payments, *settled.entities), pointers=(*new, *settled.pointers))


def _ties(account: Account, invoice: Invoice) -> list[Payment]:
    """Payments on record that do not know yet that they are of this invoice."""
    payments = [p for p in account.payments.values() if p.invoice_id is None]
    return [replace(p, invoice_id=invoice.invoice_id) for p in payments]


def _settle_checkout(account: Account, invoice: Invoice) -> Outcome:
    """A checkout whose first payment was pending or failed is settled when its invoice is paid after all, or void."""
    waiting = [
        s
        for s in account.subscriptions.values()
        if s.checkout_invoice_id == invoice.invoice_id and s.checkout_payment is not CheckoutPayment.SETTLED
    ]
    if invoice.status not in _SETTLES or invoice.stripe_subscription_id is None:
        return applied()
    if waiting:
        return _subscribed(account, replace(waiting[0], checkout_payment=CheckoutPayment.SETTLED))
    known = account.subscriptions.get(invoice.stripe_subscription_id)
    if known and known.checkout_payment:
        return applied()
    # Its checkout may be recorded at this moment, waiting: as above. Every subscription's change writes the tenant.
    tenant = account.tenant
    return replace(applied(), unchanged=(Unchanged(keys.tenant(tenant.tenant_id), tenant.revision),))


def _invoice(account: Account, snapshot: Snapshot) -> Invoice:
    fields = payloads.invoice_fields(snapshot.object, snapshot.until)
    fields |= {"snapshot_from": snapshot.since, "snapshot_at": snapshot.until}
    invoice_id = snapshot.object["id"]
    known = account.invoices.get(invoice_id)
    fields["stripe_payment_intent_id"] = _one_of(known, *payloads.invoice_intents(snapshot.object))
    if known:
        return replace(known, **fields)
    tenant_id = account.tenant.tenant_id
    return Invoice(tenant_id=tenant_id, invoice_id=invoice_id, stripe_invoice_id=invoice_id, **fields)


def _one_of(known: Invoice | None, *paid: str) -> str | None:
    """The PaymentIntent that stands for those that paid: of several the same one, in whatever order they come."""
    before = known.stripe_payment_intent_id if known else None
    return min([*paid, *([before] if before else [])], default=None)


# -- payments


def payment_intent_changed(event: Event, account: Account, fetched: Snapshot | None) -> Answer:
    incoming = _payment(account, fetched or event.snapshot)
    current = account.payments.get(incoming.stripe_payment_intent_id)
    match _verdict(current, incoming, fetched):
        case Verdict.FETCH:
            return Fetch("payment_intent", incoming.stripe_payment_intent_id)
        case Verdict.STALE:
            return OUT_OF_DATE
    payment = _next(current, incoming)
    own = account.invoices.get(payment.invoice_id or "")
    counted = current is not None and current.terminal and current.invoice_id is not None
    if own is None or own.stripe_invoice_id or own.currency != payment.currency or not payment.terminal or counted:
        return applied(payment)
    return applied(payment, receive(own, payment.amount))


def _payment(account: Account, snapshot: Snapshot) -> Payment:
    intent = snapshot.object
    fields = payloads.payment_fields(intent)
    fields |= {"snapshot_from": snapshot.since, "snapshot_at": snapshot.until}
    known = account.payments.get(intent["id"])
    # Only an invoice of this tenant that the table has: metadata is a note, not a proof.
    named = next((i for i in payloads.intent_invoice(intent) if i and i in account.invoices), None)
    fields["invoice_id"] = (known.invoice_id if known else None) or named
    if known:
        return replace(known, **fields)
    return Payment(tenant_id=account.tenant.tenant_id, stripe_payment_intent_id=intent["id"], **fields)


def invoice_payment_paid(event: Event, account: Account, fetched: Snapshot | None) -> Answer:
    """Ties a PaymentIntent to its Stripe invoice, on both records, whichever of the three events came first."""
    paid = payloads.invoice_payment(event.object)
    if paid.payment_intent_id is None:
        return ignored("not paid by a PaymentIntent")
    known = account.invoices.get(paid.invoice_id)
    # What it paid of an open invoice, no other event may say: it was a part of it.
    if fetched is None and (known is None or not known.terminal):
        return Fetch("invoice", paid.invoice_id)
    invoice = known
    if fetched:
        incoming = _invoice(account, fetched)
        invoice = _next(known, incoming) if _verdict(known, incoming, fetched) is Verdict.APPLY else known
    assert invoice is not None, "known, or fetched and applied"
    payment = account.payments.get(paid.payment_intent_id) or Payment(
        tenant_id=invoice.tenant_id,
        stripe_payment_intent_id=paid.payment_intent_id,
        status=PaymentStatus.SUCCEEDED,
        amount=paid.amount_paid,
        currency=paid.currency,
    )
    tied = replace(invoice, stripe_payment_intent_id=_one_of(invoice, paid.payment_intent_id))
    return _invoiced(account, tied, replace(payment, invoice_id=invoice.invoice_id))


def charge_changed(event: Event, account: Account, fetched: Snapshot | None) -> Answer:
    """Refunded, disputed, or a refund that failed or was canceled: rare, so Stripe is asked each time for the charge as
    it is now, and no order of the events has to be known.
    """
    charge_id = payloads.charge_of(event.object)
    if charge_id is None:
        return ignored("of no charge")
    if fetched is None:
        return Fetch("charge", charge_id)
    charge = fetched.object
    intent_id = payloads.ref(charge.get("payment_intent"))
    if intent_id is None:
        return ignored("not of a PaymentIntent")
    if not charge.get("captured", True):
        return ignored("never captured: no money was taken that could go back")
    known = account.payments.get(intent_id)
    payment = known or Payment(
        tenant_id=account.tenant.tenant_id,
        stripe_payment_intent_id=intent_id,
        status=PaymentStatus.PROCESSING,  # that it succeeded, its own event says, which also counts it for its invoice
        amount=charge["amount"],
        currency=charge["currency"],
    )
    after = replace(payment, stripe_charge_id=charge_id, **payloads.charge_fields(charge))
    return OUT_OF_DATE if after == known else applied(after)


# -- order


def _verdict[R: Replica](current: R | None, incoming: R, fetched: Snapshot | None) -> Verdict:
    return compare(current, incoming, fetched=fetched is not None) if current else Verdict.APPLY


def _next[R: Replica](current: R | None, incoming: R) -> R:
    return succeed(current, incoming) if current else incoming


# The one list of the event types that we handle: the template's docs, the endpoint's `enabled_events` and the local
# stack are tested against it.
EFFECTS: Final[Mapping[str, Effect]] = {
    "checkout.session.completed": checkout_finished,
    "checkout.session.async_payment_succeeded": checkout_finished,
    "checkout.session.async_payment_failed": checkout_finished,
    "checkout.session.expired": checkout_expired,
    "customer.subscription.created": subscription_changed,
    "customer.subscription.updated": subscription_changed,
    "customer.subscription.paused": subscription_changed,
    "customer.subscription.resumed": subscription_changed,
    "customer.subscription.trial_will_end": trial_ending,
    "customer.subscription.deleted": subscription_changed,
    "invoice.finalized": invoice_changed,
    "invoice.paid": invoice_changed,
    "invoice.payment_succeeded": invoice_changed,
    "invoice.payment_failed": invoice_changed,
    "invoice.voided": invoice_changed,
    "invoice.marked_uncollectible": invoice_changed,
    "invoice_payment.paid": invoice_payment_paid,
    "payment_intent.succeeded": payment_intent_changed,
    "payment_intent.payment_failed": payment_intent_changed,
    "payment_intent.canceled": payment_intent_changed,
    "charge.refunded": charge_changed,
    "charge.dispute.created": charge_changed,
    "refund.failed": charge_changed,
    "refund.updated": charge_changed,
}
