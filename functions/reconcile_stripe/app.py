"""Compares the table with Stripe: every hour, and when start_reconciliation asks. Event: `{"dryRun": true}` or `{}`."""

from typing import Any

from billing import bootstrap
from billing.deadline import LambdaContext
from billing.edge.invocation import invocation
from billing.edge.parameters.reconcile import Reconcile
from billing.reconcile.run import Reconciliation

bootstrap.prepare("events")


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    with invocation(context):
        request = Reconcile.model_validate(event)
        reconciliation = Reconciliation(bootstrap.table(), bootstrap.stripe(), bootstrap.inbox())
        return reconciliation.run(dry_run=request.dry_run)
