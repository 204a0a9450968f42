"""What a Stripe event means for the entities. These functions are pure: they neither read nor write anything.

An effect answers with what must be written. Or it asks for Stripe's present state of one object (`Fetch`), and is
called again with it. It never relies on the order in which events arrive: `domain/order.py` compares each state, and
what depends on several entities (a tenant's status) is computed from all of them.
"""

from collections.abc import Mapping
from typing import Final

from billing.replica.effects.checkouts import checkout_expired, checkout_finished
from billing.replica.effects.customers import customer_deleted
from billing.replica.effects.invoices import invoice_changed, invoice_payment_paid
from billing.replica.effects.outcome import Effect
from billing.replica.effects.payments import charge_changed, payment_intent_changed
from billing.replica.effects.subscriptions import subscription_changed, trial_ending

__all__ = ["EFFECTS", "charge_changed", "invoice_changed", "payment_intent_changed", "subscription_changed"]

# The only list of the event types that we handle. Tests compare it with the template, the docs, the endpoint's
# `enabled_events` and the local stack.
EFFECTS: Final[Mapping[str, Effect]] = {
    "checkout.session.completed": checkout_finished,
    "checkout.session.async_payment_succeeded": checkout_finished,
    "checkout.session.async_payment_failed": checkout_finished,
    "checkout.session.expired": checkout_expired,
    "customer.deleted": customer_deleted,
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
    "invoice.payment_action_required": invoice_changed,
    "invoice.overpaid": invoice_changed,
    "invoice.voided": invoice_changed,
    "invoice.marked_uncollectible": invoice_changed,
    "invoice_payment.paid": invoice_payment_paid,
    "payment_intent.succeeded": payment_intent_changed,
    "payment_intent.processing": payment_intent_changed,
    "payment_intent.requires_action": payment_intent_changed,
    "payment_intent.payment_failed": payment_intent_changed,
    "payment_intent.canceled": payment_intent_changed,
    "charge.refunded": charge_changed,
    "charge.dispute.created": charge_changed,
    "charge.dispute.updated": charge_changed,
    "charge.dispute.closed": charge_changed,
    "charge.dispute.funds_withdrawn": charge_changed,
    "charge.dispute.funds_reinstated": charge_changed,
    "refund.failed": charge_changed,
    "refund.updated": charge_changed,
}
