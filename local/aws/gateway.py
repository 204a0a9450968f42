"""API Gateway's HTTP API on this machine: the routes of the template, the JWT authorizer, payload format 2.0.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import base64
import json
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jwt
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from local import tokens
from local.aws.runtime import Ended, Runtime
from local.template import Cors, Function, Route

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


_BRACES = str.maketrans("{}", "<>")
_ENDED = "local.ended"  # where the environment of a request keeps how its function ended


def routes(functions: Iterable[Function]) -> Map:
    """Maps a request to (name of the function, route)."""
    rules = [
        Rule(route.path.translate(_BRACES), methods=[route.method], endpoint=(function.name, route))
        for function in functions
        for route in function.routes
    ]
    return Map(rules, strict_slashes=False, merge_slashes=False)


@dataclass(frozen=True)
class Api:
    """The functions behind the gateway. `runtimes` has the names of the functions as keys."""

    functions: Iterable[Function]
    runtimes: Mapping[str, Runtime]
    cors: Cors


@dataclass(frozen=True)
class Exchange:
    """A request to the API and its answer. `request.remote_user` is the tenant or the subject of a valid token."""

    request: Request
    response: Response
    seconds: float

    @property
    def ended(self) -> Ended | None:
        """How the function ended; None if the gateway answered by itself."""
        ended: Ended | None = self.request.environ.get(_ENDED)
        return ended


class Gateway:
    """A WSGI application. It calls all `watchers` for each request to the API, before the caller gets the answer."""

    def __init__(self, api: Api, token_folder: Path, beside: Callable[[Request], Response]) -> None:
        """`beside` answers every path that does not belong to the API."""
        self._beside = beside
        self._cors = api.cors
        self._runtimes = api.runtimes
        self._token_folder = token_folder
        self._routes = routes(api.functions)
        self.watchers: list[Callable[[Exchange], None]] = []

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        return self._answer(Request(environ))(environ, start_response)

    def _answer(self, request: Request) -> Response:
        if not request.path.startswith("/api/"):
            return self._beside(request)
        began = time.monotonic()
        response = self._of_api(request)
        exchange = Exchange(request, response, time.monotonic() - began)
        for watch in self.watchers:
            watch(exchange)
        return response

    def _of_api(self, request: Request) -> Response:
        """Handles CORS like API Gateway.

        It answers a preflight request before it looks for a route. Every answer to an allowed origin names that origin.
        """
        allowed = request.headers.get("Origin") in self._cors.origins
        preflight = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        response = Response(status=204) if preflight else self._routed(request)
        if allowed:
            response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
        if allowed and preflight:
            response.headers["Access-Control-Allow-Methods"] = ",".join(self._cors.methods)
            response.headers["Access-Control-Allow-Headers"] = ",".join(self._cors.headers)
            response.headers["Access-Control-Max-Age"] = str(self._cors.max_age)
        return response

    def _routed(self, request: Request) -> Response:
        try:
            (name, route), path = self._routes.bind_to_environ(request.environ).match()
        except (NotFound, MethodNotAllowed):
            return _message(404, "Not Found")
        claims: dict[str, Any] | None = None
        if not route.open:
            try:
                token = request.headers.get("Authorization", "").removeprefix("Bearer ")
                claims = tokens.verify(token, self._token_folder)
            except jwt.InvalidTokenError as error:
                response = _message(401, "Unauthorized")
                reason = json.dumps(str(error))  # it may repeat any character of the token, such as a line break
                response.headers["WWW-Authenticate"] = f'Bearer error="invalid_token" error_description={reason}'
                return response
            request.environ["REMOTE_USER"] = str(claims.get(tokens.TENANT_CLAIM) or claims.get("sub", ""))
        event = http_event(request, route, path, claims)
        ended = request.environ[_ENDED] = self._runtimes[name].run(event)
        response = _response(ended)
        response.headers["Apigw-Requestid"] = event["requestContext"]["requestId"]
        return response


def http_event(
    request: Request, route: Route, path: Mapping[str, str], claims: Mapping[str, Any] | None
) -> dict[str, Any]:
    body = request.get_data()
    try:
        text, encoded = body.decode("utf-8"), False
    except UnicodeDecodeError:
        text, encoded = base64.b64encode(body).decode(), True
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route.key,
        "rawPath": request.path,
        "rawQueryString": request.query_string.decode("latin-1"),
        "headers": {name.lower(): value for name, value in request.headers.items()},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "local",
            "domainName": request.host,
            "http": {
                "method": request.method,
                "path": request.path,
                "protocol": "HTTP/1.1",
                "sourceIp": request.remote_addr or "",
                "userAgent": request.headers.get("User-Agent", ""),
            },
            "requestId": secrets.token_urlsafe(11) + "=",  # as long as those of an HTTP API
            "routeKey": route.key,
            "stage": "$default",
            "timeEpoch": int(time.time() * 1000),
        },
        "isBase64Encoded": encoded,
    }
    if request.args:
        event["queryStringParameters"] = {name: ",".join(values) for name, values in request.args.lists()}
    if path:
        event["pathParameters"] = dict(path)
    if body:
        event["body"] = text
    if claims is not None:
        event["requestContext"]["authorizer"] = {"jwt": {"claims": _as_text(claims), "scopes": None}}
    return event


def _response(ended: Ended) -> Response:
    if ended.error:
        timed_out = ended.error == "timed out"
        return _message(503, "Service Unavailable") if timed_out else _message(500, "Internal Server Error")
    body = ended.result.get("body", "")
    data = base64.b64decode(body) if ended.result.get("isBase64Encoded") else body
    return Response(data, ended.result["statusCode"], ended.result.get("headers", {}))


def _as_text(claims: Mapping[str, Any]) -> dict[str, str]:
    """Turns every claim into text, as API Gateway does. A list becomes `[a b]`."""
    return {
        name: f"[{' '.join(map(str, value))}]" if isinstance(value, list) else str(value)
        for name, value in claims.items()
    }


def _message(status: int, text: str) -> Response:
    return Response(json.dumps({"message": text}), status, content_type="application/json")
