"""Back from Checkout, before the webhook: how the session stands, and the table brought to it at once."""

from collections.abc import Mapping
from typing import Any

from billing import sync
from billing.domain.caller import Caller
from billing.domain.entities import Subscription
from billing.errors import CheckoutNotFound, StripeNotFound
from billing.parameters import GetCheckout
from billing.stripe_api import StripeApi
from billing.table import keys
from billing.table.store import Table
from billing.webhook import payloads


def show(table: Table, stripe: StripeApi, caller: Caller, wanted: GetCheckout) -> dict[str, Any]:
    """`{sessionId, status, paymentStatus, tenantId?, tenantStatus?, subscriptionId?, subscriptionStatus?}`.

    `status` is Stripe's: open, complete or expired; `paymentStatus` too: paid, unpaid or no_payment_required. Whose
    session it is, is said by the owner of its customer on record, not by its metadata. An admin may see any, that of
    nobody we know without a tenant.

    Raises `Forbidden` (a token without a tenant), `CheckoutNotFound`, `Contention` and Stripe's failures.
    """
    if not caller.is_admin:
        caller.own_tenant()
    session = _session(stripe, wanted.session_id)
    tenant_id = _owner(table, session)
    if not caller.is_admin and (tenant_id is None or tenant_id != caller.tenant_id):
        raise _not_found()
    if session["status"] == "complete" and tenant_id:
        sync.checkout(table, stripe.fetch, session)
    return _shown(table, session, tenant_id)


def _session(stripe: StripeApi, session_id: str) -> dict[str, Any]:
    try:
        return stripe.checkout_state(session_id)
    except StripeNotFound as error:
        raise _not_found() from error


def _not_found() -> CheckoutNotFound:
    return CheckoutNotFound("There is no checkout with this id.")


def _owner(table: Table, session: Mapping[str, Any]) -> str | None:
    customer = payloads.ref(session.get("customer"))
    return table.owner(keys.stripe_pointer(customer)) if customer else None


def _shown(table: Table, session: Mapping[str, Any], tenant_id: str | None) -> dict[str, Any]:
    """The tenant and the subscription as the table has them."""
    shown = {"sessionId": session["id"], "status": session["status"], "paymentStatus": session["payment_status"]}
    tenant = table.tenant(tenant_id) if tenant_id else None
    if tenant is None:
        return shown
    shown |= {"tenantId": tenant.tenant_id, "tenantStatus": tenant.status}
    subscription_id = payloads.ref(session.get("subscription"))
    if subscription_id is None:
        return shown
    subscription = table.get(Subscription, keys.subscription(tenant.tenant_id, subscription_id))
    found = {"subscriptionStatus": subscription.status} if subscription else {}
    return shown | {"subscriptionId": subscription_id} | found
