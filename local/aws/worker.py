"""One process of one function, like Lambda's. It imports the handler once and then handles one event at a time.

`local.aws.runtime` starts it with the function's own environment and nothing else. Requests and answers are JSON lines
on a socket. Its file descriptor is the first argument. Standard output is the function's log.
"""

import importlib.util
import json
import socket
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Context:
    aws_request_id: str
    function_name: str
    memory_limit_in_mb: int
    deadline: float
    function_version: str = "$LATEST"

    @property
    def invoked_function_arn(self) -> str:
        return f"arn:aws:lambda:eu-west-1:123456789012:function:{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self.deadline - time.time()) * 1000))


def load(code: Path, handler: str) -> Callable[[Any, Context], Any]:
    """Imports `app.handler` from the folder, with `app` as the module name."""
    module_name, function_name = handler.rsplit(".", 1)
    spec = importlib.util.spec_from_file_location(module_name, code / f"{module_name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    loaded: Callable[[Any, Context], Any] = getattr(module, function_name)
    return loaded


def serve(connection: socket.socket, handler: Callable[[Any, Context], Any]) -> None:
    with connection.makefile("rw") as stream:
        for line in stream:
            request = json.loads(line)
            try:
                answer = {"result": handler(request["event"], Context(**request["context"]))}
            except Exception as error:  # noqa: BLE001 - like Lambda's runtime: the error becomes the answer
                print(json.dumps(_line(error, request["context"]["aws_request_id"])))
                answer = {"error": type(error).__name__}
            sys.stdout.flush()
            stream.write(json.dumps(answer) + "\n")
            stream.flush()


def _line(error: Exception, request_id: str) -> dict[str, str]:
    """A line of the log, as Lambda writes one: it names the invocation that failed."""
    trace = "".join(traceback.format_exception(error))
    return {"level": "ERROR", "message": "the function raised", "request_id": request_id, "exception": trace}


if __name__ == "__main__":
    descriptor, folder, name = sys.argv[1:]
    serve(socket.socket(fileno=int(descriptor)), load(Path(folder), name))
