"""Does what is due by time alone, every five minutes. Event: `{}`."""

from typing import Any

from billing import bootstrap
from billing.deadline import LambdaContext
from billing.edge.invocation import invocation
from billing.sweep.run import Sweep

bootstrap.prepare("customers")


def handler(_: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    with invocation(context):
        return Sweep(bootstrap.table(), bootstrap.stripe(), bootstrap.decider()).run()
