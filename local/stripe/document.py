"""Stripe's official OpenAPI document. It describes the parameters of the API and the fields of the objects.

The repository has a compressed copy, so that nobody has to fetch it: `openapi/`, with its licence and where it is from.
"""

import functools
import json
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from local.stripe import patch

type Schema = dict[str, Any]

PATH: Final = Path(__file__).resolve().parent / "openapi" / "spec3.json.xz"

FORM: Final = patch.FORM

# The document says that these fields may be null. But Stripe leaves them out unless they are expanded or set.
_LEFT_OUT: Final = {
    "charge": {"refunds", "level3", "presentment_details"},
    "checkout.session": {"line_items", "optional_items", "presentment_details"},
    "customer": {"sources", "subscriptions", "tax", "tax_ids", "cash_balance", "invoice_credit_balance"},
    "event": {"reason", "context", "account"},
    "invoice": {"payments", "confirmation_secret", "threshold_reason", "total_taxes"},
    "payment_intent": {"payment_details", "amount_details", "hooks", "presentment_details"},
    "price": {"currency_options", "tiers"},
    "product": {"provisioning"},
    "subscription": {"presentment_details", "managed_payments"},
}

# The document says that these fields are neither required nor nullable. But Stripe always returns them.
_ALWAYS: Final[dict[str, dict[str, Any]]] = {
    "customer": {
        "balance": 0,
        "delinquent": False,
        "invoice_settings": dict.fromkeys(("custom_fields", "default_payment_method", "footer", "rendering_options")),
    },
}


def published() -> Schema:
    """The document as Stripe published it."""
    document: Schema = json.loads(lzma.decompress(PATH.read_bytes()))
    return document


@functools.cache
def load() -> Schema:
    """The document in the API version of the pinned stripe-python."""
    return patch.applied(published(), patch.load())


def resolve(schema: Schema) -> Schema:
    """Returns the schema, or the schema that its `$ref` names."""
    if "$ref" not in schema:
        return schema
    found: Schema = load()["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return found


@functools.cache
def parameters(method: str, path: str, *, newest: bool = True) -> Schema:
    """The parameters of an operation as the schema of one object.

    `path` is the path in the document: `/v1/invoices/{invoice}`. `newest`: without those that the SDK's version of the
    API removed.
    """
    operation = load()["paths"][path][method.lower()]
    body = operation.get("requestBody", {}).get("content", {}).get(FORM, {}).get("schema", {})
    queries = [p for p in operation.get("parameters", []) if p["in"] == "query"]
    properties = {p["name"]: p["schema"] for p in queries} | body.get("properties", {})
    for name in patch.load()["removed"].get(f"{method} {path}", ()) if newest else ():
        del properties[name]
    return {
        "type": "object",
        "properties": properties,
        "required": [p["name"] for p in queries if p.get("required")] + body.get("required", []),
        "additionalProperties": False,
    }


def versions() -> list[str]:
    """The API versions that the document knows."""
    body = load()["paths"]["/v1/webhook_endpoints"]["post"]["requestBody"]["content"][FORM]["schema"]
    known: list[str] = body["properties"]["api_version"]["enum"]
    return known


@functools.cache
def expands(method: str, path: str, property_path: str) -> bool:
    """Whether the answer of this operation has the property, `data.customer`, and the document says that it expands."""
    schemas = [load()["paths"][path][method.lower()]["responses"]["200"]["content"]["application/json"]["schema"]]
    for step in property_path.split("."):
        met = [one for schema in schemas for one in _alternatives(schema)]
        schemas = [one["properties"][step] for one in met if step in one.get("x-expandableFields", ())]
    return bool(schemas)


def _alternatives(schema: Schema) -> Iterator[Schema]:
    """All schemas that an object here may have: those of a list's items, and of what an id is expanded to."""
    schema = resolve(schema)
    inner = schema.get("anyOf", []) + schema.get("x-expansionResources", {}).get("oneOf", [])
    if schema.get("type") == "array":
        inner = [schema["items"]]
    yield schema
    for one in inner:
        yield from _alternatives(one)


@functools.cache
def shape(kind: str) -> str:
    """An object of this kind as JSON. Every required or nullable field has its empty value."""
    schema = load()["components"]["schemas"][kind]
    left_out = _LEFT_OUT.get(kind, set()) | patch.load()["added"].get(kind, {}).keys()
    fields = {name: _empty(schema["properties"][name]) for name in schema.get("required", [])}
    for name, field in schema["properties"].items():
        if field.get("nullable") and name not in left_out:
            fields[name] = None
    fields |= _ALWAYS.get(kind, {}) | ({"metadata": {}} if "metadata" in schema["properties"] else {})
    ordered = {name: fields[name] for name in ["id", "object", *sorted(fields)] if name in fields}
    return json.dumps(ordered)


def _empty(schema: Schema) -> Any:
    schema = resolve(schema)
    if schema.get("nullable"):
        return None
    if "anyOf" in schema:
        simple = next((one for one in schema["anyOf"] if "$ref" not in one), schema["anyOf"][0])
        return _empty(simple)
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "object":
        return {name: _empty(schema["properties"][name]) for name in schema.get("required", [])}
    return {"string": "", "integer": 0, "number": 0, "boolean": False, "array": []}[schema["type"]]
