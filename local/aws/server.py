"""AWS on this machine at one address: moto, and for DynamoDB optionally the real engine of DynamoDB Local.

moto answers to any credentials, and allows the pages of every site to read its answers. This application answers only
to the stack's own access key, and takes moto's CORS headers away.
"""

import json
import re
from collections.abc import Callable, Iterable
from io import BytesIO
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

import requests
from moto.core.model_instances import reset_model_data
from moto.dynamodbstreams.models import dynamodbstreams_backends
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.wrappers import Request, Response

from local.aws.clients import UNHURRIED_SECONDS

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_INVOCATION = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")
_ACCESS_KEY = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/,\s]+)/")
_UNKNOWN_KEY = {"__type": "UnrecognizedClientException", "message": "The security token included is invalid."}
ITERATORS = 20  # of streams, the newest that moto keeps
_PASSED_ON = ("content-type", "x-amzn-requestid", "x-amz-crc32")


class Aws:
    """A WSGI application. `dynamodb_url` is the address of DynamoDB Local. If it is empty, moto plays DynamoDB too.
    `access_key_id` is random and known to the stack and its user only, so a request that names it is theirs.

    DynamoDB isolates concurrent writers from each other, but moto does not. So moto gets one request at a time.
    """

    def __init__(self, access_key_id: str, dynamodb_url: str = "") -> None:
        self._access_key_id = access_key_id
        self._dynamodb_url = dynamodb_url
        self._moto: Any = DomainDispatcherApplication(create_backend_app)
        self._lock = Lock()
        self.announcements: list[dict[str, Any]] = []
        self.invoke: Callable[[str, Any], object] = lambda name, event: None

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        named = _ACCESS_KEY.match(environ.get("HTTP_AUTHORIZATION", ""))
        if not named or named[1] != self._access_key_id:
            refusal = Response(json.dumps(_UNKNOWN_KEY), 403, content_type="application/x-amz-json-1.1")
            return refusal(environ, start_response)
        if self._dynamodb_url and environ.get("HTTP_X_AMZ_TARGET", "").startswith("DynamoDB"):
            return self._forward(Request(environ))(environ, start_response)
        invoked = _INVOCATION.fullmatch(environ["PATH_INFO"])
        if invoked:
            return self._start(invoked[1], Request(environ))(environ, start_response)
        if environ.get("HTTP_X_AMZ_TARGET") == "AWSEvents.PutEvents":
            self._listen(environ)
        with self._lock:
            answer = list(self._moto(environ, _without_cors(start_response)))
            _forget_copies()
        return answer

    def forget(self) -> None:
        """Makes moto begin anew: it keeps its state in this process, for all stacks."""
        with self._lock:
            moto_api_backend.reset()

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


def _forget_copies() -> None:
    """Moto copies the table for each transaction, and keeps all copies: as objects that its dashboard could show, and,
    if the transaction failed, by the iterators of the stream.
    """
    reset_model_data()
    for backend in (backend for regions in dynamodbstreams_backends.values() for backend in regions.values()):
        kept = backend.shard_iterators
        for iterator in list(kept)[:-ITERATORS]:
            del kept[iterator]


def _without_cors(start_response: "StartResponse") -> "StartResponse":
    def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
        kept = [(name, value) for name, value in headers if not name.lower().startswith("access-control-")]
        return start_response(status, kept, *more)

    return start
