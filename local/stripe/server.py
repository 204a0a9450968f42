"""Serves the stand-in over HTTP. Authentication, versions, idempotency, forms, expansion and errors are like Stripe's.

`/v1/…` is Stripe's API (`local/stripe/api/`). `/_look/v1/…` is for reading it without a trace: the call uses up no
failure that somebody has asked for, and is not among the account's calls. `/_control/…` does what people, banks and the
passing of time do at Stripe (`local/stripe/controls.py`). All other paths are the pages that a customer sees
(`local/stripe/pages/`).
"""

import json
import random
import socket
import string
import time
from collections.abc import Callable, Iterable
from functools import cache, partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from werkzeug.exceptions import HTTPException
from werkzeug.http import http_date
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from local.stripe import check, document, limits
from local.stripe.account import Account, Answer
from local.stripe.api import checkout_confirmation, expansion, forms, resources
from local.stripe.controls import Controls
from local.stripe.engine.objects import Operation
from local.stripe.engine.store import API_VERSION, Object
from local.stripe.errors import ApiError, invalid
from local.stripe.pages.site import Pages

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

LOOK: Final = "/_look"
_LOOKS: Final = "stand_in.looks"  # in the environment of a request that came by LOOK

_BRACES: Final = str.maketrans("{}", "<>")
_ALPHABET: Final = string.ascii_letters + string.digits
_BODIES: Final = (document.FORM, "multipart/form-data")
_LONGEST_KEY: Final = 255  # https://docs.stripe.com/api/idempotent_requests

# Our client gives up after this many seconds (CONNECT_SECONDS and READ_SECONDS of the layer's Stripe client). On a
# busy machine it waits longer. So the stand-in itself ends a call whose requested failure takes longer than this.
HANGS_UP_SECONDS: Final = 5.0


class HangUp(Exception):
    """The server closes the connection without an answer."""


