"""Threads that read for a run: what Stripe and the table say takes time, but little of the processor's.

All calls of Stripe together keep to a pace. Stripe takes 25 calls a second of one endpoint, and in a sandbox 25 in all:
https://docs.stripe.com/rate-limits. Some of them are left to whoever buys or changes something meanwhile.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from threading import Lock
from types import TracebackType
from typing import Final, Self

from billing import retry
from billing.domain.order import FetchedKind, Snapshot
from billing.errors import StripeRateLimited, StripeUnavailable
from billing.reconcile.report import Stop
from billing.replica import sync
from billing.replica.decide import Fetcher

CALLS_PER_SECOND: Final = 23.0
READERS: Final = 20  # calls at once: each may take most of a second, and the pace is still reached
_AT_ONCE: Final = 2  # calls that may come at once after a pause: together never more than 25 in a second
_WAITS: Final = (0.0, 1.0, 2.0, 4.0)  # seconds before each try, while Stripe refuses or fails
TIME_IS_OVER: Final = "The time of this run is over."


class Pace:
    """Lets so many calls a second begin, whatever thread they come from."""

    def __init__(self, per_second: float = CALLS_PER_SECOND, at_once: int = _AT_ONCE) -> None:
        self._seconds = 1 / per_second
        self._ahead = (at_once - 1) * self._seconds
        self._next = 0.0
        self._lock = Lock()

    def wait(self) -> None:
        with self._lock:
            now = time.monotonic()
            at = max(self._next, now - self._ahead)
            self._next = at + self._seconds
        time.sleep(max(0.0, at - now))


class Readers:
    """A pool of threads. They end with the `with` block, so nothing goes on when the function has answered."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(READERS, "reader")
        self._pace = Pace()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=True)

    def submit[**P, T](self, act: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> Future[T]:
        """`act` in another thread, which knows the invocation's deadline too."""
        return self._pool.submit(copy_context().run, partial(act, *arguments, **named))

    def paced(self, fetch: Fetcher) -> Fetcher:
        """`fetch`, but not faster than the pace."""

        def wait_and_fetch(kind: FetchedKind, object_id: str) -> Snapshot:
            self._pace.wait()
            return fetch(kind, object_id)

        return wait_and_fetch

    def ask[**P, T](self, call: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """`patiently`, and not faster than the pace."""

        def wait_and_call() -> T:
            self._pace.wait()
            return call(*arguments, **named)

        return patiently(wait_and_call)


def patiently[T](act: Callable[[], T]) -> T:
    """What `act` returns. While Stripe refuses or fails, it acts again after a wait.

    Raises `Stop` when the run has no time for another try, and after the last try what `act` raises. Whether that
    failed for one object alone, `Report.trying` decides.
    """
    check_time(_WAITS[1])
    for number in retry.rounds(_WAITS, reserve=sync.NEEDED_SECONDS):
        try:
            return act()
        except (StripeRateLimited, StripeUnavailable):
            if number == len(_WAITS) - 1:
                raise
    raise Stop(TIME_IS_OVER)


def check_time(wait: float = 0) -> None:
    """Raises `Stop` if the run has no time to compare another object after so many seconds."""
    if sync.is_out_of_time(wait):
        raise Stop(TIME_IS_OVER)
