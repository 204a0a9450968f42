"""GET /api/v1/billing/stripe/events (admin)"""

from billing import bootstrap, events, http
from billing.deadline import LambdaContext
from billing.parameters import ListStripeEvents


@http.endpoint
def handler(event: http.Event, context: LambdaContext) -> http.Response:
    caller = http.caller(event, bootstrap.settings().tenant_claim)
    caller.administer()
    wanted = http.parse(event, ListStripeEvents)
    return http.ok(events.search(bootstrap.table(), wanted))
