"""The effect of a customer's deletion."""

from billing.domain import tenancy
from billing.domain.order import Snapshot
from billing.replica.account import Account
from billing.replica.effects.outcome import OUT_OF_DATE, Answer, applied
from billing.replica.reading import text
from billing.replica.stripe_event import Event


def customer_deleted(event: Event, account: Account, _: Snapshot | None) -> Answer:
    """The tenant loses its link. The pointer stays: late events of the customer still find their tenant by it."""
    tenant = tenancy.without_customer(account.tenant, text(event.object, "id"), account.subscriptions.values())
    return OUT_OF_DATE if tenant == account.tenant else applied(tenant)
