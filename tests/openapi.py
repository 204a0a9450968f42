"""Checks the stand-in's answers and events against Stripe's OpenAPI document."""

import functools
import json
import re
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft4Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from local.stripe import document

type Schema = dict[str, Any]


def findings(value: Any, schema: Schema) -> list[str]:
    """Lists what is wrong with the value. Returns an empty list if Stripe could have sent it."""
    return [
        f"{'.'.join(map(str, error.absolute_path))}: {error.message[:200]}"
        for error in _validator(str(schema.get("$ref")) if "$ref" in schema else _known(schema)).iter_errors(value)
    ]


def of_event(event: Schema) -> list[str]:
    stripe_object = event["data"]["object"]
    return findings(event, _component("event")) + findings(stripe_object, _component(stripe_object["object"]))


def of_response(method: str, path: str, status: int, body: Any) -> list[str]:
    """Returns an empty list for a path that is not in the document.

    The tests with Stripe's CLI check such paths, because the CLI calls them.
    """
    for template, operations in _paths():
        if template.fullmatch(path) and method.lower() in operations:
            answers = operations[method.lower()]["responses"]
            schema = answers.get(str(status), answers["default"])["content"]["application/json"]["schema"]
            return [f"{method} {path}: {finding}" for finding in findings(body, schema)]
    return []


_schemas: dict[str, Schema] = {}


def _known(schema: Schema) -> str:
    key = str(id(schema))
    _schemas[key] = schema
    return key


def _component(kind: str) -> Schema:
    return {"$ref": f"#/components/schemas/{kind}"}


@functools.cache
def _validator(key: str) -> Draft4Validator:
    schema = {"$ref": f"stripe:{key}"} if key.startswith("#") else _json_schema(_schemas[key])
    return Draft4Validator(schema, registry=_registry())


@functools.cache
def _registry() -> Any:
    resource = Resource.from_contents(_json_schema(document.load()), default_specification=DRAFT4)
    return Registry().with_resource("stripe:", resource)


def _json_schema(node: Any) -> Any:
    """Rewrites OpenAPI 3.0 as JSON Schema: `nullable` becomes a type, and references point to the document."""
    if isinstance(node, list):
        return [_json_schema(one) for one in node]
    if not isinstance(node, dict):
        return node
    made = {name: _json_schema(value) for name, value in node.items() if name not in ("description", "nullable")}
    if isinstance(made.get("$ref"), str):
        made["$ref"] = "stripe:" + made["$ref"].removeprefix("stripe:")
    return {"anyOf": [made, {"type": "null"}]} if node.get("nullable") is True else made


@functools.cache
def _paths() -> list[tuple[re.Pattern[str], Schema]]:
    # Exact paths come first, because "create_preview" in /v1/invoices/create_preview is not the id of an invoice.
    ordered = sorted(document.load()["paths"].items(), key=lambda entry: entry[0].count("{"))
    return [(re.compile(re.sub(r"\\?\{\w+\\?\}", "[^/]+", re.escape(path))), entry) for path, entry in ordered]


class Watched:
    """Wraps another WSGI application and collects its answers that Stripe would not give."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.findings: list[str] = []
        self.answers = 0

    def __call__(self, environ: Any, start_response: Any) -> Iterator[bytes]:
        statuses: list[str] = []

        def started(status: str, headers: Any, *more: Any) -> Any:
            statuses.append(status)
            return start_response(status, headers, *more)

        answer = self._app(environ, started)
        body = b"".join(answer)
        if hasattr(answer, "close"):  # that of a file: https://peps.python.org/pep-3333/#specification-details
            answer.close()
        path = environ["PATH_INFO"]
        if path.startswith("/v1/") and environ["REQUEST_METHOD"] != "HEAD":  # its answers have no body
            self.answers += 1
            self.findings += of_response(environ["REQUEST_METHOD"], path, int(statuses[0][:3]), json.loads(body))
        return iter([body])
