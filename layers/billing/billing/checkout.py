"""A tenant subscribes: one Stripe customer, one open Checkout Session, whatever is asked twice or breaks between."""

from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from billing import retry
from billing.domain import access
from billing.domain.caller import Caller
from billing.domain.entities import OpenCheckout, Plan, Tenant
from billing.errors import (
    CustomerMismatch,
    CustomerNotFound,
    Forbidden,
    PlanInactive,
    PlanNotFound,
    RevisionConflict,
    StripeFailed,
    StripeNotFound,
    StripeRejected,
    SubscriptionExists,
)
from billing.parameters import StartCheckout
from billing.settings import Settings
from billing.stripe_api import Session, StripeApi
from billing.table import keys
from billing.table.store import Pointer, Table

_COMPLETE: Final = "The checkout is complete; the subscription appears in a moment."


def start(table: Table, stripe: StripeApi, settings: Settings, caller: Caller, wanted: StartCheckout) -> str:
    """The address of the tenant's Checkout Session for the plan.

    Raises `Forbidden`, `PlanNotFound`, `PlanInactive`, `SubscriptionExists`, `CustomerMismatch`, `CustomerNotFound`,
    `Contention` and what `StripeApi` raises.
    """
    caller.act_for(wanted.tenant_id)
    plan = _plan_on_sale(table, wanted.plan_id)
    busy = "Another checkout of this tenant is being started; try again."
    return retry.attempts(lambda: _start(table, stripe, settings, caller, wanted, plan), busy)


def _start(
    table: Table, stripe: StripeApi, settings: Settings, caller: Caller, wanted: StartCheckout, plan: Plan
) -> str:
    tenant = table.tenant(wanted.tenant_id) or Tenant(tenant_id=wanted.tenant_id)
    subscriptions = table.subscriptions(wanted.tenant_id)
    if any(access.is_live(s.status) for s in subscriptions):
        raise SubscriptionExists("Change or cancel the subscription in the portal: POST /api/v1/billing/stripe/portal.")
    tenant = _with_customer(table, stripe, caller, tenant, wanted.customer_id)
    # A trial is for a tenant's first subscription: cancelling and subscribing again does not renew it.
    asked = OpenCheckout(
        attempt=tenant.checkout.attempt if tenant.checkout else 0,
        plan_id=plan.plan_id,
        stripe_price_id=plan.stripe_price_id,
        trial_days=0 if subscriptions else plan.trial_days,
    )
    url = _still_open(table, stripe, settings, tenant, asked)
    if url:
        return url
    asked = replace(asked, attempt=asked.attempt + 1)
    reserved = replace(tenant, checkout=asked)
    return _open(table, stripe, settings, _written(table, reserved), asked)


def _plan_on_sale(table: Table, plan_id: str) -> Plan:
    plan = table.plan(plan_id)
    if plan is None:
        raise PlanNotFound("There is no plan with this id.")
    if not plan.active:
        raise PlanInactive("The plan is not on sale; choose another one.")
    return plan


# -- the customer


def _with_customer(table: Table, stripe: StripeApi, caller: Caller, tenant: Tenant, customer_id: str | None) -> Tenant:
    """The tenant with its Stripe customer, on record before anything at Stripe can speak of it."""
    if customer_id and customer_id != tenant.stripe_customer_id:
        _check_customer(table, stripe, caller, tenant, customer_id)
    elif tenant.stripe_customer_id:
        return tenant
    customer_id = customer_id or _new_customer(table, stripe, tenant)
    linked = replace(tenant, stripe_customer_id=customer_id)
    return _written(table, linked, Pointer(keys.stripe_pointer(customer_id), tenant_id=tenant.tenant_id))


def _new_customer(table: Table, stripe: StripeApi, tenant: Tenant) -> str:
    try:
        return stripe.create_customer(tenant.tenant_id, tenant.customer_attempt)
    except StripeFailed:
        _give_up(table, replace(tenant, customer_attempt=tenant.customer_attempt + 1))
        raise


def _give_up(table: Table, tenant: Tenant) -> None:
    """Leaves a key whose answer is a failure of Stripe for good; what it may have made, nobody was told of."""
    with suppress(RevisionConflict):
        _written(table, tenant)


