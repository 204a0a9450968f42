"""PUT /api/v1/billing/plans/{planId} (admin)"""

from billing import bootstrap, http, plans
from billing.deadline import LambdaContext
from billing.parameters import PutPlan


@http.endpoint
def handler(event: http.Event, context: LambdaContext) -> http.Response:
    caller = http.caller(event, bootstrap.settings().tenant_claim)
    caller.administer()
    wanted = http.parse(event, PutPlan)
    return http.ok(plans.put(bootstrap.table(), bootstrap.stripe(), wanted))
