"""Runs tasks one call at a time, in an order that a seed decides.

Every interleaving of the calls is possible, and the same seed repeats it. Each task is a thread that stops before every
call to DynamoDB or Stripe. The tasks share nothing between two calls. Therefore concurrent Lambdas cannot affect each
other in any other way.
"""

import random
import threading
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Fault(StrEnum):
    """What may happen at a call. "after" means that the call took effect but the caller does not see its answer."""

    KILL_BEFORE = "kill before"
    KILL_AFTER = "kill after"
    ERROR_BEFORE = "error before"
    ERROR_AFTER = "error after"
    THROTTLED = "throttled"
    CONFLICT = "conflict or answered 5xx"
    TIME_OVER = "no time left"  # the call took so long that the invocation has a second left


class Killed(BaseException):
    """The Lambda stops at once. No handler catches this exception."""


@dataclass
class Task:
    """One invocation. `faults` maps the number of a call to the fault that happens at that call.

    `slept`: the seconds by which this invocation's clock is ahead of the machine's, because its calls were slow.
    """

    run: Callable[[], Any]
    faults: dict[int, Fault] = field(default_factory=dict)
    result: Any = None
    error: BaseException | None = None
    killed: bool = False
    calls: int = 0
    slept: float = 0.0
    done: bool = False
    _go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _stopped: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def step(self) -> None:
        """Lets the task run until its next call or its end."""
        self._go.release()
        self._stopped.acquire()

    def at_call(self) -> Fault | None:
        """Waits for the task's turn and returns the fault of this call.

        The task's own thread runs this before each of its calls.
        """
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
        except BaseException as error:  # noqa: BLE001 - the caller of `run` raises it
            self.error = error
        finally:
            self.done = True
            self._stopped.release()


current: ContextVar[Task | None] = ContextVar("task", default=None)


def run(tasks: Sequence[Task], chance: random.Random) -> None:
    """Runs all tasks to their end. Raises the error that a task raised itself."""
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
