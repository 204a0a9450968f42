"""An admin adds a plan. Its amount is read from Stripe's price, so that nobody has to type it twice."""

from dataclasses import dataclass, replace
from typing import Any

from billing.adapters.stripe_api import Price, StripeApi
from billing.adapters.table import items
from billing.adapters.table.store import Table
from billing.domain.entities import Plan
from billing.domain.writes import Pointer, StripeId
from billing.edge.parameters.subscribe import PutPlan
from billing.errors import AlreadyExists, Contention, RevisionConflict, StripeNotFound, UnknownPrice


@dataclass(frozen=True)
class Plans:
    table: Table
    stripe: StripeApi

    def put(self, request: PutPlan) -> dict[str, Any]:
        """The plan as the API answers it. For admins. Raises `UnknownPrice`, `AlreadyExists`, `Contention`.

        If a plan gets another price, the old price still points to the plan, and so do the subscriptions to that price.
        """
        price = self._usable_price(request.stripe_price_id)
        if self.table.plan_of(price.id) not in (None, request.plan_id):
            raise AlreadyExists("Another plan has this Stripe price; a price belongs to one plan.")
        plan = _plan(request, price)
        current = self.table.plan(request.plan_id)
        if current:
            plan = replace(plan, revision=current.revision, created_at=current.created_at)
        try:
            self.table.write([plan], [Pointer(StripeId(price.id), plan_id=plan.plan_id)])
        except RevisionConflict as error:
            raise Contention("Somebody else changed the plan at the same time; try again.", retry_after=1) from error
        return {name: value for name, value in items.attributes(plan).items() if name not in items.BOOKKEEPING}

    def _usable_price(self, price_id: str) -> Price:
        try:
            price = self.stripe.price(price_id)
        except StripeNotFound as error:
            raise UnknownPrice("Stripe has no such price.") from error
        if price.interval is None:
            raise UnknownPrice("The price is not recurring; a plan needs a recurring one.")
        if price.amount is None:
            raise UnknownPrice("The price has no unit amount (tiered or below a minor unit); a plan needs one.")
        if not price.active:
            raise UnknownPrice("The price is archived at Stripe.")
        return price


def _plan(request: PutPlan, price: Price) -> Plan:
    assert price.amount is not None
    assert price.interval is not None
    return Plan(
        plan_id=request.plan_id,
        stripe_price_id=price.id,
        name=request.name,
        amount=price.amount,
        currency=price.currency,
        interval=price.interval,
        interval_count=price.interval_count,
        trial_days=request.trial_days,
        active=request.active,
    )
