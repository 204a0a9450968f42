"""The table's stream, in batches: announcements on the bus, and the tenants' history."""

from typing import Any

from billing import bootstrap, publish, stream
from billing.deadline import LambdaContext


def handler(event: dict[str, Any], context: LambdaContext) -> stream.BatchResponse:
    return stream.each(event, context, lambda record: publish.publish(bootstrap.table(), bootstrap.bus(), record))
