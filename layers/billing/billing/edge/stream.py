"""Gives a batch of the table's stream to whoever handles it, and reports which of its records failed."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypedDict

from aws_lambda_powertools.metrics import MetricUnit

from billing import deadline
from billing.deadline import LambdaContext
from billing.edge.invocation import invocation
from billing.observability import logger, metrics

type Record = Mapping[str, Any]  # as Lambda gets it: with `eventID`, and `dynamodb` with `SequenceNumber` and images
type Failed[T] = tuple[T, Exception]


class NoTime(Exception):
    """The invocation is nearly over. The record counts as failed, so Lambda sends it and the later ones again."""


class Failure(TypedDict):
    itemIdentifier: str


class BatchResponse(TypedDict):
    """What Lambda wants to hear. It sends the record with the lowest of these sequence numbers and all later ones
    again. Empty: all records are done. https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
    """

    batchItemFailures: list[Failure]


def handle(
    event: dict[str, Any],
    context: LambdaContext,
    act: Callable[[Sequence[Record]], Iterable[Failed[Record]]],
) -> BatchResponse:
    """Calls `act` with the records. It must try all of them, and yield those that failed, each with its error.

    After a failure Lambda sends the first failed record and all later ones again. These records are then announced
    again, under the same ids. A record that never succeeds goes to the dead-letter queue in the end, and the records
    after it are handled.
    """
    failures: list[Failure] = []
    with invocation(context):
        for record, error in act(event["Records"]):
            failures.append({"itemIdentifier": record["dynamodb"]["SequenceNumber"]})
            if not isinstance(error, NoTime):
                named = {"stream_event_id": record["eventID"]}
                logger.error("a record of the stream failed", exc_info=error, extra=named)
                metrics.add_metric("StreamRecordFailed", MetricUnit.Count, 1)
    return {"batchItemFailures": failures}


def together[T](act: Callable[[Sequence[T]], Iterable[Failed[T]]], things: Sequence[T]) -> Iterator[Failed[T]]:
    """Calls `act` with all of the things, and if it raises, with each alone. Yields those that failed, with the error.

    `act` returns those that failed although the others were done. It must not mind a thing that it has done before. No
    call begins when the invocation is nearly over: what is left then fails with `NoTime`.
    """
    if deadline.is_near():
        yield from ((one, NoTime("The records that are left come again.")) for one in things)
        return
    try:
        yield from act(things)
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not stop the other records
        if len(things) == 1:
            yield things[0], error
            return
        for one in things:
            yield from together(act, [one])
