"""POST /api/v1/billing/stripe/checkout"""

from billing import bootstrap
from billing.deadline import LambdaContext
from billing.edge import http
from billing.edge.parameters.subscribe import StartCheckout
from billing.subscribe.checkout import Checkout

bootstrap.prepare("checkout.sessions")


@http.endpoint
def handler(event: http.Event, context: LambdaContext) -> http.Response:
    request = http.parse(event, StartCheckout)
    caller = http.caller(event, bootstrap.settings())
    checkout = Checkout(
        bootstrap.table(), bootstrap.stripe(), bootstrap.decider(), bootstrap.settings(), bootstrap.rate_limit()
    )
    return http.ok({"sessionUrl": checkout.start(caller, request)})
