"""GET /api/v1/billing/stripe/checkout/{sessionId}"""

from billing import bootstrap
from billing.deadline import LambdaContext
from billing.edge import http
from billing.edge.parameters.subscribe import GetCheckout
from billing.subscribe.checkout_return import CheckoutReturn

bootstrap.prepare("checkout.sessions")


@http.endpoint
def handler(event: http.Event, context: LambdaContext) -> http.Response:
    request = http.parse(event, GetCheckout)
    caller = http.caller(event, bootstrap.settings())
    back = CheckoutReturn(bootstrap.table(), bootstrap.stripe(), bootstrap.decider(), bootstrap.rate_limit())
    return http.ok(back.show(caller, request))