class StripeServer:
    """A WSGI application."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._controls = Controls(account)
        self._pages = Pages(account)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith(f"{LOOK}/v1/") and environ["REQUEST_METHOD"] == "GET":
            environ |= {"PATH_INFO": environ["PATH_INFO"].removeprefix(LOOK), _LOOKS: True}
        request = Request(environ)
        if request.path.startswith("/v1/"):
            try:
                return self._api(request)(environ, start_response)
            except HangUp:
                return _hang_up(environ)
        part = self._controls if request.path.startswith("/_control/") else self._pages
        return part.answer(request)(environ, start_response)

    # -- the API

    def _api(self, request: Request) -> Response:
        request_id = f"req_{''.join(random.choices(_ALPHABET, k=14))}"
        try:
            answer = self._answer(request, request_id)
        except ApiError as error:
            answer = Answer("", request_id, error.status, error.body)
        if "error" in answer.body:
            answer.body["error"]["request_log_url"] = f"{self._account.public_url}/logs/{answer.request_id}"
        headers = {
            "Request-Id": request_id,
            "Stripe-Version": request.headers.get("Stripe-Version", API_VERSION),
            "Date": http_date(self._account.store.now()),
            **_about_key(request, answer, request_id),
        }
        return Response(json.dumps(answer.body), answer.status, headers, content_type="application/json")

    def _answer(self, request: Request, request_id: str) -> Answer:
        self._authenticate(request)
        path, act, object_id = self._route(request)
        form = self._form(request, path)
        failure = None if _LOOKS in request.environ else self._called(request)
        carry_out: Callable[[], Object] = partial(self._act, path, act, form, object_id)
        if failure:
            carry_out = _failing(failure, carry_out)
        key = request.headers.get("Idempotency-Key")
        store = self._account.store
        with self._account.lock:
            store.request = {"id": request_id, "idempotency_key": key}
            try:
                answer = self._once(request, request_id, form, carry_out)
            finally:  # what happens later by itself is of no request
                store.request = {"id": None, "idempotency_key": None}
        if failure and failure["seconds"] > HANGS_UP_SECONDS:
            raise HangUp
        return answer

    def _called(self, request: Request) -> Object | None:
        """The failure of this call, if somebody has asked for one."""
        self._account.calls.append((request.method, request.path))
        return self._account.next_failure(f"{request.method} {request.path}")

    def _act(self, path: str, act: Operation, form: Object, object_id: str) -> Object:
        limits.check(self._account.store, path, form)
        expand = form.pop("expand", [])
        return expansion.expanded(self._account.store, act(self._account.store, form, object_id), expand)

    def _authenticate(self, request: Request) -> None:
        sent = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if request.authorization and request.authorization.type == "basic":
            sent = request.authorization.username or ""
        if not sent:
            raise ApiError(401, "invalid_request_error", "You did not provide an API key.")
        if sent not in (self._account.api_key, *self._account.restricted_keys):
            raise ApiError(401, "invalid_request_error", "Invalid API Key provided.")
        version = request.headers.get("Stripe-Version", API_VERSION)
        # https://github.com/stripe/stripe-java/issues/682, https://github.com/IgorGanapolsky/ThumbGate/pull/2053
        if version not in document.versions():
            raise invalid(f"Invalid Stripe API version: {version}")

    def _route(self, request: Request) -> tuple[str, Operation, str]:
        try:
            (path, act), found = _routes().bind_to_environ(request.environ).match()
        except HTTPException as error:
            # The words: https://github.com/stripe/stripe-mock/issues/312
            raise ApiError(
                404,
                "invalid_request_error",
                f"Unrecognized request URL ({request.method}: {request.path}). If you are trying to list objects, "
                "remove the trailing slash. If you are trying to retrieve an object, make sure you passed a valid "
                "(non-empty) identifier in your code.",
            ) from error
        return path, act, next(iter(found.values()), "")

    def _form(self, request: Request, path: str) -> Object:
        if request.content_length and request.mimetype not in _BODIES:
            # https://github.com/MarcinusX/flutter_stripe_demo/issues/9
            message = f"Invalid request: unsupported Content-Type {request.content_type or ''}."
            raise invalid(f"{message} If error persists and you need assistance, please contact support@stripe.com.")
        form = forms.decode([*request.args.items(multi=True), *request.form.items(multi=True)])
        if path not in document.load()["paths"]:
            return form
        # HEAD is GET without the body of the answer.
        method = "GET" if request.method == "HEAD" else request.method
        # A request without a version has the account's, which may be an earlier one than the SDK's.
        newest = request.headers.get("Stripe-Version") == API_VERSION
        form = dict(check.typed(document.parameters(method, path, newest=newest), form))
        expansion.check(method, path, form.get("expand", []))
        return form

    def _once(self, request: Request, request_id: str, form: Object, act: Callable[[], Object]) -> Answer:
        """A repeated request with the same idempotency key gets the first answer again.

        https://docs.stripe.com/api/idempotent_requests
        """
        key = request.headers.get("Idempotency-Key")
        if request.method != "POST" or not key:
            return Answer("", request_id, 200, act())
        if len(key) > _LONGEST_KEY:
            raise invalid(f"Keys for idempotent requests can have up to {_LONGEST_KEY} characters.")
        request_json = json.dumps([request.path, form], sort_keys=True)
        if key in self._account.answers:
            kept = self._account.answers[key]
            if kept.request != request_json:
                message = "Keys for idempotent requests can only be used with the parameters they were first used with."
                raise ApiError(400, "idempotency_error", message)
            return kept
        try:
            status, body = 200, act()
        except ApiError as error:
            status, body = error.status, error.body
            if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED):
                raise  # the server did not carry out the request, so it keeps no answer
        self._account.answers[key] = Answer(request_json, request_id, status, json.loads(json.dumps(body)))
        return self._account.answers[key]


def _about_key(request: Request, answer: Answer, request_id: str) -> dict[str, str]:
    """The headers of an answer under an idempotency key.

    https://docs.stripe.com/error-low-level#sending-idempotency-keys, https://github.com/stripe/stripe-mock/pull/77
    """
    key = request.headers.get("Idempotency-Key")
    if request.method != "POST" or not key:
        return {}
    replayed = {"Idempotent-Replayed": "true"} if answer.request_id != request_id else {}
    return {"Idempotency-Key": key, "Original-Request": answer.request_id, **replayed}


@cache
def _routes() -> Map:
    """All accounts share these routes, because it takes a while to compile them."""
    known = [*resources.routes(), *checkout_confirmation.ROUTES]
    return Map([Rule(path.translate(_BRACES), methods=[m], endpoint=(path, act)) for m, path, act in known])


def _failing(failure: Object, act: Callable[[], Object]) -> Callable[[], Object]:
    """Wraps the call so that it has the requested failure.

    Raises `ApiError` at once for a 429, because Stripe does not look at the request then.
    """
    time.sleep(min(failure["seconds"], HANGS_UP_SECONDS))
    if not failure["status"]:
        return act
    error = ApiError(failure["status"], "api_error", "A failure that was asked for.")
    if failure["status"] == HTTPStatus.TOO_MANY_REQUESTS:
        raise error

    def fail() -> Any:
        raise error

    return fail


def _hang_up(environ: "WSGIEnvironment") -> Iterable[bytes]:
    connection: socket.socket = environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError
