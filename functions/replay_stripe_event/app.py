"""POST /api/v1/billing/stripe/events/{eventId}/replay (admin)"""

from billing import bootstrap
from billing.deadline import LambdaContext
from billing.edge import http
from billing.edge.parameters.operate import OneStripeEvent
from billing.operate.event_records import Replay

bootstrap.prepare("events")


@http.endpoint
def handler(event: http.Event, context: LambdaContext) -> http.Response:
    caller = http.caller(event, bootstrap.settings())
    caller.administer()
    request = http.parse(event, OneStripeEvent)
    return http.ok(Replay(bootstrap.table(), bootstrap.stripe(), bootstrap.inbox()).replay(request))
