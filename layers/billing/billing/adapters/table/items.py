"""Entities to items and back. The field `stripe_price_id` is the attribute `stripePriceId`; a field that is None or ""
has no attribute.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import StrEnum
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final, get_args

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from billing.domain import entities

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

type Item = dict[str, Any]
type RawItem = Mapping[str, "AttributeValueTypeDef"]

_TO: Final = TypeSerializer()
_FROM: Final = TypeDeserializer()


def camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


# The attributes about how an item is stored, and not about billing.
BOOKKEEPING: Final = frozenset(map(camel, entities.BOOKKEEPING))
ADDRESSES: Final = frozenset(map(camel, entities.ADDRESSES))


def attributes(entity: object) -> Item:
    """The entity as plain attributes, without keys."""
    item: Item = {}
    for field in fields(entity):  # type: ignore[arg-type]
        value = getattr(entity, field.name)
        if value is not None and value != "":
            item[camel(field.name)] = attributes(value) if is_dataclass(value) else value
    return item


def dump(item: Mapping[str, Any]) -> dict[str, "AttributeValueTypeDef"]:
    """Plain values as DynamoDB's typed attributes. An enum is written as its text."""
    return {name: _TO.serialize(_plain(value)) for name, value in item.items()}


def load(raw: RawItem) -> Item:
    return {name: _natural(_FROM.deserialize(value)) for name, value in raw.items()}


def entity[E: "DataclassInstance"](kind: type[E], item: Item) -> E:
    """The entity (or record) that the item holds. Attributes that `kind` does not have are left out."""
    given = {field.name: item[camel(field.name)] for field in fields(kind) if camel(field.name) in item}
    conversions = _conversions(kind)
    return kind(**{name: conversions[name](value) if name in conversions else value for name, value in given.items()})


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
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return str(value) if isinstance(value, StrEnum) else value


def _natural(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _natural(inner) for name, inner in value.items()}
    return int(value) if isinstance(value, Decimal) else value
