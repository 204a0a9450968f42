"""An admin brings a plan in: its money is read from Stripe's price, so that nobody types it twice."""

from dataclasses import replace
from typing import Any, Final

from billing.domain.entities import Plan
from billing.errors import AlreadyExists, Contention, RevisionConflict, StripeNotFound, UnknownPrice
from billing.parameters import PutPlan
from billing.stripe_api import Price, StripeApi
from billing.table import items, keys
from billing.table.store import Pointer, Table

_INTERNAL: Final = frozenset({"revision", "createdAt", "updatedAt"})


def put(table: Table, stripe: StripeApi, wanted: PutPlan) -> dict[str, Any]:
    """The plan as the API answers it. For admins. Raises `UnknownPrice`, `AlreadyExists`, `Contention`.

    A plan that changes its price keeps the old one's pointer: subscriptions on the old price are still of this plan.
    """
    price = _usable_price(stripe, wanted.stripe_price_id)
    pointer = keys.stripe_pointer(price.id)
    owner = table.read([pointer]).get(pointer)
    if owner and owner.get("planId") != wanted.plan_id:
        raise AlreadyExists("Another plan has this Stripe price; a price belongs to one plan.")
    plan = _plan(wanted, price)
    current = table.plan(wanted.plan_id)
    if current:
        plan = replace(plan, revision=current.revision, created_at=current.created_at)
    try:
        table.write([plan], [Pointer(pointer, plan_id=plan.plan_id)])
    except RevisionConflict as error:
        raise Contention("The plan was changed by somebody else; try again.", retry_after=1) from error
    return {name: value for name, value in items.attributes(plan).items() if name not in _INTERNAL}


def _usable_price(stripe: StripeApi, price_id: str) -> Price:
    try:
        price = stripe.price(price_id)
    except StripeNotFound as error:
        raise UnknownPrice("Stripe has no such price.") from error
    if price.interval is None:
        raise UnknownPrice("The price is not recurring; a plan needs a recurring one.")
    if price.amount is None:
        raise UnknownPrice("The price has no unit amount (tiered or below a minor unit); a plan needs one.")
    if not price.active:
        raise UnknownPrice("The price is archived at Stripe.")
    return price


def _plan(wanted: PutPlan, price: Price) -> Plan:
    assert price.amount is not None
    assert price.interval is not None
    return Plan(
        plan_id=wanted.plan_id,
        stripe_price_id=price.id,
        name=wanted.name,
        amount=price.amount,
        currency=price.currency,
        interval=price.interval,
        interval_count=price.interval_count,
        trial_days=wanted.trial_days,
        active=wanted.active,
    )
