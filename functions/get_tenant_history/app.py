"""GET /api/v1/billing/tenants/{tenantId}/history"""

from billing import bootstrap
from billing.deadline import LambdaContext
from billing.edge import http
from billing.edge.parameters.operate import GetTenantHistory
from billing.operate.history import History

bootstrap.prepare()


@http.endpoint
def handler(event: http.Event, context: LambdaContext) -> http.Response:
    request = http.parse(event, GetTenantHistory)
    caller = http.caller(event, bootstrap.settings())
    return http.ok(History(bootstrap.table()).page(caller, request))
