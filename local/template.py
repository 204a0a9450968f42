"""Reads `template.yaml` and resolves its references to the values of the local stack."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parent.parent
TABLE_NAME: Final = "billing-local"
TABLE_ARN: Final = f"arn:aws:dynamodb:eu-west-1:123456789012:table/{TABLE_NAME}"
BUS_NAME: Final = "billing-local"
STACK_NAME: Final = "billing-local"
_RESOURCES: Final = {
    "BillingTable": TABLE_NAME,
    "BillingTable.Arn": TABLE_ARN,
    "BillingBus": BUS_NAME,
    "AWS::StackName": STACK_NAME,
}


@dataclass(frozen=True)
class Route:
    """`key` is the route key of API Gateway: `POST /api/…/{id}`. `open`: the route needs no token."""

    method: str
    path: str
    open: bool

    @property
    def key(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Function:
    """`timeout` is in seconds, `memory` in MB."""

    name: str
    code: Path
    handler: str
    timeout: int
    memory: int
    environment: dict[str, str]
    routes: tuple[Route, ...]
    actions: frozenset[str]


@dataclass(frozen=True)
class Cors:
    """`max_age`: for so many seconds a browser need not ask again."""

    origins: tuple[str, ...]
    methods: tuple[str, ...]
    headers: tuple[str, ...]
    max_age: int


class _Loader(yaml.SafeLoader):
    """Loads YAML with CloudFormation's short forms: `!Ref x` is {"Ref": "x"}, `!Sub x` is {"Fn::Sub": "x"}."""


def _intrinsic(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        scalar = loader.construct_scalar(node)
        return {name: scalar.split(".", 1) if suffix == "GetAtt" else scalar}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _intrinsic)


@cache
def raw() -> dict[str, Any]:
    """The template with its intrinsic functions in the long form. Do not change it: a process reads it only once."""
    loaded: dict[str, Any] = yaml.load((ROOT / "template.yaml").read_text(), _Loader)  # noqa: S506 - it is a SafeLoader
    return loaded


def functions(parameters: dict[str, str], overrides: dict[str, str]) -> list[Function]:
    """Every function. The template's parameters resolve its environment.

    `overrides` replace the values of variables that a function has. They add no variables.
    """
    template = raw()
    defaults = template["Globals"]["Function"]
    references = _references(template, parameters)
    resources = template["Resources"].items()
    of_roles = [one["Properties"] for _, one in resources if one["Type"] == "AWS::IAM::RolePolicy"]
    return [
        _function(
            name, _with_policies_of_its_role(name, resource["Properties"], of_roles), defaults, references, overrides
        )
        for name, resource in resources
        if resource["Type"] == "AWS::Serverless::Function"
    ]


def _with_policies_of_its_role(name: str, own: dict[str, Any], of_roles: list[dict[str, Any]]) -> dict[str, Any]:
    """SAM calls the role of a function so."""
    more = [policy["PolicyDocument"] for policy in of_roles if policy["RoleName"] == {"Ref": f"{name}Role"}]
    return {**own, "Policies": [*own.get("Policies", []), *more]}


def cors(parameters: dict[str, str]) -> Cors:
    """The API's CorsConfiguration."""
    configured = raw()["Resources"]["BillingApi"]["Properties"]["CorsConfiguration"]
    origins = map(str.strip, parameters[configured["AllowOrigins"]["Ref"]].split(","))
    methods, headers = configured["AllowMethods"], configured["AllowHeaders"]
    return Cors(tuple(origins), tuple(methods), tuple(headers), configured["MaxAge"])


def table() -> dict[str, Any]:
    """The properties of the table in the form that CreateTable takes."""
    properties = raw()["Resources"]["BillingTable"]["Properties"]
    taken = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
    stream = {"StreamEnabled": True, **properties["StreamSpecification"]}
    return {"TableName": TABLE_NAME, "StreamSpecification": stream} | {name: properties[name] for name in taken}


def _references(template: dict[str, Any], parameters: dict[str, str]) -> dict[str, str]:
    defaults = {name: str(p["Default"]) for name, p in template["Parameters"].items() if "Default" in p}
    functions = {name: name for name, r in template["Resources"].items() if r["Type"] == "AWS::Serverless::Function"}
    return {**defaults, **parameters, **_RESOURCES, **functions}


def _function(
    name: str, own: dict[str, Any], defaults: dict[str, Any], references: dict[str, str], overrides: dict[str, str]
) -> Function:
    variables = {
        **defaults["Environment"]["Variables"],
        **own.get("Environment", {}).get("Variables", {}),
    }
    statements = [s for policy in own.get("Policies", []) for s in policy["Statement"]]
    actions = [
        action for s in statements for action in ([s["Action"]] if isinstance(s["Action"], str) else s["Action"])
    ]
    return Function(
        name=name,
        code=ROOT / own["CodeUri"],
        handler=own.get("Handler", defaults["Handler"]),
        timeout=own.get("Timeout", defaults["Timeout"]),
        memory=own.get("MemorySize", defaults["MemorySize"]),
        environment={key: overrides.get(key) or resolve(value, references) for key, value in variables.items()},
        routes=tuple(
            _route(event["Properties"]) for event in own.get("Events", {}).values() if event["Type"] == "HttpApi"
        ),
        actions=frozenset(actions),
    )


def _route(properties: dict[str, Any]) -> Route:
    return Route(
        properties["Method"].upper(), properties["Path"], open=properties.get("Auth", {}).get("Authorizer") == "NONE"
    )


def resolve(value: Any, references: dict[str, str]) -> str:
    """Resolves Ref, GetAtt and Join as far as an environment needs them. A list parameter is comma-separated text."""
    match value:
        case {"Ref": name}:
            return references[name]
        case {"Fn::GetAtt": name}:
            return references[name if isinstance(name, str) else ".".join(name)]
        case {"Fn::Join": [separator, {"Ref": name}]}:
            return str(separator).join(part.strip() for part in references[name].split(","))
        case str() | int():
            return str(value)
        case _:
            raise ValueError(f"not resolved locally: {value}")
