"""Runs each function in its own processes, with only its own environment, memory setting and timeout."""

import json
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import BoundedSemaphore, Lock
from typing import Any, Final

from local.aws import logs
from local.aws.clients import TIME_LIMIT_FACTOR
from local.template import ROOT, Function

MAX_CONCURRENCY: Final = 8


class FunctionError(Exception):
    """The function raised, crashed or ran out of time."""


@dataclass(frozen=True)
class Ended:
    """How an invocation ended, `at` in Unix seconds: with a result, or with an error.

    `request_id` is its own `aws_request_id`, and `log` is where its lines stand.
    """

    at: float
    result: Any = None
    error: str = ""
    function: str = ""
    request_id: str = ""
    seconds: float = 0
    log: logs.Span | None = None


class _Worker:
    def __init__(self, function: Function, environment: dict[str, str], log: Path) -> None:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "local.aws.worker", str(theirs.fileno()), str(function.code), function.handler]
        with log.open("ab") as output, theirs:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, pass_fds=[theirs.fileno()], stdout=output, stderr=output
            )
        self._socket = ours
        self._stream = ours.makefile("rw")

    def call(self, request: dict[str, Any], timeout: float) -> dict[str, Any]:
        self._socket.settimeout(timeout)
        try:
            self._stream.write(json.dumps(request) + "\n")
            self._stream.flush()
            line = self._stream.readline()
        except OSError as error:
            raise FunctionError("timed out") from error
        if not line:
            raise FunctionError("crashed")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._stream.close()
        self._socket.close()


class Runtime:
    """`run` starts a process when it needs one, up to a limit, and keeps it for later calls.

    `environment` (of AWS) comes beside the function's own. `watch` gets the event of each `invoke`, and how it ended.
    The gateway tells of what it runs by itself.
    """

    def __init__(
        self,
        function: Function,
        environment: Mapping[str, str],
        log_folder: Path,
        *,
        time_limit_factor: float = TIME_LIMIT_FACTOR,
    ) -> None:
        self._function = function
        self._seconds = function.timeout * time_limit_factor
        self._environment = {
            **function.environment,
            **environment,
            "PATH": os.defpath,
            "PYTHONPATH": os.pathsep.join([str(ROOT / "layers" / "billing"), str(ROOT)]),
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
            "LAMBDA_TASK_ROOT": str(function.code),
        }
        self._log = log_folder / f"{function.name}.log"
        self._idle: list[_Worker] = []
        self._lock = Lock()
        self._places = BoundedSemaphore(MAX_CONCURRENCY)
        self._closed = False
        self.last: Ended | None = None
        self.watch: Callable[[Any, Ended], None] = lambda event, ended: None

    def invoke(self, event: Any) -> Any:
        """Returns the result of the handler. Raises `FunctionError`."""
        ended = self.run(event)
        self.watch(event, ended)
        if ended.error:
            raise FunctionError(ended.error)
        return ended.result

    def run(self, event: Any) -> Ended:
        request_id = str(uuid.uuid4())
        began, begin = time.monotonic(), logs.size(self._log)
        try:
            ended = Ended(0, self._invoke(event, request_id))
        except FunctionError as error:
            ended = Ended(0, error=str(error))
        self.last = replace(
            ended,
            at=time.time(),
            function=self._function.name,
            request_id=request_id,
            seconds=time.monotonic() - began,
            log=logs.Span(self._log, begin, logs.size(self._log)),
        )
        return self.last

    def _invoke(self, event: Any, request_id: str) -> Any:
        with self._places:
            worker = self._take()
            context = {
                "aws_request_id": request_id,
                "function_name": self._function.name,
                "memory_limit_in_mb": self._function.memory,
                "deadline": time.time() + self._seconds,
            }
            try:
                answer = worker.call({"event": event, "context": context}, self._seconds)
            except FunctionError:
                worker.kill()
                raise
            self._give_back(worker)
        if "error" in answer:
            raise FunctionError(answer["error"])
        return answer["result"]

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for worker in self._idle:
                worker.kill()
            self._idle.clear()

    def _take(self) -> _Worker:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return _Worker(self._function, self._environment, self._log)

    def _give_back(self, worker: _Worker) -> None:
        with self._lock:
            if self._closed:
                worker.kill()
            else:
                self._idle.append(worker)
