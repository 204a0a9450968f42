"""Compares the table with Stripe: each hour, when asked, and when a run's time was over. Event: `{"dryRun": true}`."""

from typing import Any

from billing import bootstrap
from billing.deadline import LambdaContext
from billing.edge.invocation import invocation
from billing.edge.parameters.reconcile import Reconciling
from billing.reconcile.run import Reconciliation

bootstrap.prepare("events")


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    with invocation(context):
        request = Reconciling.model_validate(event)
        reconciliation = Reconciliation(
            bootstrap.table(),
            bootstrap.stripe(),
            bootstrap.inbox(),
            start=lambda again: bootstrap.background(context.function_name).start(again),
        )
        return reconciliation.run(dry_run=request.dry_run, continued=request.continued)
