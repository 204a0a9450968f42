"""POST /api/v1/billing/stripe/events/{eventId}/replay (admin)"""

from billing import bootstrap, events, http
from billing.deadline import LambdaContext
from billing.parameters import OneStripeEvent


@http.endpoint
def handler(event: http.Event, context: LambdaContext) -> http.Response:
    caller = http.caller(event, bootstrap.settings().tenant_claim)
    caller.administer()
    wanted = http.parse(event, OneStripeEvent)
    livemode = bootstrap.secrets().read().livemode
    return http.ok(events.replay(bootstrap.table(), bootstrap.stripe(), wanted, livemode=livemode))
