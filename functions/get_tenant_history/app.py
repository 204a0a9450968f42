"""GET /api/v1/billing/tenants/{tenantId}/history"""

from billing import bootstrap, history, http
from billing.deadline import LambdaContext
from billing.parameters import GetTenantHistory


@http.endpoint
def handler(event: http.Event, context: LambdaContext) -> http.Response:
    wanted = http.parse(event, GetTenantHistory)
    caller = http.caller(event, bootstrap.settings().tenant_claim)
    return http.ok(history.page(bootstrap.table(), caller, wanted))
