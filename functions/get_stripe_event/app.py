"""GET /api/v1/billing/stripe/events/{eventId} (admin)"""

from billing import bootstrap, events, http
from billing.deadline import LambdaContext
from billing.parameters import OneStripeEvent


@http.endpoint
def handler(event: http.Event, context: LambdaContext) -> http.Response:
    caller = http.caller(event, bootstrap.settings().tenant_claim)
    caller.administer()
    wanted = http.parse(event, OneStripeEvent)
    return http.ok(events.show(bootstrap.table(), wanted))
