"""A batch of the table's stream: each record by itself, and the failures reported item by item."""

from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord

from billing import deadline
from billing.deadline import LambdaContext
from billing.observability import logger, metrics


class NoTime(Exception):
    """The invocation is nearly over: better told than killed, which would have the whole batch come again."""


type BatchResponse = PartialItemFailureResponse


def each(event: dict[str, Any], context: LambdaContext, act: Callable[[Mapping[str, Any]], None]) -> BatchResponse:
    """Lambda goes on after the last record before the first that failed: what comes again is told again, under the same
    ids. A record that fails for good goes to the dead-letter queue and stops nobody.
    """
    deadline.start(context)
    logger.clear_state()
    logger.append_keys(request_id=context.aws_request_id)

    def handled(record: DynamoDBRecord) -> None:
        if deadline.is_near():
            raise NoTime("The records that are left come again.")
        try:
            act(record.raw_event)
        except Exception:
            logger.exception("a record of the stream failed", extra={"stream_event_id": record.event_id})
            metrics.add_metric("StreamRecordFailed", MetricUnit.Count, 1)
            raise

    processor = BatchProcessor(event_type=EventType.DynamoDBStreams, raise_on_entire_batch_failure=False)
    try:
        return process_partial_response(event, handled, processor, context)  # type: ignore[arg-type]
    finally:
        if metrics.metric_set:
            metrics.flush_metrics()
