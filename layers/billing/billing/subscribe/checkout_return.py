"""The buyer comes back from Checkout, perhaps before the webhook: applies the session at once, and shows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from billing.adapters.stripe_api import StripeApi
from billing.adapters.table import keys
from billing.adapters.table.rate_limit import RateLimit
from billing.adapters.table.store import Table
from billing.domain.caller import Caller
from billing.domain.entities import Subscription
from billing.domain.writes import StripeId
from billing.edge.parameters.subscribe import GetCheckout
from billing.errors import CheckoutNotFound, StripeNotFound
from billing.replica import sync
from billing.replica.decide import Decider
from billing.replica.reading import id_in


@dataclass(frozen=True)
class CheckoutReturn:
    table: Table
    stripe: StripeApi
    decider: Decider
    limit: RateLimit

    def show(self, caller: Caller, request: GetCheckout) -> dict[str, Any]:
        """`{sessionId, status, paymentStatus, tenantId?, tenantStatus?, subscriptionId?, subscriptionStatus?}`.

        `status` is Stripe's: open, complete or expired. `paymentStatus` is Stripe's too: paid, unpaid or
        no_payment_required. A tenant sees the sessions that it has started here and that are of its recorded customer;
        their metadata decides nothing. Stripe is asked for no other session, so guessing ids costs no call of Stripe's.
        An admin may see every session; if its owner is not known, the answer has no tenant.

        Raises `Forbidden` (a token without a tenant), `CheckoutNotFound`, `TooManyCalls`, `Contention` and Stripe's
        failures.
        """
        if not caller.is_admin and caller.own_tenant() != self.table.owner(StripeId(request.session_id)):
            raise _not_found()
        self.limit.count(caller)
        session = self._session(request.session_id)
        tenant_id = self._owner(session)
        if not caller.is_admin and (tenant_id is None or tenant_id != caller.tenant_id):
            raise _not_found()
        if session["status"] == "complete" and tenant_id:
            sync.apply_checkout(self.decider, session)
        return self._shown(session, tenant_id)

    def _session(self, session_id: str) -> dict[str, Any]:
        try:
            return self.stripe.checkout_state(session_id)
        except StripeNotFound as error:
            raise _not_found() from error

    def _owner(self, session: Mapping[str, Any]) -> str | None:
        customer = id_in(session, "customer")
        return self.table.owner(StripeId(customer)) if customer else None

    def _shown(self, session: Mapping[str, Any], tenant_id: str | None) -> dict[str, Any]:
        """The tenant and the subscription as the table has them."""
        shown = {"sessionId": session["id"], "status": session["status"], "paymentStatus": session["payment_status"]}
        tenant = self.table.tenant(tenant_id) if tenant_id else None
        if tenant is None:
            return shown
        shown |= {"tenantId": tenant.tenant_id, "tenantStatus": tenant.status}
        subscription_id = id_in(session, "subscription")
        if subscription_id is None:
            return shown
        subscription = self.table.get(Subscription, keys.subscription(tenant.tenant_id, subscription_id))
        found = {"subscriptionStatus": subscription.status} if subscription else {}
        return shown | {"subscriptionId": subscription_id} | found


def _not_found() -> CheckoutNotFound:
    return CheckoutNotFound("There is no checkout with this id.")
