"""Effects of what happens to a PaymentIntent and to its charge."""

from dataclasses import replace

from billing.domain.entities import SCHEMA, Payment
from billing.domain.invoicing import after_payment
from billing.domain.order import Snapshot, Verdict
from billing.domain.statuses import PaymentStatus
from billing.replica import payloads
from billing.replica.account import Account
from billing.replica.effects.outcome import OUT_OF_DATE, Answer, Fetch, applied, ignored, next_state, verdict
from billing.replica.reading import id_in, text, whole
from billing.replica.stripe_event import Event


def payment_intent_changed(event: Event, account: Account, fetched: Snapshot | None) -> Answer:
    incoming = _payment(account, fetched or event.snapshot)
    current = account.payments.get(incoming.stripe_payment_intent_id)
    match verdict(current, incoming, fetched):
        case Verdict.FETCH:
            return Fetch("payment_intent", incoming.stripe_payment_intent_id)
        case Verdict.STALE:
            return OUT_OF_DATE
    payment = next_state(current, incoming)
    own = account.invoices.get(payment.invoice_id or "")
    counted = current is not None and current.terminal and current.invoice_id is not None
    if own is None or own.stripe_invoice_id or own.currency != payment.currency or not payment.terminal or counted:
        return applied(payment)
    return applied(payment, after_payment(own, payment.amount))


def _payment(account: Account, snapshot: Snapshot) -> Payment:
    intent = snapshot.object
    intent_id = text(intent, "id")
    fields = payloads.payment_fields(intent)
    fields |= {"snapshot_from": snapshot.since, "snapshot_at": snapshot.until}
    known = account.payments.get(intent_id)
    if known and not isinstance(intent.get("latest_charge"), str):
        fields["schema"] = SCHEMA  # the charge (if there is one) shows what an item of an earlier schema lacks
    # A named invoice counts only if the table has it for this tenant: metadata proves nothing.
    named = next((i for i in payloads.intent_invoice(intent) if i and i in account.invoices), None)
    fields["invoice_id"] = (known.invoice_id if known else None) or named
    if known:
        return replace(known, **fields)
    return Payment(tenant_id=account.tenant.tenant_id, stripe_payment_intent_id=intent_id, **fields)


def charge_changed(event: Event, account: Account, fetched: Snapshot | None) -> Answer:
    """For refunds, those that failed or were canceled among them, and for disputes and inquiries.

    They are rare, so Stripe is asked each time for the charge as it is now. Then the order of the events is no matter.
    """
    charge_id = payloads.charge_of(event.object)
    if charge_id is None:
        return ignored("of no charge")
    if fetched is None:
        return Fetch("charge", charge_id)
    charge = fetched.object
    intent_id = id_in(charge, "payment_intent")
    if intent_id is None:
        return ignored("not of a PaymentIntent")
    if not payloads.is_captured(charge):
        return ignored("never captured: no money was taken that could go back")
    known = account.payments.get(intent_id)
    payment = known or Payment(
        tenant_id=account.tenant.tenant_id,
        stripe_payment_intent_id=intent_id,
        status=PaymentStatus.PROCESSING,  # its own event will say that it succeeded, and pay its invoice
        amount=whole(charge, "amount"),
        currency=text(charge, "currency"),
    )
    after = replace(payment, stripe_charge_id=charge_id, **payloads.charge_fields(charge))
    if payment.terminal:
        after = replace(after, schema=SCHEMA)  # what else an item of an earlier schema lacks is about failures
    return OUT_OF_DATE if after == known else applied(after)
