"""Runs tasks one call at a time, in an order that a seed decides: every interleaving of their calls can come, and comes
again with the same seed.

Each task is a thread that stops before every call to DynamoDB or Stripe. Between two calls the tasks share nothing, so
this is all that concurrent Lambdas can do to each other.
"""

import random
import threading
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Fault(StrEnum):
    """What may happen at a call. "after": the call took effect, and the caller never learns of it."""

    KILL_BEFORE = "kill before"
    KILL_AFTER = "kill after"
    ERROR_BEFORE = "error before"
    ERROR_AFTER = "error after"
    THROTTLED = "throttled"
    CONFLICT = "conflict or answered 5xx"


class Killed(BaseException):
    """The Lambda is gone. No handler catches this."""


@dataclass
class Task:
    """One invocation. `faults`: what happens at its n-th call."""

    run: Callable[[], Any]
    faults: dict[int, Fault] = field(default_factory=dict)
    result: Any = None
    error: BaseException | None = None
    killed: bool = False
    calls: int = 0
    done: bool = False
    _go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _stopped: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def step(self) -> None:
        """Lets the task run to its next call, or its end."""
        self._go.release()
        self._stopped.acquire()

    def at_call(self) -> Fault | None:
        """Called by the task's own thread, before a call: waits for its turn. The fault that is due."""
        self._stopped.release()
        self._go.acquire()
        self.calls += 1
        return self.faults.get(self.calls)

    def start(self) -> None:
        threading.Thread(target=self._main, daemon=True).start()

    def _main(self) -> None:
        self._go.acquire()
        current.set(self)
        try:
            self.result = self.run()
        except Killed:
            self.killed = True
        except BaseException as error:  # noqa: BLE001 - the one who started the task raises it
            self.error = error
        finally:
            self.done = True
            self._stopped.release()


current: ContextVar[Task | None] = ContextVar("task", default=None)


def run(tasks: Sequence[Task], chance: random.Random) -> None:
    """Runs them all to their end. Raises what a task raised by itself."""
    for task in tasks:
        task.start()
    waiting = list(tasks)
    while waiting:
        task = chance.choice(waiting)
        task.step()
        if task.done:
            waiting.remove(task)
    for task in tasks:
        if task.error:
            raise task.error
