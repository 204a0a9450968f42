"""Errors in the form of Stripe's API. https://docs.stripe.com/api/errors"""

from typing import Any


class ApiError(Exception):
    def __init__(self, status: int, kind: str, message: str, **more: Any) -> None:
        """`kind` is Stripe's `type`. `more` are further fields of the error object: code, param, decline_code."""
        super().__init__(message)
        self.status = status
        self.body = {"error": {"type": kind, "message": message, **more}}


def missing(kind: str, object_id: str, param: str = "id") -> ApiError:
    """A 404 for an object that does not exist. If a parameter names the object, `Store.named` raises a 400 instead."""
    message = f"No such {kind}: '{object_id}'"
    return ApiError(404, "invalid_request_error", message, code="resource_missing", param=param)


def invalid(message: str, param: str | None = None, **more: Any) -> ApiError:
    return ApiError(400, "invalid_request_error", message, **({"param": param} if param else {}), **more)


def declined(intent: dict[str, Any]) -> ApiError:
    error = intent["last_payment_error"]
    more = {name: error[name] for name in ("code", "decline_code", "param") if name in error}
    more["payment_intent"] = intent
    return ApiError(402, "card_error", error["message"], **more)
