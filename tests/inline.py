"""A pool of threads that has none: for tests in which everything must happen in one order, in the caller's thread."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any


class Inline(Executor):
    """Takes the place of a `ThreadPoolExecutor`."""

    def __init__(self, *_: Any) -> None:
        pass

    def submit[**P, T](self, fn: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> Future[T]:
        """Returns when `fn` has returned. What is no `Exception`, like the end of a task, is raised at once."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*arguments, **named))
        except Exception as error:  # noqa: BLE001 - the future has it
            future.set_exception(error)
        return future
