"""Entities to items and back. The field `stripe_price_id` is the attribute `stripePriceId`; a field that is None or ""
has no attribute.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import StrEnum
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin

from billing.domain import entities

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

type Item = dict[str, Any]
# DynamoDB's typed attribute, as `{"S": "text"}`:
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html
type Value = dict[str, Any]
type RawItem = Mapping[str, Mapping[str, Any]]

_INTEGER: Final = re.compile(r"-?[0-9]+", re.ASCII)


class Foreign(dict[str, Any]):
    """A typed attribute of a type that no entity has (a set, bytes). It is written back as it is."""


@cache
def camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


# The attributes about how an item is stored, and not about billing.
BOOKKEEPING: Final = frozenset(map(camel, entities.BOOKKEEPING))
ADDRESSES: Final = frozenset(map(camel, entities.ADDRESSES))
# The attributes that no entity has as a field, and that each write makes anew.
OF_THE_TABLE: Final = frozenset({"PK", "SK", "eventId", "dueShard", "dueAt"})


def attributes(entity: object) -> Item:
    """The entity as plain attributes, without keys."""
    item: Item = {**getattr(entity, "unknown", {})}
    for field in fields(entity):  # type: ignore[arg-type]
        value = getattr(entity, field.name)
        if value is not None and value not in ("", ()) and field.name != "unknown":
            item[camel(field.name)] = attribute(value)
    return item


def attribute(value: Any) -> Any:
    """A field's value as plain JSON values."""
    if isinstance(value, tuple):
        return [attribute(one) for one in value]
    return attributes(value) if is_dataclass(value) else value


def dump(item: Mapping[str, Any]) -> dict[str, Value]:
    """Plain values as DynamoDB's typed attributes. An enum is written as its text. Raises `TypeError` for a value that
    is no text, integer, `Decimal`, bool, None, list or mapping.
    """
    return {name: _dumped(value) for name, value in item.items()}


def load(raw: RawItem) -> Item:
    return {name: _loaded(value) for name, value in raw.items()}


def entity[E: "DataclassInstance"](kind: type[E], item: Item) -> E:
    """The entity (or record, or a part of one) that the item holds."""
    names = _names(kind)
    given = {name: item[stored] for stored, name in names.items() if stored in item}
    conversions = _conversions(kind)
    made = {name: conversions[name](value) if name in conversions else value for name, value in given.items()}
    if issubclass(kind, entities.Entity):
        others = item.keys() - names.keys() - OF_THE_TABLE
        made |= {"schema": given.get("schema", 1), "unknown": {name: item[name] for name in others}}
    return kind(**made)


@cache
def _names(kind: type["DataclassInstance"]) -> dict[str, str]:
    """For each attribute of an item the field's name."""
    return {camel(field.name): field.name for field in fields(kind) if field.name != "unknown"}


@cache
def _conversions(kind: type["DataclassInstance"]) -> dict[str, Callable[[Any], Any]]:
    """For each field that DynamoDB returns as another type: the function that makes the field's own type of a value."""
    found: dict[str, Callable[[Any], Any]] = {}
    for field in fields(kind):
        for declared in get_args(field.type) or (field.type,):
            if isinstance(declared, type) and issubclass(declared, StrEnum):
                found[field.name] = declared
            elif isinstance(declared, type) and is_dataclass(declared):
                found[field.name] = partial(entity, declared)
        if get_origin(field.type) is tuple:
            part: type = get_args(field.type)[0]
            found[field.name] = partial(_parts, part) if is_dataclass(part) else tuple
    return found


def _parts[P: "DataclassInstance"](kind: type[P], values: list[Item]) -> tuple[P, ...]:
    return tuple(entity(kind, value) for value in values)


def _dumped(value: Any) -> Value:  # noqa: PLR0911 - one for each type
    if type(value) is str:  # nearly all are
        return {"S": value}
    match value:
        case str():
            return {"S": str(value)}
        case bool():
            return {"BOOL": value}
        case int() | Decimal():
            return {"N": str(value)}
        case None:
            return {"NULL": True}
        case Foreign():
            return dict(value)
        case list():
            return {"L": [_dumped(inner) for inner in value]}
        case Mapping():
            return {"M": dump(value)}
    raise TypeError(f"DynamoDB takes no {type(value).__name__}.")


def _loaded(value: Mapping[str, Any]) -> Any:
    [(kind, content)] = value.items()
    match kind:
        case "S" | "BOOL":
            return content
        case "N":
            return int(content) if _INTEGER.fullmatch(content) else Decimal(content)
        case "NULL":
            return None
        case "L":
            return [_loaded(inner) for inner in content]
        case "M":
            return load(content)
    return Foreign(value)