def _check_customer(table: Table, stripe: StripeApi, caller: Caller, tenant: Tenant, customer_id: str) -> None:
    """Raises unless the existing customer may become this tenant's. A tenant's token learns nothing of others."""
    foreign = Forbidden("This customer does not belong to the tenant.")
    if not caller.is_admin and tenant.stripe_customer_id:
        raise foreign
    if table.owner(keys.stripe_pointer(customer_id)) not in (None, tenant.tenant_id):
        raise foreign
    if tenant.stripe_customer_id and _exists(stripe, tenant.stripe_customer_id):
        raise CustomerMismatch("The tenant has another Stripe customer; leave customerId out to use it.")
    try:
        named = stripe.customer_tenant(customer_id)
    except StripeNotFound as error:
        raise (CustomerNotFound("Stripe has no such customer.") if caller.is_admin else foreign) from error
    if named != tenant.tenant_id and not caller.is_admin:
        raise foreign


def _exists(stripe: StripeApi, customer_id: str) -> bool:
    """False for a customer that was deleted at Stripe: an admin may put another in its place."""
    try:
        stripe.customer_tenant(customer_id)
    except StripeNotFound:
        return False
    return True


# -- the session


def _still_open(table: Table, stripe: StripeApi, settings: Settings, tenant: Tenant, asked: OpenCheckout) -> str | None:
    """The open session's address if it sells what is asked for; one that sells something else is expired."""
    last = tenant.checkout
    if last is None or not last.plan_id:
        return None
    session = _look_up(table, stripe, settings, tenant, last)
    if session is None or session.status == "expired":
        return None
    if session.status == "complete":
        raise SubscriptionExists(_COMPLETE)
    if replace(last, session_id="") == asked:
        return _remember(table, tenant, last, session)
    try:
        stripe.expire_checkout_session(session.id)
    except StripeRejected as error:  # it is not open any more
        if stripe.checkout_session(session.id).status == "complete":
            raise SubscriptionExists(_COMPLETE) from error
    return None


def _look_up(table: Table, stripe: StripeApi, settings: Settings, tenant: Tenant, last: OpenCheckout) -> Session | None:
    """The session as Stripe has it; None when it never came to be, or is of another Stripe account."""
    if last.session_id:
        with suppress(StripeNotFound):
            return stripe.checkout_session(last.session_id)
        return None
    # Reserved, and then a crash: asked again with the same key, Stripe answers with the same session. What it refuses
    # now (the plan's price is gone), it had refused before.
    with suppress(StripeRejected):
        return _create(table, stripe, settings, tenant, last)
    return None


def _open(table: Table, stripe: StripeApi, settings: Settings, tenant: Tenant, reserved: OpenCheckout) -> str:
    session = _create(table, stripe, settings, tenant, reserved)
    return _remember(table, tenant, reserved, session)


def _remember(table: Table, tenant: Tenant, checkout: OpenCheckout, session: Session) -> str:
    if checkout.session_id != session.id:
        _written(table, replace(tenant, checkout=replace(checkout, session_id=session.id)))
    assert session.url is not None, "an open session has an address"
    return session.url


def _create(table: Table, stripe: StripeApi, settings: Settings, tenant: Tenant, checkout: OpenCheckout) -> Session:
    metadata = {"tenantId": tenant.tenant_id, "planId": checkout.plan_id}
    subscription_data: dict[str, Any] = {"metadata": metadata}
    if checkout.trial_days:
        subscription_data["trial_period_days"] = checkout.trial_days
    parameters = {
        "mode": "subscription",
        "customer": tenant.stripe_customer_id,
        "client_reference_id": tenant.tenant_id,
        "line_items": [{"price": checkout.stripe_price_id, "quantity": 1}],
        "metadata": {**metadata, "checkoutAttempt": str(checkout.attempt)},
        "subscription_data": subscription_data,
        "success_url": settings.success_url,
        "cancel_url": settings.cancel_url,
    }
    try:
        return stripe.create_checkout_session(parameters, f"checkout-{tenant.tenant_id}-{checkout.attempt}")
    except StripeFailed:
        _give_up(table, replace(tenant, checkout=OpenCheckout(attempt=checkout.attempt)))
        raise


def _written(table: Table, tenant: Tenant, *pointers: Pointer) -> Tenant:
    """The tenant as it stands in the table after this write. Raises `RevisionConflict`."""
    table.write([tenant], pointers)
    return replace(tenant, revision=tenant.revision + 1)
