"""Handles a batch of the table's stream record by record, and reports which of them failed."""

from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord

from billing import deadline
from billing.deadline import LambdaContext
from billing.edge.invocation import invocation
from billing.observability import logger, metrics


class NoTime(Exception):
    """The invocation is nearly over. The record counts as failed, so Lambda sends it and the later ones again."""


type BatchResponse = PartialItemFailureResponse


def each(event: dict[str, Any], context: LambdaContext, act: Callable[[Mapping[str, Any]], None]) -> BatchResponse:
    """Calls `act` with each record. After a failure Lambda sends the first failed record and all later ones again.

    These records are then announced again, under the same ids. A record that never succeeds goes to the dead-letter
    queue in the end, and the records after it are handled.
    """

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
    with invocation(context):
        return process_partial_response(event, handled, processor, context)  # type: ignore[arg-type]
