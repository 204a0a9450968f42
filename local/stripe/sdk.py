"""What the pinned stripe-python declares of Stripe's API: the parameters of each operation and the fields of each kind.

The SDK is made from a newer OpenAPI document than the one that the stand-in has. So its declarations say what the
stand-in's document lacks. They are read as text, because most of their names are imported for type checkers only.
"""

import ast
import json
import re
from functools import cache
from pathlib import Path
from typing import Any, Final

import stripe

from local.stripe import document, patch

type Schema = dict[str, Any]
type Scope = tuple[dict[str, ast.ClassDef], ...]

_ROOT: Final = Path(stripe.__file__).parent
_PLAIN: Final[dict[str, Schema]] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "Decimal": {"type": "string", "format": "decimal"},
    "Any": {},
}
_VARIABLE: Final = re.compile(r"\{\w+\}")


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def _resources() -> dict[str, ast.ClassDef]:
    """Each kind of objects, and its class. (Those of version 2 of the API are other ones.)"""
    paths = sorted(path for path in _ROOT.rglob("_*.py") if not {"v2", "params"} & {*path.parts})
    classes = [node for path in paths for node in _tree(path).body if isinstance(node, ast.ClassDef)]
    return {
        str(ast.literal_eval(field.value)): node
        for node in classes
        for field in node.body
        if isinstance(field, ast.AnnAssign) and ast.unparse(field.target) == "OBJECT_NAME" and field.value
    }


def fields(kind: str) -> Schema | None:
    """The fields of this kind of objects. None if the SDK has no such kind."""
    found = _resources().get(kind)
    if found is None:
        return None
    declared = _class(found, ())
    declared["properties"].pop("deleted", None)  # of the answer to a deletion, which is another schema in the document
    return declared


@cache
def _operations() -> dict[tuple[str, str], tuple[str, str]]:
    """(method, path with `{}` for each variable) -> the module and the name of the class of its parameters."""
    found = {}
    for path in _ROOT.rglob("_*_service.py"):
        nodes = [*ast.walk(_tree(path))]
        imports = [node for node in nodes if isinstance(node, ast.ImportFrom)]
        modules = {one.name: node.module or "" for node in imports for one in node.names}
        for node in nodes:
            if isinstance(node, ast.FunctionDef):
                names = re.findall(r"params: .*?(\w+Params)", ast.unparse(node.args))
                name = names[0] if names else ""
                calls = [one for one in ast.walk(node) if isinstance(one, ast.Call)]
                for call in (
                    one for one in calls if isinstance(one.func, ast.Attribute) and one.func.attr == "_request"
                ):
                    method, address = (_text(argument) for argument in call.args[:2])
                    found[method, _VARIABLE.sub("{}", address)] = modules.get(name, ""), name
    return found


