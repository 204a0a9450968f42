"""POST /api/v1/billing/stripe/portal"""

from billing import bootstrap, http, portal
from billing.deadline import LambdaContext
from billing.parameters import OpenPortal


@http.endpoint
def handler(event: http.Event, context: LambdaContext) -> http.Response:
    wanted = http.parse(event, OpenPortal)
    settings = bootstrap.settings()
    caller = http.caller(event, settings.tenant_claim)
    configuration = bootstrap.secrets().read().portal_configuration
    url = portal.open_session(bootstrap.table(), bootstrap.stripe(), settings, caller, wanted, configuration)
    return http.ok({"portalUrl": url})
