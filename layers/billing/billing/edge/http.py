"""From API Gateway's event to a typed request and its caller, and from a result or an error to the response.

The format is API Gateway's payload format 2.0.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from functools import wraps
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit

from billing.deadline import LambdaContext
from billing.domain.caller import ADMIN_SCOPE, Caller
from billing.domain.ids import is_id
from billing.edge.invocation import invocation
from billing.errors import BadRequest, BillingError
from billing.observability import logger, metrics

if TYPE_CHECKING:
    from pydantic import BaseModel

type Event = Mapping[str, Any]
type Response = dict[str, Any]
type Handler = Callable[[Event, LambdaContext], Response]


def endpoint(handler: Handler) -> Handler:
    """Turns every failure into a problem document (RFC 9457) that says nothing the caller may not know."""

    @wraps(handler)
    def wrapped(event: Event, context: LambdaContext) -> Response:
        request_id = event.get("requestContext", {}).get("requestId") or context.aws_request_id
        with invocation(context, request_id=request_id, route=event.get("routeKey")):
            try:
                return handler(event, context)
            except BillingError as error:
                return _refused(error, request_id)
            except Exception:  # noqa: BLE001 - the caller gets a problem document, and the log has the cause
                logger.exception("unexpected failure")
                metrics.add_metric("UnexpectedFailure", MetricUnit.Count, 1)
                unexpected = BillingError("Something went wrong on our side. Give the request id to the operators.")
                return _problem(unexpected, request_id)

    return wrapped


def ok(body: Mapping[str, Any], status: int = 200) -> Response:
    return _json(status, body, "application/json")


# -- the request


def raw_body(event: Event) -> bytes:
    """The bytes that were sent. Raises `BadRequest` when they cannot be decoded."""
    body = event.get("body") or ""
    try:
        return base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode("utf-8")
    except (binascii.Error, UnicodeEncodeError) as error:
        raise BadRequest("The body cannot be decoded.") from error


def header(event: Event, name: str) -> str:
    """The header of that name, in upper or lower case. "" if there is none."""
    return next((str(value) for key, value in (event.get("headers") or {}).items() if key.lower() == name.lower()), "")


def parse[M: "BaseModel"](event: Event, model: type[M]) -> M:
    """The parameters in path, query string and JSON body. Raises `BadRequest`, which names the wrong ones."""
    from pydantic import ValidationError  # noqa: PLC0415 - the webhook has no use for it, and it costs 60 ms of start

    values: dict[str, Any] = {}
    for source in (event.get("pathParameters"), event.get("queryStringParameters"), _json_body(event)):
        for name, value in (source or {}).items():
            if values.setdefault(name, value) != value:
                raise BadRequest(f"{name}: given twice, with different values.")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        wrong = (f"{'.'.join(map(str, e['loc'])) or 'body'}: {_plain(e['type'], e['msg'])}" for e in error.errors())
        raise BadRequest("; ".join(wrong) + ".") from error


def _plain(kind: str, message: str) -> str:
    """Our own message where it is clearer than pydantic's."""
    ours = {"extra_forbidden": "is not a parameter of this endpoint", "missing": "is missing"}
    ours["string_pattern_mismatch"] = "has characters or a length that are not allowed, or was given twice"
    return ours.get(kind) or message.removeprefix("Value error, ")


def _json_body(event: Event) -> dict[str, Any]:
    body = raw_body(event)
    if not body.strip():
        return {}
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest("The body is not JSON.") from error
    if not isinstance(values, dict):
        raise BadRequest("The body is not a JSON object.")
    return values


def caller(event: Event, tenant_claim: str) -> Caller:
    """Who calls, by the claims that the JWT authorizer checked. The gateway hands every claim over as text."""
    claims = event.get("requestContext", {}).get("authorizer", {}).get("jwt", {}).get("claims", {})
    tenant_id = claims.get(tenant_claim)
    if tenant_id is not None and not is_id(tenant_id):
        logger.warning("the tenant claim is no id", extra={"claim": tenant_claim})
    # `scope` is the standard's (RFC 8693), `scp` Microsoft's; a list arrives as "[a b]".
    scopes = re.split(r"[\s,\[\]]+", f"{claims.get('scope', '')} {claims.get('scp', '')}")
    return Caller(tenant_id if is_id(tenant_id) else None, is_admin=ADMIN_SCOPE in scopes)


# -- the response


def _refused(error: BillingError, request_id: str) -> Response:
    log = logger.error if error.is_fault else logger.info
    log("refused", extra={"problem": error.slug, "status": error.status, "detail": str(error)})
    if error.is_fault or error.status == HTTPStatus.TOO_MANY_REQUESTS:
        metrics.add_metric(type(error).__name__, MetricUnit.Count, 1)
    return _problem(error, request_id)


def _problem(error: BillingError, request_id: str) -> Response:
    body = {
        "type": error.type,
        "title": error.title,
        "status": error.status,
        "detail": str(error),
        "requestId": request_id,
    }
    response = _json(error.status, body, "application/problem+json")
    if error.retry_after is not None:
        response["headers"]["Retry-After"] = str(error.retry_after)
    return response


def _json(status: int, body: Mapping[str, Any], content_type: str) -> Response:
    headers = {"Content-Type": content_type, "Cache-Control": "no-store"}
    return {"statusCode": status, "headers": headers, "body": json.dumps(body)}
