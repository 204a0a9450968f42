"""Of the checkout, the return from it, the portal and the plans."""

from typing import Annotated

from pydantic import Field, StrictBool, StrictInt, StringConstraints

from billing.edge.parameters import Id, Parameters, StripeId, TenantId

SessionId = Annotated[str, StringConstraints(pattern=r"^cs_[A-Za-z0-9_]{1,250}$")]


class StartCheckout(Parameters):
    tenant_id: TenantId
    plan_id: Id
    customer_id: StripeId | None = None


class OpenPortal(Parameters):
    customer_id: StripeId
    return_url: Annotated[str, StringConstraints(max_length=2000)] | None = None


class GetCheckout(Parameters):
    session_id: SessionId


class PutPlan(Parameters):
    """`trial_days`: Stripe allows up to two years."""

    plan_id: Id
    stripe_price_id: StripeId
    name: Annotated[str, StringConstraints(min_length=1, max_length=250, strip_whitespace=True)]
    trial_days: Annotated[StrictInt, Field(ge=0, le=730)] = 0
    active: StrictBool = True
