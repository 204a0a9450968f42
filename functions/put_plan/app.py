"""PUT /api/v1/billing/plans/{planId} (admin)"""

from billing import bootstrap
from billing.deadline import LambdaContext
from billing.edge import http
from billing.edge.parameters.subscribe import PutPlan
from billing.subscribe.plans import Plans

bootstrap.prepare("prices")


@http.endpoint
def handler(event: http.Event, context: LambdaContext) -> http.Response:
    caller = http.caller(event, bootstrap.settings())
    caller.administer()
    request = http.parse(event, PutPlan)
    return http.ok(Plans(bootstrap.table(), bootstrap.stripe()).put(request))
