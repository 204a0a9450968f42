"""POST /api/v1/billing/stripe/checkout"""

from billing import bootstrap, checkout, http
from billing.deadline import LambdaContext
from billing.parameters import StartCheckout


@http.endpoint
def handler(event: http.Event, context: LambdaContext) -> http.Response:
    wanted = http.parse(event, StartCheckout)
    settings = bootstrap.settings()
    caller = http.caller(event, settings.tenant_claim)
    url = checkout.start(bootstrap.table(), bootstrap.stripe(), settings, caller, wanted)
    return http.ok({"sessionUrl": url})
