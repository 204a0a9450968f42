"""Intercepts the calls of a task to DynamoDB and Stripe.

Each call waits for its turn from the scheduler, and may suffer a fault of the task.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final
from unittest.mock import patch

import stripe

from billing import errors
from billing.adapters.aws import failures
from billing.adapters.aws.json_api import DYNAMODB, AwsError, JsonApi
from billing.adapters.stripe_http import Urllib3Client
from tests.torture import coverage
from tests.torture.scheduler import Fault, Killed, Task, current

figures: Counter[str] = Counter()

UNHURRIED: Final = 1800.0  # seconds of every invocation; a slow machine must not look like a fault

# The folder of the function that runs now.
function: ContextVar[str] = ContextVar("function", default="")

# Makes the next call to the stand-in fail. The harness sets this function.
fail: Callable[[int], Any] = print


@contextmanager
def installed() -> Iterator[None]:
    """Inside this context, every call of a task waits for its turn and suffers the faults of the task."""
    with (
        patch.object(JsonApi, "call", _dynamodb(JsonApi.call)),
        patch.object(Urllib3Client, "request", _stripe(Urllib3Client.request)),
        patch.object(stripe.HTTPClient, "_sleep_time_seconds", lambda *_, **__: 0),
        patch.object(time, "monotonic", _own_clock(time.monotonic)),
    ):
        yield


def _own_clock(monotonic: Callable[[], float]) -> Callable[[], float]:
    """Each task has a clock of its own, which a slow call moves."""

    def read() -> float:
        task = current.get()
        return monotonic() + (task.slept if task else 0.0)

    return read


def _fault_of(task: Task, call: str) -> Fault | None:
    """Waits for the task's turn. A fault that is only a matter of time takes effect here."""
    fault = task.at_call()
    coverage.called(function.get(), call, fault)
    if fault is Fault.TIME_OVER:
        task.slept = UNHURRIED - 1
        figures[fault] += 1
        return None
    return fault


def _dynamodb(call: Callable[..., Any]) -> Callable[..., Any]:
    def called(api: JsonApi, operation: str, params: dict[str, Any]) -> Any:
        task = current.get()
        if task is None or api.service is not DYNAMODB:
            return call(api, operation, params)
        fault = _fault_of(task, operation)
        figures["DynamoDB calls"] += 1
        if fault is None:
            return call(api, operation, params)
        figures[f"DynamoDB: {fault}"] += 1
        if fault is Fault.KILL_BEFORE:
            raise Killed
        if fault is Fault.CONFLICT and operation == "TransactWriteItems":
            raise _conflict(params)
        if fault in (Fault.KILL_AFTER, Fault.ERROR_AFTER):
            call(api, operation, params)
        if fault is Fault.KILL_AFTER:
            raise Killed
        raise failures.unavailable(DYNAMODB.title, fault)  # so the client says after its repetition

    return called


def _conflict(params: dict[str, Any]) -> AwsError:
    reasons = [{"Code": "None"} for _ in params["TransactItems"]]
    reasons[-1] = {"Code": "TransactionConflict"}
    return AwsError("TransactionCanceledException", {"CancellationReasons": reasons})


def _stripe(request: Callable[..., Any]) -> Callable[..., Any]:
    def requested(http: Urllib3Client, method: str, url: str, *more: Any, **named: Any) -> Any:
        task = current.get()
        if task is None:
            return request(http, method, url, *more, **named)
        fault = _fault_of(task, coverage.stripe_call(method, url))
        figures["Stripe calls"] += 1
        if fault is None:
            return request(http, method, url, *more, **named)
        figures[f"Stripe: {fault}"] += 1
        if fault is Fault.KILL_BEFORE:
            raise Killed
        if fault is Fault.THROTTLED:
            return b'{"error": {"type": "invalid_request_error", "message": "slow down"}}', 429, {}
        if fault is Fault.CONFLICT:
            # Stripe keeps this 500 under the idempotency key, so only a request with a new key can succeed.
            fail(500)
            return request(http, method, url, *more, **named)
        if fault in (Fault.KILL_AFTER, Fault.ERROR_AFTER):
            request(http, method, url, *more, **named)
        if fault is Fault.KILL_AFTER:
            raise Killed
        raise stripe.APIConnectionError("timed out")  # type: ignore[no-untyped-call]

    return requested


@contextmanager
def counted_races() -> Iterator[None]:
    """Counts the transactions that lost a race."""
    original = errors.RevisionConflict.__init__

    def counting(self: errors.RevisionConflict, *arguments: Any) -> None:
        figures["races"] += 1
        original(self, *arguments)

    with patch.object(errors.RevisionConflict, "__init__", counting):
        yield
