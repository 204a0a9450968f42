"""Does the work of EventBridge Scheduler: starts a function at every full hour (or five minutes) of Stripe's time.

Stripe's time may jump.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from local.aws.runtime import FunctionError, Runtime

HOUR: Final = 3600  # seconds
FIVE_MINUTES: Final = 300
_LOOK_SECONDS: Final = 0.5

logger = logging.getLogger(__name__)


class Schedule:
    def __init__(self, clock: Callable[[], float], function: Runtime, every: int = HOUR) -> None:
        self._clock = clock
        self._every = every
        self._function = function
        self._last = self._ran = self._now()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="schedule")

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stopped.set()
        self._thread.join(timeout=10)

    def wait_caught_up(self, timeout: float) -> bool:
        """Whether the function has run for the present time within `timeout` seconds."""
        until = time.monotonic() + timeout
        while self._ran != self._now() and time.monotonic() < until and not self._stopped.is_set():
            self._stopped.wait(_LOOK_SECONDS / 10)
        return self._ran == self._now()

    def _now(self) -> int:
        return int(self._clock() // self._every)

    def _run(self) -> None:
        while not self._stopped.wait(_LOOK_SECONDS):
            present = self._now()
            if present != self._last:
                self._last = present
                self._start()
                self._ran = present

    def _start(self) -> None:
        try:
            self._function.invoke({})
        except FunctionError as error:
            if not self._stopped.is_set():
                logger.warning("a scheduled function failed: %s", error)
