"""How long this invocation has left, so that a slow Stripe becomes a clear answer instead of a killed function."""

import time
from contextvars import ContextVar
from typing import Final, Protocol


class LambdaContext(Protocol):
    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int: ...


# For what follows a call of Stripe: a transaction with all its attempts, or the mark of a failure, and the answer.
RESERVE_SECONDS: Final = 6.0

_ends_at: ContextVar[float] = ContextVar("ends_at", default=float("inf"))


def start(context: LambdaContext) -> None:
    _ends_at.set(time.monotonic() + context.get_remaining_time_in_millis() / 1000)


def is_near() -> bool:
    """Whether there is no time for another round of reading and writing."""
    return remaining() < RESERVE_SECONDS


def remaining() -> float:
    """Seconds; infinite outside of an invocation."""
    return _ends_at.get() - time.monotonic()
