"""Checks a request's form against the schema of its operation. Each value gets its type, or Stripe's error is raised.

https://docs.stripe.com/api/errors
"""

import re
from typing import Any

from local.stripe.document import Schema
from local.stripe.errors import ApiError, invalid

_INTEGER = re.compile(r"-?\d{1,18}")
_NUMBER = re.compile(r"-?\d{1,18}(\.\d{1,12})?")


def typed(schema: Schema, value: Any, name: str = "") -> Any:
    """Converts `value` from the form (text, or lists and maps of text) to its type. Raises `ApiError`, a 400."""
    if "anyOf" in schema:
        return _one_of(schema["anyOf"], value, name)
    match schema.get("type"):
        case "object":
            return _object(schema, value, name)
        case "array":
            return _array(schema, value, name)
    if not isinstance(value, str):
        raise invalid(f"Invalid {schema.get('type', 'string')}", name)
    return _scalar(schema, value, name)


def _one_of(schemas: list[Schema], value: Any, name: str) -> Any:
    """Uses the first alternative that fits.

    If none fits, raises the error of the first alternative that has the form of `value` (text, list or map).
    """
    meant = [schema for schema in schemas if isinstance(value, _KINDS.get(schema.get("type", ""), str))] or schemas
    refused: ApiError | None = None
    for schema in meant:
        try:
            return typed(schema, value, name)
        except ApiError as error:
            refused = refused or error
    assert refused, "there is at least one alternative"
    raise refused


_KINDS: dict[str, type] = {"object": dict, "array": list}


def _object(schema: Schema, value: Any, name: str) -> Any:
    if isinstance(value, list):  # the keys of this map are numbers, so `forms.decode` made a list of it
        value = {str(n): inner for n, inner in enumerate(value)}
    if not isinstance(value, dict):
        raise invalid("Invalid object", name)
    known, more = schema.get("properties", {}), schema.get("additionalProperties")
    fields = {}
    for key, inner in value.items():
        path = f"{name}[{key}]" if name else key
        if key in known:
            fields[key] = typed(known[key], inner, path)
        elif isinstance(more, dict):
            fields[key] = _value_of_map(more, inner, path)
        else:
            raise invalid(f"Received unknown parameter: {path}", path, code="parameter_unknown")
    for key in schema.get("required", []):
        if key not in fields:
            raise missing(f"{name}[{key}]" if name else key)
    return fields


def _value_of_map(schema: Schema, value: Any, path: str) -> Any:
    """An empty value is allowed: it removes the key from a map such as metadata."""
    return value if value == "" else typed(schema, value, path)


def missing(path: str) -> ApiError:
    return invalid(f"Missing required param: {path}.", path, code="parameter_missing")


def _array(schema: Schema, value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise invalid("Invalid array", name)
    return [typed(schema["items"], inner, f"{name}[{n}]") for n, inner in enumerate(value)]


def _scalar(schema: Schema, value: str, name: str) -> Any:
    match schema.get("type"):
        case "integer":
            if not _INTEGER.fullmatch(value):
                raise invalid(f"Invalid integer: {value}", name, code="parameter_invalid_integer")
            return int(value)
        case "number":
            if not _NUMBER.fullmatch(value):
                raise invalid(f"Invalid decimal: {value}", name)
            return float(value)
        case "boolean":
            if value not in ("true", "false"):
                raise invalid(f"Invalid boolean: {value}", name)
            return value == "true"
    return _text(schema, value, name)


def _text(schema: Schema, value: str, name: str) -> str:
    allowed = schema.get("enum")
    if allowed and value not in allowed:
        raise invalid(f"Invalid {name}: must be one of {', '.join(allowed)}", name)
    if not value and not allowed:
        message = f"You passed an empty string for '{name}'. We assume empty values are an attempt to unset a field."
        raise invalid(message, name, code="parameter_invalid_empty")
    if len(value) > schema.get("maxLength", len(value)):
        raise invalid(f"Invalid string: must be at most {schema['maxLength']} characters", name)
    return value
