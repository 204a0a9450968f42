"""One event, warm: our webhook beside the usual design, and beside the bare calls that it makes.

    make bench, or: python -m benchmarks.webhook [TENANTS]

The usual design is what most tutorials build: Powertools' idempotency over the event's id, stripe's own
`construct_event`, one read and one update of a subscription with boto3. It does not order events, it loses the update
of a crash between two of its calls, and it knows no tenant's status; this is what it costs. The floor is the same
requests as ours to DynamoDB, prepared before, sent by the same client.

All of them get each event in turn, so that a busy machine slows them alike. DynamoDB Local runs in a process of its
own, and its time is in the wall clock only.
"""

import io
import json
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from http import HTTPStatus
from typing import Any

from benchmarks import ground
from benchmarks.measure import HEADS, Figures, keep, low, machine, show
from billing import bootstrap, clock
from billing.adapters.aws.json_api import DYNAMODB, JsonApi
from billing.observability import logger
from local.aws.worker import Context
from local.commands.sign import delivery

TENANTS = 40
WARM_UP = 5  # tenants before the measurement
_FLOOR, _UNITS = "FLOOR#", "UNITS#"

type Requests = list[tuple[str, dict[str, Any]]]


def main(tenants: int) -> None:
    with ground.standing() as standing, redirect_stdout(io.StringIO()) as log:
        logger.registered_handler.setStream(log)  # type: ignore[attr-defined]
        figures, calls, units = _measured(standing, tenants)
    rows = [[name, *one.shown()] for name, one in figures.items()]
    show(f"A webhook, warm: ms an event, {tenants} x {len(ground.CORE)} events. {machine()}", HEADS, rows)
    usual = figures["usual design"]
    cpu, wall = (low(getattr(figures["ours"], kind)) / low(getattr(usual, kind)) for kind in ("cpu", "wall"))
    names = ("a webhook, warm: processor, x the usual design", "a webhook, warm: wall clock, x the usual design")
    keep("webhook", dict(zip(names, (cpu, wall), strict=True)))
    print(f"\nours / usual design: {cpu:.2f} of the processor, {wall:.2f} of the wall clock")
    events = tenants * len(ground.CORE)
    print("calls an event: " + ", ".join(f"{name} {count / events:.2f}" for name, count in sorted(calls.items())))
    print(f"billed units an event: {units['read'] / events:.2f} read, {units['write'] / events:.2f} write")


def _measured(standing: ground.Ground, tenants: int) -> tuple[dict[str, Figures], Counter[str], Counter[str]]:
    handler = ground.webhook()
    table = bootstrap.table()
    seeds: Requests = []
    with _recorded(seeds):
        ground.add_plan(table)
    _sent(table.api, [*_elsewhere(_FLOOR, seeds), *_elsewhere(_UNITS, seeds)])
    usual = _usual(standing)
    figures = {"ours": Figures(), "usual design": Figures(), "floor": Figures()}
    calls: Counter[str] = Counter()
    units: Counter[str] = Counter()
    for number in range(-WARM_UP, tenants):
        name = f"t{number + WARM_UP}"
        seeds.clear()
        with _recorded(seeds):
            ground.add_tenant(table, name)
        _sent(table.api, [*_elsewhere(_FLOOR, seeds), *_elsewhere(_UNITS, seeds)])
        for event in ground.life(name):
            sent = delivery(json.dumps(event).encode(), ground.WEBHOOK_SECRET, clock.seconds())
            recorded: Requests = []
            with _recorded(recorded):
                figures["ours"].run(partial(accepted, handler, sent))
            figures["usual design"].run(partial(accepted, usual.handler, sent))
            again = _elsewhere(_FLOOR, recorded)
            figures["floor"].run(partial(_sent, table.api, again))
            if number >= 0:
                calls.update(f"dynamodb:{operation}" for operation, _ in recorded)
            counted = _units(table.api, recorded)
            if number >= 0:
                units.update(counted)
        if number < 0:
            figures = {one: Figures() for one in figures}
    calls["stripe"] = len(standing.stripe_calls)
    return figures, calls, units


def _usual(standing: ground.Ground) -> Any:
    from benchmarks import usual_design  # noqa: PLC0415 - it reads the environment, as such designs do

    usual_design.make_tables(standing.dynamodb)
    return usual_design


def accepted(handler: Callable[[Any, Any], dict[str, Any]], sent: dict[str, Any]) -> None:
    answer = handler(sent, Context("r", "webhook", 512, clock.seconds() + 900))
    if answer["statusCode"] != HTTPStatus.OK:
        raise SystemExit(f"the event was not accepted: {answer}")


class _recorded:  # noqa: N801 - used as a function
    """Notes the calls of the table that are made inside. It costs some microseconds a call, which count as ours."""

    def __init__(self, into: Requests) -> None:
        self._into = into
        self._call = JsonApi.call

    def __enter__(self) -> None:
        own, into = self._call, self._into

        def call(api: JsonApi, operation: str, parameters: Any) -> Any:
            if api.service is DYNAMODB:
                into.append((operation, parameters))
            return own(api, operation, parameters)

        JsonApi.call = call  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        JsonApi.call = self._call  # type: ignore[method-assign]


def _elsewhere(place: str, requests: Requests) -> Requests:
    """The same requests for items of other partitions, where the same was written before. So they succeed too."""

    def moved(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: {"S": place + inner["S"]} if name in ("PK", ":pk") else moved(inner)
                for name, inner in value.items()
            }
        return [moved(inner) for inner in value] if isinstance(value, list) else value

    return [(operation, moved(parameters)) for operation, parameters in requests]


def _sent(api: JsonApi, requests: Requests) -> None:
    for operation, parameters in requests:
        api.call(operation, parameters)


def _units(api: JsonApi, recorded: Requests) -> Counter[str]:
    found: Counter[str] = Counter()
    for operation, parameters in _elsewhere(_UNITS, recorded):
        told = api.call(operation, {**parameters, "ReturnConsumedCapacity": "TOTAL"}).get("ConsumedCapacity", [])
        for one in told if isinstance(told, list) else [told]:
            found["read" if "Get" in operation or operation == "Query" else "write"] += one.get("CapacityUnits", 0)
    return found


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else TENANTS)
