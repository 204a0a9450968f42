"""How much time this invocation has left. With it a slow Stripe leads to a clear answer, not to a killed function."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, Protocol


class LambdaContext(Protocol):
    aws_request_id: str
    function_name: str

    def get_remaining_time_in_millis(self) -> int: ...


# After a call of Stripe there must be time for a transaction with its retries (or for marking the record as FAILED) and
# for the answer.
RESERVE_SECONDS: Final = 6.0

_ends_at: ContextVar[float] = ContextVar("ends_at", default=float("inf"))


@contextmanager
def of(context: LambdaContext) -> Iterator[None]:
    """While the invocation runs, `remaining` says how much of its time is left."""
    token = _ends_at.set(time.monotonic() + context.get_remaining_time_in_millis() / 1000)
    try:
        yield
    finally:
        _ends_at.reset(token)


def is_near() -> bool:
    """Whether there is no time for another round of reading and writing."""
    return remaining() < RESERVE_SECONDS


def remaining() -> float:
    """Seconds. Infinite outside of an invocation."""
    return _ends_at.get() - time.monotonic()
