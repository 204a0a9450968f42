"""The table's stream, in batches: announcements on the bus, and the tenants' history."""

from typing import Any

from billing import bootstrap
from billing.announce.publisher import Publisher
from billing.deadline import LambdaContext
from billing.edge import stream

bootstrap.prepare()


def handler(event: dict[str, Any], context: LambdaContext) -> stream.BatchResponse:
    publisher = Publisher(bootstrap.table(), bootstrap.bus(), bootstrap.settings().announcement_version)
    return stream.handle(event, context, publisher.publish)
