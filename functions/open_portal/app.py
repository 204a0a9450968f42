"""POST /api/v1/billing/stripe/portal"""

from billing import bootstrap
from billing.deadline import LambdaContext
from billing.edge import http
from billing.edge.parameters.subscribe import OpenPortal
from billing.subscribe.portal import Portal

bootstrap.prepare("billing_portal.sessions")


@http.endpoint
def handler(event: http.Event, context: LambdaContext) -> http.Response:
    request = http.parse(event, OpenPortal)
    caller = http.caller(event, bootstrap.settings())
    portal = Portal(
        bootstrap.table(), bootstrap.stripe(), bootstrap.settings(), bootstrap.secrets(), bootstrap.rate_limit()
    )
    return http.ok({"portalUrl": portal.open_session(caller, request)})
