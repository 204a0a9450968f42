"""Rounds of one piece of work: how often, with which waits, and only while the invocation has time for another one."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from billing import deadline
from billing.errors import BillingError, Contention, RevisionConflict, StripeFailed

MAX_TRIES: Final = 4


def growing(seconds: float, *, tries: int) -> tuple[float, ...]:
    """The waits before each try: none before the first, then `seconds`, twice that, three times that, and so on."""
    return tuple(seconds * number for number in range(tries))


def rounds(waits: Sequence[float], *, reserve: float = 0, jitter: bool = False) -> Iterator[int]:
    """The number of each round from 0 on, after the wait that stands before it (seconds).

    The first round always comes. Another one comes only if the invocation still has more than `reserve` seconds after
    the wait. With `jitter` the wait is random, from nothing up to the given one, so that two invocations that collided
    do not collide again.
    """
    for number, longest in enumerate(waits):
        wait = random.uniform(0, longest) if jitter else longest
        if number and deadline.remaining() < reserve + wait:
            return
        if wait:
            time.sleep(wait)
        yield number


def attempts[T](act: Callable[[], T], busy: str) -> T:
    """What `act` returns. If somebody else wrote meanwhile, `act` runs again and reads everything anew.

    After a 5xx of Stripe `act` runs once more. If it uses an idempotency key, it must have stored the next one before,
    because Stripe repeats a failure for a day under the same key. The failure may also be an old one, of a call that
    died before it could store the next key.

    Raises `Contention` with `busy` when others keep writing, and what `act` raises.
    """
    failure: BillingError | None = None
    for _ in rounds((0,) * MAX_TRIES, reserve=deadline.RESERVE_SECONDS):
        try:
            return act()
        except RevisionConflict:
            continue
        except StripeFailed as error:
            if failure:
                raise
            failure = error
    raise failure or Contention(busy, retry_after=1)
