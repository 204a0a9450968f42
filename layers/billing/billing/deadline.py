"""How long this invocation has left, so that a slow Stripe becomes a clear answer instead of a killed function."""

import time
from contextvars import ContextVar
from typing import Protocol


class LambdaContext(Protocol):
    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int: ...


_ends_at: ContextVar[float] = ContextVar("ends_at", default=float("inf"))


def start(context: LambdaContext) -> None:
    _ends_at.set(time.monotonic() + context.get_remaining_time_in_millis() / 1000)


def remaining() -> float:
    """Seconds; infinite outside of an invocation."""
    return _ends_at.get() - time.monotonic()
