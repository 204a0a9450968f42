"""Stripe's API: sending an event once more.

Stripe does not document this call. Its CLI makes it: `stripe events resend`, https://docs.stripe.com/cli/events/resend
"""

from typing import Final

from local.stripe.engine.objects import Operation
from local.stripe.engine.store import Object, Store


def _retry(store: Store, form: Object, id: str) -> Object:
    """`webhook_endpoint`: the endpoint that gets it. Here all events go to the stack's webhook."""
    event = store.get("event", id)
    if "webhook_endpoint" in form:
        store.named("webhook_endpoint", form["webhook_endpoint"], "webhook_endpoint")
    store.resend(event)
    return event


OPERATIONS: Final[tuple[tuple[str, str, Operation], ...]] = (("POST", "/v1/events/{event}/retry", _retry),)
