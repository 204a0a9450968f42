"""GET /api/v1/billing/stripe/events (admin)"""

from billing import bootstrap
from billing.deadline import LambdaContext
from billing.edge import http
from billing.edge.parameters.operate import ListStripeEvents
from billing.operate.event_records import EventRecords

bootstrap.prepare()


@http.endpoint
def handler(event: http.Event, context: LambdaContext) -> http.Response:
    caller = http.caller(event, bootstrap.settings())
    caller.administer()
    request = http.parse(event, ListStripeEvents)
    return http.ok(EventRecords(bootstrap.table()).search(request))
