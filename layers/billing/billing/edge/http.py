"""From API Gateway's event to a typed request and its caller, and from a result or an error to the response.

The format is API Gateway's payload format 2.0.
"""

import base64
import json
from collections.abc import Callable, Mapping
from functools import wraps
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from aws_lambda_powertools.metrics import MetricUnit

from billing.deadline import LambdaContext
from billing.domain.caller import Caller
from billing.domain.ids import is_tenant_id
from billing.edge.invocation import invocation
from billing.errors import BadRequest, BillingError, BodyTooLarge, Forbidden
from billing.observability import logger, metrics
from billing.settings import Settings

if TYPE_CHECKING:
    from pydantic import BaseModel

# What a caller can make us read, repeat and log is bounded. The webhook has its own limit (`inbox/delivery.py`).
MAX_BODY_BYTES: Final = 16 * 1024
MAX_BODY_TEXT: Final = MAX_BODY_BYTES * 4 // 3 + 4  # as Base64
MAX_WRONG: Final = 5  # parameters that an answer names
MAX_NAME: Final = 64  # characters of a name
MAX_LOGGED: Final = 1000  # characters of a detail in the log

type Event = Mapping[str, Any]
type Response = dict[str, Any]
type Handler = Callable[[Event, LambdaContext], Response]


def endpoint(handler: Handler) -> Handler:
    """Turns every failure into a problem document (RFC 9457) that says nothing the caller may not know."""

    @wraps(handler)
    def wrapped(event: Event, context: LambdaContext) -> Response:
        request_id = _mapping(event, "requestContext").get("requestId") or context.aws_request_id
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
    except (ValueError, TypeError, AttributeError) as error:  # not Base64, not UTF-8, or no text at all
        raise BadRequest("The body cannot be decoded.") from error


def header(event: Event, name: str) -> str:
    """The header of that name, in upper or lower case. "" if there is none."""
    return next((str(value) for key, value in _mapping(event, "headers").items() if key.lower() == name.lower()), "")


def parse[M: "BaseModel"](event: Event, model: type[M], **headers: str) -> M:
    """The parameters in path, query string and JSON body, and those that come as headers.

    Raises `BadRequest`, which names the wrong ones.
    """
    from pydantic import ValidationError  # noqa: PLC0415 - the webhook has no use for it, and it costs 60 ms of start

    values: dict[str, Any] = {name: value for name, value in headers.items() if value}
    for source in (_mapping(event, "pathParameters"), _mapping(event, "queryStringParameters"), _json_body(event)):
        for name, value in source.items():
            if values.setdefault(name, value) != value:
                raise BadRequest(f"{name[:MAX_NAME]}: given twice, with different values.")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False, include_input=False)
        named = [_named(each["loc"], _plain(each["type"], each["msg"])) for each in wrong[:MAX_WRONG]]
        more = f"; and {len(wrong) - MAX_WRONG} more" if len(wrong) > MAX_WRONG else ""
        raise BadRequest("; ".join(named) + more + ".") from error


def _named(location: tuple[int | str, ...], message: str) -> str:
    return f"{'.'.join(map(str, location))[:MAX_NAME] or 'body'}: {message}"


def _plain(kind: str, message: str) -> str:
    """Our own message where it is clearer than pydantic's."""
    ours = {"extra_forbidden": "is not a parameter of this endpoint", "missing": "is missing"}
    ours["string_pattern_mismatch"] = "has characters or a length that are not allowed, or was given twice"
    return ours.get(kind) or message.removeprefix("Value error, ")


def _json_body(event: Event) -> dict[str, Any]:
    text = event.get("body")
    if (isinstance(text, str) and len(text) > MAX_BODY_TEXT) or len(body := raw_body(event)) > MAX_BODY_BYTES:
        raise BodyTooLarge(f"The body must have at most {MAX_BODY_BYTES} bytes.")
    if not body.strip():
        return {}
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest("The body is not JSON.") from error
    if not isinstance(values, dict):
        raise BadRequest("The body is not a JSON object.")
    return values


def caller(event: Event, settings: Settings) -> Caller:
    """Who calls, by the claims that the JWT authorizer checked. The gateway hands every claim over as text.

    Raises `Forbidden` for an ID token of Amazon Cognito. Its audience is the same as an access token's, so the gateway
    accepts it: https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-id-token.html
    """
    claims = _mapping(event, "requestContext", "authorizer", "jwt", "claims")
    if claims.get("token_use") == "id":
        raise Forbidden("This is an ID token; send the access token.")
    tenant_id = claims.get(settings.tenant_claim)
    if tenant_id is not None and not is_tenant_id(tenant_id):
        logger.warning("the tenant claim is no id", extra={"claim": settings.tenant_claim})
    scopes = {scope for name in _SCOPE_CLAIMS for scope in _entries(claims.get(name))}
    return Caller(tenant_id if is_tenant_id(tenant_id) else None, is_admin=settings.admin_scope in scopes)


# `scope` is the standard's (RFC 8693). `scp` and, for applications, `roles` are Microsoft Entra's:
# https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
_SCOPE_CLAIMS: Final = ("scope", "scp", "roles")


def _entries(claim: object) -> list[str]:
    """A claim's entries, separated by spaces (RFC 6749, 3.3). The gateway hands a list over as `[a b]`."""
    if not isinstance(claim, str):
        return []
    return (claim[1:-1] if claim.startswith("[") and claim.endswith("]") else claim).split(" ")


def _mapping(event: Event, *path: str) -> Mapping[str, Any]:
    """The object at this path of names. {} if it is missing or is not an object."""
    found: Any = event
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


# -- the response


def _refused(error: BillingError, request_id: str) -> Response:
    log = logger.error if error.is_fault else logger.info
    log("refused", extra={"problem": error.slug, "status": error.status, "detail": str(error)[:MAX_LOGGED]})
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
