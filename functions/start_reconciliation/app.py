"""POST /api/v1/billing/stripe/reconcile (admin)"""

from billing import bootstrap, http
from billing.deadline import LambdaContext
from billing.parameters import Reconcile


@http.endpoint
def handler(event: http.Event, context: LambdaContext) -> http.Response:
    caller = http.caller(event, bootstrap.settings().tenant_claim)
    caller.administer()
    wanted = http.parse(event, Reconcile)
    bootstrap.background().start({"dryRun": wanted.dry_run})
    return http.ok({"started": True, "dryRun": wanted.dry_run}, status=202)
