"""What every invocation needs, whoever started it: its deadline, its log keys and its metrics."""

from collections.abc import Iterator
from contextlib import contextmanager

from billing import deadline
from billing.deadline import LambdaContext
from billing.observability import logger, metrics


@contextmanager
def invocation(context: LambdaContext, **keys: object) -> Iterator[None]:
    """Every line of the log has `keys`, and a `request_id` (Lambda's, if `keys` has none)."""
    with deadline.of(context):
        logger.clear_state()
        logger.append_keys(**{"request_id": context.aws_request_id} | keys)
        try:
            yield
        finally:
            if metrics.metric_set:
                metrics.flush_metrics()
