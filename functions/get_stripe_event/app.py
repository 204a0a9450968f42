"""GET /api/v1/billing/stripe/events/{eventId} (admin)"""

from billing import bootstrap
from billing.deadline import LambdaContext
from billing.edge import http
from billing.edge.parameters.operate import OneStripeEvent
from billing.operate.event_records import EventRecords

bootstrap.prepare()


@http.endpoint
def handler(event: http.Event, context: LambdaContext) -> http.Response:
    caller = http.caller(event, bootstrap.settings())
    caller.administer()
    request = http.parse(event, OneStripeEvent)
    return http.ok(EventRecords(bootstrap.table()).show(request))
