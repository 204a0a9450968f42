"""A tenant subscribes. It has one Stripe customer and one open Checkout Session, also after a crash."""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from billing import clock, retry
from billing.adapters.stripe_api import Session, StripeApi, every
from billing.adapters.table.rate_limit import RateLimit
from billing.adapters.table.store import Table
from billing.domain import access
from billing.domain.caller import Caller
from billing.domain.entities import OpenCheckout, Plan, Tenant
from billing.domain.writes import Pointer, StripeId
from billing.edge.parameters.subscribe import StartCheckout
from billing.errors import (
    CustomerGone,
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
from billing.replica import sync
from billing.replica.decide import Decider
from billing.settings import Settings

_COMPLETE: Final = "The checkout is complete; the subscription appears in a moment."
_BUSY: Final = "Another checkout of this tenant is being started; try again."


@dataclass(frozen=True)
class Checkout:
    table: Table
    stripe: StripeApi
    decider: Decider
    settings: Settings
    limit: RateLimit

    def start(self, caller: Caller, request: StartCheckout) -> str:
        """The address of the tenant's Checkout Session for the plan.

        Raises `Forbidden`, `PlanNotFound`, `PlanInactive`, `SubscriptionExists`, `CustomerMismatch`,
        `CustomerNotFound`, `TooManyCalls`, `Contention` and what `StripeApi` raises.
        """
        caller.act_for(request.tenant_id)
        self.limit.count(caller)
        plan = self._plan_on_sale(request.plan_id)
        return retry.attempts(lambda: self._start(caller, request, plan), _BUSY)

    def _start(self, caller: Caller, request: StartCheckout, plan: Plan) -> str:
        tenant = self.table.tenant(request.tenant_id) or Tenant(tenant_id=request.tenant_id)
        subscriptions = self.table.subscriptions(request.tenant_id)
        if any(access.meaning(s.status).charges for s in subscriptions):
            portal = "POST /api/v1/billing/stripe/portal"
            raise SubscriptionExists(f"Change or cancel the subscription in the portal: {portal}.")
        is_new_customer = not (tenant.stripe_customer_id or request.customer_id)
        tenant = self._with_customer(caller, tenant, request.customer_id)
        # Only a tenant's first subscription has a trial: whoever cancels and subscribes again gets no second one. One
        # whose first payment was never accepted costs nobody the trial.
        checkout = OpenCheckout(
            attempt=tenant.checkout.attempt if tenant.checkout else 0,
            plan_id=plan.plan_id,
            stripe_price_id=plan.stripe_price_id,
            trial_days=0 if any(access.meaning(s.status).began for s in subscriptions) else plan.trial_days,
        )
        try:
            return self._session_of(tenant, checkout, is_new_customer=is_new_customer)
        except CustomerGone as gone:
            self.table.unlink_customer(tenant.tenant_id, tenant.stripe_customer_id)
            raise RevisionConflict from gone  # once more, with a new customer

    def _session_of(self, tenant: Tenant, checkout: OpenCheckout, *, is_new_customer: bool) -> str:
        url = self._still_open(tenant, checkout)
        if url:
            return url
        if not is_new_customer:
            self._bring_in_subscriptions(tenant)
        reserved = replace(checkout, attempt=checkout.attempt + 1)
        tenant = self._written(replace(tenant, checkout=reserved))
        return self._remember(tenant, reserved, self._create(tenant, reserved))

    def _plan_on_sale(self, plan_id: str) -> Plan:
        plan = self.table.plan(plan_id)
        if plan is None:
            raise PlanNotFound("There is no plan with this id.")
        if not plan.active:
            raise PlanInactive("The plan is not on sale; choose another one.")
        return plan

    # -- the customer

    def _with_customer(self, caller: Caller, tenant: Tenant, customer_id: str | None) -> Tenant:
        """The tenant with its Stripe customer. The link is stored before anything at Stripe can name the customer."""
        if customer_id and customer_id != tenant.stripe_customer_id:
            self._check_customer(caller, tenant, customer_id)
        elif tenant.stripe_customer_id:
            return tenant
        is_new = customer_id is None
        customer_id = customer_id or self._new_customer(tenant)
        # What Stripe has of an existing customer is brought in by the next sweep.
        due = tenant.import_due if is_new else clock.now()
        linked = replace(tenant, stripe_customer_id=customer_id, customer_found=False, import_due=due)
        return self._written(linked, Pointer(StripeId(customer_id), tenant_id=tenant.tenant_id))

    def _new_customer(self, tenant: Tenant) -> str:
        try:
            return self.stripe.create_customer(tenant.tenant_id, tenant.customer_attempt)
        except StripeFailed:
            self._give_up_key(replace(tenant, customer_attempt=tenant.customer_attempt + 1))
            raise

    def _give_up_key(self, tenant: Tenant) -> None:
        """Stores the next attempt's number, so that the next call uses another idempotency key.

        Under the old key Stripe repeats its failure. If Stripe made an object in spite of the failure, nobody has its
        id.
        """
        with suppress(RevisionConflict):
            self._written(tenant)

    def _check_customer(self, caller: Caller, tenant: Tenant, customer_id: str) -> None:
        """Raises unless this existing customer may become the tenant's. A tenant's token learns nothing of others."""
        foreign = Forbidden("This customer does not belong to the tenant.")
        if not caller.is_admin and tenant.stripe_customer_id:
            raise foreign
        if self.table.owner(StripeId(customer_id)) not in (None, tenant.tenant_id):
            raise foreign
        if tenant.stripe_customer_id and self._exists(tenant.stripe_customer_id):
            raise CustomerMismatch("The tenant has another Stripe customer; leave customerId out to use it.")
        try:
            named = self.stripe.customer_tenant(customer_id)
        except StripeNotFound as error:
            raise (CustomerNotFound("Stripe has no such customer.") if caller.is_admin else foreign) from error
        if named != tenant.tenant_id and not caller.is_admin:
            raise foreign

    def _exists(self, customer_id: str) -> bool:
        """False for a customer that was deleted at Stripe. An admin may then link another one."""
        try:
            self.stripe.customer_tenant(customer_id)
        except StripeNotFound:
            return False
        return True

    def _bring_in_subscriptions(self, tenant: Tenant) -> None:
        """Applies every subscription that the customer has at Stripe, so that no second one is sold.

        The customer may be older than its link to the tenant, and an event may not have come yet. Raises
        `RevisionConflict` if the table did not have all of them: then everything is read and checked again.
        """
        listed = [*every(self.stripe.list_subscriptions, customer=tenant.stripe_customer_id)]
        charging = [one for one in listed if access.meaning(one["status"]).charges]
        ended = [one for one in listed if not access.meaning(one["status"]).charges]
        for some in (charging, ended):  # one that charges is reason enough to sell nothing
            found = [sync.compare_and_repair(self.decider, subscription) for subscription in some]
            if any(one.differing for one in found):
                raise RevisionConflict

    # -- the session

    def _still_open(self, tenant: Tenant, checkout: OpenCheckout) -> str | None:
        """The address of the open session if it sells this checkout. A session that sells something else is expired."""
        last = tenant.checkout
        if last is None or not last.plan_id:
            return None
        session = self._look_up(tenant, last)
        if session is None or session.status == "expired":
            return None
        if session.status == "complete":
            # Perhaps its event is lost for good. Then nothing else ever closes this checkout.
            if sync.apply_checkout(self.decider, self.stripe.checkout_state(session.id)):
                raise RevisionConflict  # once more, with what it sold
            raise SubscriptionExists(_COMPLETE)
        if replace(last, session_id="") == checkout:
            return self._remember(tenant, last, session)
        try:
            self.stripe.expire_checkout_session(session.id)
        except StripeRejected as error:  # the session is not open any more
            if self.stripe.checkout_session(session.id).status == "complete":
                raise SubscriptionExists(_COMPLETE) from error
        return None

    def _look_up(self, tenant: Tenant, last: OpenCheckout) -> Session | None:
        """The session as Stripe has it. None if it was never made, or belongs to another Stripe account."""
        if last.session_id:
            with suppress(StripeNotFound):
                return self.stripe.checkout_session(last.session_id)
            return None
        # A call reserved the session and then crashed. Asked with the same key, Stripe answers with the same session.
        # If Stripe refuses now (the plan's price is gone), it refused then too, and there is no session.
        with suppress(StripeRejected):
            return self._create(tenant, last)
        return None

    def _remember(self, tenant: Tenant, checkout: OpenCheckout, session: Session) -> str:
        """Stores the session, and who owns it: `CheckoutReturn` asks Stripe for no other sessions."""
        if checkout.session_id != session.id:
            remembered = replace(tenant, checkout=replace(checkout, session_id=session.id))
            self._written(remembered, Pointer(StripeId(session.id), tenant_id=tenant.tenant_id))
        assert session.url is not None, "an open session has an address"
        return session.url

    def _create(self, tenant: Tenant, checkout: OpenCheckout) -> Session:
        metadata = {"tenantId": tenant.tenant_id, "planId": checkout.plan_id}
        attempt = {"checkoutAttempt": str(checkout.attempt)}
        # With the attempt a subscription tells that it waits for the money of this checkout.
        subscription_data: dict[str, Any] = {"metadata": metadata | attempt}
        if checkout.trial_days:
            subscription_data["trial_period_days"] = checkout.trial_days
        parameters = {
            "mode": "subscription",
            "customer": tenant.stripe_customer_id,
            "client_reference_id": tenant.tenant_id,
            "line_items": [{"price": checkout.stripe_price_id, "quantity": 1}],
            "metadata": metadata | attempt,
            "subscription_data": subscription_data,
            "success_url": self.settings.success_url,
            "cancel_url": self.settings.cancel_url,
        }
        try:
            return self.stripe.create_checkout_session(parameters, f"checkout-{tenant.tenant_id}-{checkout.attempt}")
        except StripeFailed:
            self._give_up_key(replace(tenant, checkout=OpenCheckout(attempt=checkout.attempt)))
            raise

    def _written(self, tenant: Tenant, *pointers: Pointer) -> Tenant:
        """The tenant as the table has it after this write. Raises `RevisionConflict`."""
        self.table.write([tenant], pointers)
        return replace(tenant, revision=tenant.revision + 1)
