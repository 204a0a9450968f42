"""The stand-in's HTTP API: authentication, versions, idempotency, form encoding, expansion and errors as Stripe's.

`/v1/…` is Stripe's API (`resources.py`). `/_control/…` makes happen what at Stripe people, banks and time do
(`controls.py`). Everything else are the pages that a customer sees (`pages.py`).
"""

import json
import re
import secrets
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from threading import RLock
from typing import TYPE_CHECKING, Any, Final

from werkzeug.exceptions import HTTPException
from werkzeug.http import http_date
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from local.stripe import check, document, forms, payment_pages, resources
from local.stripe.controls import Controls
from local.stripe.errors import ApiError, invalid
from local.stripe.expansion import expanded
from local.stripe.pages import Pages
from local.stripe.plain import Operation
from local.stripe.store import API_VERSION, Clock, Object, Store
from local.stripe.webhooks import Webhooks

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_VERSION: Final = re.compile(r"\d{4}-\d{2}-\d{2}(\.[a-z]+)?")
_BRACES: Final = str.maketrans("{}", "<>")


class StripeServer:
    """A WSGI application. `public_url` is where a browser finds it."""

    def __init__(self, api_key: str, public_url: str = "http://127.0.0.1:12111") -> None:
        self.api_key = api_key
        self.webhooks = Webhooks()
        self.clock = Clock()
        self.store = Store(self.webhooks.send, self.clock)
        self.public_url = public_url
        self.calls: list[tuple[str, str]] = []
        self.lock = RLock()
        self.failures: list[Object] = []
        self._answers: dict[str, tuple[str, int, Object]] = {}
        self._controls = Controls(self)
        self._pages = Pages(self)
        known = [*resources.routes(), *payment_pages.ROUTES]
        rules = [Rule(path.translate(_BRACES), methods=[m], endpoint=(path, act)) for m, path, act in known]
        self._routes = Map(rules)

    @property
    def public_url(self) -> str:
        return self.store.public_url

    @public_url.setter
    def public_url(self, url: str) -> None:
        self.store.public_url = url

    def replace_store(self, store: Store) -> None:
        """Another account, of which nothing has been asked yet."""
        self.store = store
        self._answers.clear()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        request = Request(environ)
        if request.path.startswith("/v1/"):
            return self._api(request)(environ, start_response)
        part = self._controls if request.path.startswith("/_control/") else self._pages
        return part.answer(request)(environ, start_response)

    # -- the API

    def _api(self, request: Request) -> Response:
        request_id = f"req_{secrets.token_urlsafe(10)}"
        try:
            status, body = self._answer(request, request_id)
        except ApiError as error:
            status, body = error.status, error.body
        if "error" in body:
            body["error"]["request_log_url"] = f"{self.public_url}/logs/{request_id}"
        headers = {
            "Request-Id": request_id,
            "Stripe-Version": request.headers.get("Stripe-Version", API_VERSION),
            "Date": http_date(self.store.now()),
        }
        return Response(json.dumps(body), status, headers, content_type="application/json")

    def _answer(self, request: Request, request_id: str) -> tuple[int, Object]:
        self._authenticate(request)
        path, act, object_id = self._route(request)
        form = self._form(request, path)
        self.calls.append((request.method, request.path))
        failure = self._failure(request)
        key = request.headers.get("Idempotency-Key")
        with self.lock:
            self.store.request = {"id": request_id, "idempotency_key": key}
            status, body = self._once(request, form, failure or (lambda: self._act(act, form, object_id)))
            self.store.request = {"id": None, "idempotency_key": None}
            return status, body

    def _act(self, act: Operation, form: Object, object_id: str) -> Object:
        expand = form.pop("expand", [])
        return expanded(self.store, act(self.store, form, object_id), expand)

    def _authenticate(self, request: Request) -> None:
        sent = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if request.authorization and request.authorization.type == "basic":
            sent = request.authorization.username or ""
        if not sent:
            raise ApiError(401, "invalid_request_error", "You did not provide an API key.")
        if sent != self.api_key:
            raise ApiError(401, "invalid_request_error", "Invalid API Key provided.")
        version = request.headers.get("Stripe-Version", API_VERSION)
        if not _VERSION.fullmatch(version):
            raise invalid(f"Invalid Stripe API version: {version}")

    def _route(self, request: Request) -> tuple[str, Operation, str]:
        try:
            (path, act), found = self._routes.bind_to_environ(request.environ).match()
        except HTTPException as error:
            message = f"Unrecognized request URL ({request.method}: {request.path})."
            raise ApiError(404, "invalid_request_error", message) from error
        return path, act, next(iter(found.values()), "")

    def _form(self, request: Request, path: str) -> Object:
        form = forms.decode([*request.args.items(multi=True), *request.form.items(multi=True)])
        if path not in document.load()["paths"]:
            return form
        return dict(check.typed(document.parameters(request.method, path), form))

    def _once(self, request: Request, form: Object, act: Callable[[], Object]) -> tuple[int, Object]:
        """The first answer to an idempotency key is the answer. https://docs.stripe.com/api/idempotent_requests"""
        key = request.headers.get("Idempotency-Key")
        if request.method != "POST" or not key:
            return 200, act()
        asked = json.dumps([request.path, form], sort_keys=True)
        if key in self._answers:
            before, status, body = self._answers[key]
            if before != asked:
                message = "Keys for idempotent requests can only be used with the parameters they were first used with."
                raise ApiError(400, "idempotency_error", message)
            return status, body
        try:
            status, body = 200, act()
        except ApiError as error:
            status, body = error.status, error.body
            if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED):
                raise  # a request that was not carried out leaves no answer
        self._answers[key] = asked, status, json.loads(json.dumps(body))
        return status, body

    # -- failures that were asked for

    def fail(self, status: int = 0, count: int = 1, seconds: float = 0, path: str = "/") -> Object:
        """The next `count` calls whose path holds `path` get `status` after `seconds` (0: the answer, late)."""
        failure: Object = {"status": status, "count": count, "seconds": seconds, "path": path}
        self.failures.append(failure)
        return failure

    def _failure(self, request: Request) -> Callable[[], Object] | None:
        """No answer in time: the call takes effect. 429: it is not looked at."""
        with self.lock:
            wanted = next((f for f in self.failures if f["path"] in request.path), None)
            if wanted is None:
                return None
            wanted["count"] -= 1
            if wanted["count"] <= 0:
                self.failures.remove(wanted)
        time.sleep(wanted["seconds"])
        if not wanted["status"]:
            return None
        error = ApiError(wanted["status"], "api_error", "A failure that was asked for.")
        if wanted["status"] == HTTPStatus.TOO_MANY_REQUESTS:
            raise error

        def fail() -> Any:
            raise error

        return fail
