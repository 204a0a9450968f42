"""The difference between Stripe's OpenAPI document and the API version of the pinned stripe-python.

`openapi/sdk.json` has it. `python -m local.stripe.sdk` makes this file anew from what stripe-python declares. An owner
is an operation (`POST /v1/refunds`) or a kind of objects (`refund`); a place in it is a path such as `items[].price`:

- `added`: owner -> place -> the schema of a parameter or a field that the document lacks
- `values`: owner -> place -> the values that the document lacks
- `removed`: operation -> the parameters that the SDK does not have (any more)
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

type Schema = dict[str, Any]

PATH: Final = Path(__file__).resolve().parent / "openapi" / "sdk.json"
FORM: Final = "application/x-www-form-urlencoded"


@cache
def load() -> Schema:
    patch: Schema = json.loads(PATH.read_text())
    return patch


def applied(document: Schema, patch: Schema) -> Schema:
    """The document, changed in place. It keeps what was removed, because earlier versions of the API have it."""
    for owner, places in patch["added"].items():
        for place, schema in places.items():
            *steps, name = place.split(".")
            if not steps and owner.startswith("GET "):
                _operation(document, owner)["parameters"].append({"in": "query", "name": name, "schema": schema})
            for parent in _objects(document, _at(document, owner, steps)):
                parent.setdefault("properties", {})[name] = schema
    for owner, places in patch["values"].items():
        for place, values in places.items():
            for found in _at(document, owner, place.split(".")):
                for one in alternatives(document, found):
                    if "enum" in one:
                        one["enum"] = sorted({*one["enum"], *values})
    document["info"]["version"] = patch["version"]
    return document


def _at(document: Schema, owner: str, steps: list[str]) -> list[Schema]:
    """The schemas at this place: several, where the document has alternatives."""
    found = [parameters(document, owner) if " " in owner else document["components"]["schemas"][owner]]
    for step in steps:
        name = step.rstrip("[]")
        found = [one["properties"][name] for one in _objects(document, found) if name in one.get("properties", {})]
        for _ in range(step.count("[]")):
            found = [one["items"] for schema in found for one in alternatives(document, schema) if "items" in one]
    return found


def _objects(document: Schema, schemas: list[Schema]) -> list[Schema]:
    met = [one for schema in schemas for one in alternatives(document, schema)]
    return [one for one in met if one.get("type") == "object"]


def alternatives(document: Schema, schema: Schema) -> Iterator[Schema]:
    """The schema itself, or the one that its `$ref` names, or each of its alternatives."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    if "anyOf" not in schema:
        yield schema
    for one in schema.get("anyOf", ()):
        yield from alternatives(document, one)


def parameters(document: Schema, owner: str) -> Schema:
    """The parameters of a GET or a POST, as the schema of one object. It has no `properties` if the body is no form."""
    operation = _operation(document, owner)
    if owner.startswith("POST "):
        body: Schema = operation.get("requestBody", {}).get("content", {}).get(FORM, {}).get("schema", {})
        return body
    queries = [one for one in operation.get("parameters", []) if one["in"] == "query"]
    return {"type": "object", "properties": {one["name"]: one["schema"] for one in queries}}


def _operation(document: Schema, owner: str) -> Schema:
    method, path = owner.split(" ")
    operation: Schema = document["paths"][path][method.lower()]
    return operation