def _text(node: ast.expr) -> str:
    """A literal text, or the text of a `.format` call."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        node = node.func.value
    return str(ast.literal_eval(node))


def parameters(method: str, path: str) -> Schema | None:
    """The parameters of an operation. None if the SDK has no such operation."""
    found = _operations().get((method.lower(), _VARIABLE.sub("{}", path)))
    if found is None:
        return None
    module, name = found
    if not name:
        return {"type": "object", "properties": {}}
    body = _tree(_ROOT.parent.joinpath(*module.split(".")).with_suffix(".py")).body
    classes = {node.name: node for node in body if isinstance(node, ast.ClassDef)}
    return _class(classes[name], (dict(classes),))


def _class(node: ast.ClassDef, scope: Scope) -> Schema:
    scope = (*scope, {inner.name: inner for inner in node.body if isinstance(inner, ast.ClassDef)})
    properties, required = {}, []
    for field in node.body:
        if isinstance(field, ast.AnnAssign) and not ast.unparse(field.annotation).startswith("ClassVar"):
            name = ast.unparse(field.target)
            properties[name] = _type(field.annotation, scope)
            if not ast.unparse(field.annotation).startswith(("NotRequired", "Optional")):
                required.append(name)
    made: Schema = {"type": "object", "properties": properties}
    return made | ({"required": sorted(required)} if required else {})


def _type(node: ast.expr, scope: Scope) -> Schema:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        node = ast.parse(node.value, mode="eval").body
    if isinstance(node, ast.BinOp):
        return _any([node.left, node.right], scope)
    if isinstance(node, ast.Subscript):
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return _generic(ast.unparse(node.value), inner, scope)
    name = ast.unparse(node)
    found = next((names[name] for names in reversed(scope) if name in names), None)
    return _class(found, scope) if found else _PLAIN.get(name, {})


def _generic(name: str, inner: list[ast.expr], scope: Scope) -> Schema:
    """`List[str]` and the like. What an object of another kind has stays open."""
    if name == "Literal":
        return {"type": "string", "enum": [ast.literal_eval(one) for one in inner]}
    if name == "Union":
        return _any(inner, scope)
    of = _type(inner[-1], scope)
    known: dict[str, Schema] = {
        "NotRequired": of,
        "Optional": {**of, "nullable": True},
        "List": {"type": "array", "items": of},
        "Dict": {"type": "object", "additionalProperties": of},
        "UntypedStripeObject": {"type": "object", "additionalProperties": {}},
        "ExpandableField": {"anyOf": [{"type": "string"}, of]},
        "ListObject": {},
    }
    return known[name]


def _any(nodes: list[ast.expr], scope: Scope) -> Schema:
    """The SDK adds `str` to a list of values, so that a later value is no error. Stripe itself refuses other values."""
    several = [one for one in (_type(node, scope) for node in nodes) if one.get("additionalProperties") != {}]
    if any("enum" in one for one in several):
        several = [one for one in several if one != _PLAIN["str"]]
    return several[0] if len(several) == 1 else {"anyOf": several}


# -- the difference to a document


def difference(of: Schema) -> Schema:
    """What the document lacks, and what it has too much, in the form that `local/stripe/patch.py` describes."""
    made: Schema = {"version": stripe.api_version, "added": {}, "values": {}, "removed": {}}
    for path, operations in of["paths"].items():
        for method in sorted({"get", "post"} & operations.keys()):
            owner = f"{method.upper()} {path}"
            declared, known = parameters(method, path), patch.parameters(of, owner)
            if declared is not None and "properties" in known:
                _compare(of, owner, declared, known, made)
                gone = known["properties"].keys() - declared["properties"].keys()
                made["removed"] |= {owner: sorted(gone)} if gone else {}
    for kind, schema in of["components"]["schemas"].items():
        declared = fields(kind)
        if declared is not None:
            _compare(of, kind, declared, schema, made)
    return {name: dict(sorted(part.items())) if isinstance(part, dict) else part for name, part in made.items()}


def _compare(of: Schema, owner: str, declared: Schema, known: Schema, made: Schema) -> None:
    there, here = _places(of, known), _places(of, declared)
    missing = {_whole(of, place, there) for place in here.keys() - there.keys()}
    added = {place: here[place] for place in sorted(missing) if not any(_within(place, one) for one in missing)}
    values = {
        place: sorted(new)
        for place in sorted(here.keys() & there.keys())
        if (new := _values(of, here[place]) - (old := _values(of, there[place]))) and old
    }
    if added:
        made["added"][owner] = added
    if values:
        made["values"][owner] = values


def _whole(of: Schema, place: str, there: dict[str, Schema]) -> str:
    """The place, or the one around it if there is no object yet that could take it."""
    around = place.rpartition(".")[0]
    if around not in there or any(one.get("type") == "object" for one in patch.alternatives(of, there[around])):
        return place
    return around


def _within(place: str, outer: str) -> bool:
    return place != outer and place.startswith((f"{outer}.", f"{outer}[]"))


def _values(of: Schema, schema: Schema) -> set[str]:
    """The values that are allowed. The empty text takes a value away, and is none."""
    met = patch.alternatives(of, schema)
    return {value for one in met for value in one.get("enum", ())} - {""}


def _places(of: Schema, schema: Schema) -> dict[str, Schema]:
    """Each place in the schema, and what is there. It ends where an object of another kind begins."""
    found: dict[str, Schema] = {}

    def walk(node: Schema, at: str, above: tuple[int, ...]) -> None:
        for one in patch.alternatives(of, node):
            if id(one) in above or (above and "enum" in one.get("properties", {}).get("object", {})):
                continue
            inside = (*above, id(one))
            if one.get("type") == "array":
                found.setdefault(f"{at}[]", one["items"])
                walk(one["items"], f"{at}[]", inside)
            for name, inner in one.get("properties", {}).items():
                place = f"{at}.{name}" if at else name
                found.setdefault(place, inner)
                walk(inner, place, inside)

    walk(schema, "", ())
    return found


def main() -> None:
    patch.PATH.write_text(json.dumps(difference(document.published()), indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
