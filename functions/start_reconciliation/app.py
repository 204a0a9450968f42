"""POST /api/v1/billing/stripe/reconcile (admin)"""

from billing import bootstrap
from billing.deadline import LambdaContext
from billing.edge import http
from billing.edge.parameters.reconcile import Reconcile

bootstrap.prepare()


@http.endpoint
def handler(event: http.Event, context: LambdaContext) -> http.Response:
    caller = http.caller(event, bootstrap.settings())
    caller.administer()
    request = http.parse(event, Reconcile)
    bootstrap.background().start({"dryRun": request.dry_run})
    return http.ok({"started": True, "dryRun": request.dry_run}, status=202)
