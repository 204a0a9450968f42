"""Hourly, and started by start_reconciliation: compares the table with Stripe. The event: `{"dryRun": true}` or `{}`"""

from typing import Any

from billing import bootstrap, deadline, reconcile
from billing.deadline import LambdaContext
from billing.observability import logger, metrics
from billing.parameters import Reconcile


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    deadline.start(context)
    logger.clear_state()
    logger.append_keys(request_id=context.aws_request_id)
    wanted = Reconcile.model_validate(event)
    livemode = bootstrap.secrets().read().livemode
    try:
        return reconcile.run(bootstrap.table(), bootstrap.stripe(), livemode=livemode, dry_run=wanted.dry_run)
    finally:
        if metrics.metric_set:
            metrics.flush_metrics()
