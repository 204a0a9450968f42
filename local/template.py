"""What `template.yaml` says, with its references resolved to the local stack's values."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parent.parent
TABLE_NAME: Final = "billing-local"
TABLE_ARN: Final = f"arn:aws:dynamodb:eu-west-1:123456789012:table/{TABLE_NAME}"
BUS_NAME: Final = "billing-local"
_RESOURCES: Final = {"BillingTable": TABLE_NAME, "BillingTable.Arn": TABLE_ARN, "BillingBus": BUS_NAME}


@dataclass(frozen=True)
class Route:
    """`key` is API Gateway's: `POST /api/…/{id}`. `open`: no token needed."""

    method: str
    path: str
    open: bool

    @property
    def key(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Function:
    """`timeout` in seconds, `memory` in MB."""

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
    origins: tuple[str, ...]
    methods: tuple[str, ...]
    headers: tuple[str, ...]


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: `!Ref x` is {"Ref": "x"}, `!Sub x` is {"Fn::Sub": "x"}."""


def _intrinsic(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _intrinsic)


@cache
def raw() -> dict[str, Any]:
    """The template as it stands, intrinsics in their long form. It is read once a process: nobody may change it."""
    loaded: dict[str, Any] = yaml.load((ROOT / "template.yaml").read_text(), _Loader)  # noqa: S506 - a SafeLoader
    return loaded


def functions(parameters: dict[str, str], overrides: dict[str, str]) -> list[Function]:
    """Every function, its environment resolved with the template's parameters.

    `overrides` replace the values of variables that a function has; they add none.
    """
    template = raw()
    defaults = template["Globals"]["Function"]
    references = _references(template, parameters)
    resources = template["Resources"].items()
    return [
        _function(name, resource["Properties"], defaults, references, overrides)
        for name, resource in resources
        if resource["Type"] == "AWS::Serverless::Function"
    ]


def cors(parameters: dict[str, str]) -> Cors:
    """The API's CorsConfiguration."""
    configured = raw()["Resources"]["BillingApi"]["Properties"]["CorsConfiguration"]
    origins = parameters[configured["AllowOrigins"]["Ref"]].split(",")
    return Cors(tuple(map(str.strip, origins)), tuple(configured["AllowMethods"]), tuple(configured["AllowHeaders"]))


def table() -> dict[str, Any]:
    """The table's properties, as CreateTable takes them."""
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
    """Ref, GetAtt and Join as far as an environment needs them; a list parameter is its comma-separated text."""
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
