"""GET /api/v1/billing/stripe/checkout/{sessionId}"""

from billing import bootstrap, checkout_status, http
from billing.deadline import LambdaContext
from billing.parameters import GetCheckout


@http.endpoint
def handler(event: http.Event, context: LambdaContext) -> http.Response:
    wanted = http.parse(event, GetCheckout)
    caller = http.caller(event, bootstrap.settings().tenant_claim)
    return http.ok(checkout_status.show(bootstrap.table(), bootstrap.stripe(), caller, wanted))
