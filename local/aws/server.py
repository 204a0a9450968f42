"""AWS on this machine at one address: moto, and for DynamoDB optionally the real engine of DynamoDB Local."""

import json
import re
from collections.abc import Callable, Iterable
from io import BytesIO
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

import requests
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.wrappers import Request, Response

from local.aws.clients import UNHURRIED_SECONDS

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_INVOCATION = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")
_PASSED_ON = ("content-type", "x-amzn-requestid", "x-amz-crc32")


class Aws:
    """A WSGI application. `dynamodb_url` is the address of DynamoDB Local. If it is empty, moto plays DynamoDB too.

    DynamoDB isolates concurrent writers from each other, but moto does not. So moto gets one request at a time.
    """

    def __init__(self, dynamodb_url: str = "") -> None:
        self._dynamodb_url = dynamodb_url
        self._moto: Any = DomainDispatcherApplication(create_backend_app)
        self._lock = Lock()
        self.announcements: list[dict[str, Any]] = []
        self.invoke: Callable[[str, Any], object] = lambda name, event: None

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if self._dynamodb_url and environ.get("HTTP_X_AMZ_TARGET", "").startswith("DynamoDB"):
            return self._forward(Request(environ))(environ, start_response)
        invoked = _INVOCATION.fullmatch(environ["PATH_INFO"])
        if invoked:
            return self._start(invoked[1], Request(environ))(environ, start_response)
        if environ.get("HTTP_X_AMZ_TARGET") == "AWSEvents.PutEvents":
            self._listen(environ)
        with self._lock:
            return list(self._moto(environ, start_response))

    def _start(self, function: str, request: Request) -> Response:
        """Lambda's Invoke of the type Event: it answers at once and runs the function in another thread."""
        event = json.loads(request.get_data() or b"{}")
        Thread(target=self.invoke, args=(function, event), daemon=True).start()
        return Response(status=202)

    def _listen(self, environ: "WSGIEnvironment") -> None:
        """Records what goes over the bus, oldest first. There is no other listener here."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = BytesIO(body)
        self.announcements += [json.loads(entry["Detail"]) for entry in json.loads(body)["Entries"]]

    def _forward(self, request: Request) -> Response:
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        answer = requests.post(self._dynamodb_url, request.get_data(), headers=headers, timeout=UNHURRIED_SECONDS)
        passed = {n: v for n, v in answer.headers.items() if n.lower() in _PASSED_ON}
        return Response(answer.content, answer.status_code, passed)
