"""The rule behind a field, in words for people. `docs/` has the rules at length."""

from collections.abc import Mapping
from typing import Final

# Entity and attribute -> the rule.
_RULES: Final[Mapping[str, Mapping[str, str]]] = {
    "TENANT": {
        "status": "It follows from all subscriptions of the tenant: currentSubscriptionId is the one that decides. "
        "trialing, active and past_due give ACTIVE, but PENDING while a checkout waits for its first money, and "
        "SUSPENDED during a pause whose invoices are void. unpaid and paused give SUSPENDED, canceled gives CANCELED. "
        "Before the first payment it is PENDING.",
        "currentSubscriptionId": "The oldest subscription that gives access. If none does, the oldest that has not "
        "ended; if all have, the newest. One that was never paid decides only if there is no other.",
        "stripeCustomerId": "The customer that a checkout made or an admin linked. Otherwise the one of the "
        "subscription that decides.",
        "deletedCustomers": "Customers that were deleted at Stripe. The tenant never gets one of them again.",
        "checkout": "The Checkout Session that is open, with its plan. Without a plan only its number is left, so that "
        "the next one gets another idempotency key.",
        "importDue": "A customer was linked. The sweep brings in what Stripe has of it, and then removes this.",
    },
    "SUBSCRIPTION": {
        "status": "Stripe's own status. One that has ended never comes back.",
        "planId": "The plan whose price is that of one of the items.",
        "quantity": "That of the item that sells the plan.",
        "checkoutPayment": "How far the first payment of its checkout is: pending, failed, settled. It only moves on. "
        "Without it the subscription was not made by a checkout, or was first seen after that.",
        "duplicate": "It charges beside the tenant's current subscription. A human must decide which one stays.",
        "cancelAt": "When it ends, as planned at Stripe.",
        "pauseBehavior": "What Stripe does with its invoices while their collection is paused. void gives no access.",
    },
    "INVOICE": {
        "status": "Of an open invoice: OVERDUE after its due date or a failed attempt to charge it (not for the first "
        "invoice of a subscription), PARTIALLY_PAID if a part has come, otherwise PENDING. PAID, VOID and "
        "UNCOLLECTIBLE are Stripe's, or follow from the payments of the platform's own invoice.",
        "actionRequired": "The customer must confirm the payment at its bank. The invoice is not overdue for that.",
        "attemptCount": "How often it was tried to charge it. An attempt that waits for the customer counts when it is "
        "over: paid, failed, or tried again by Stripe.",
        "amountRemaining": "What is still due. A payment counts once, however often its event comes.",
        "amountOverpaid": "What came beyond the amount due. It is recorded, and announced.",
        "nextAttempt": "When Stripe will try again. No event that we subscribe to tells each change of it.",
    },
    "PAYMENT": {
        "status": "From Stripe's PaymentIntent. SUCCEEDED is final: refunds and disputes have fields of their own.",
        "invoiceId": "The invoice that it pays. Whichever of the two became known first, they name each other.",
        "disputed": "The customer's bank has the money, for now or for good. An inquiry takes no money.",
        "amountRefunded": "The sum of the refunds that succeeded. What a partial capture leaves is no refund.",
    },
}
_COPIED: Final = "It says what Stripe says, as far as the table has heard."
_OURS: Final = "It is the platform's own."
_OWN: Final = frozenset(
    {"tenantId", "invoiceId", "createdAt", "customerAttempt", "paymentAttempt", "paymentCustomerId"}
)


def rule(entity: str, attribute: str) -> str:
    """`entity`: TENANT, SUBSCRIPTION, INVOICE or PAYMENT. `attribute`: a field as the table names it."""
    known = _RULES.get(entity, {}).get(attribute)
    return known or (_OURS if attribute in _OWN or entity == "TENANT" else _COPIED)


def known() -> dict[str, list[str]]:
    """The attributes that have a rule, by entity."""
    return {entity: list(rules) for entity, rules in _RULES.items()}
