"""Entities <-> items: a field `stripe_price_id` is the attribute `stripePriceId`; None is an absent attribute."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from billing.domain.entities import (
    CheckoutPayment,
    Entity,
    Invoice,
    InvoiceStatus,
    OpenCheckout,
    Payment,
    PaymentStatus,
    Subscription,
    Tenant,
    TenantStatus,
)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

type Item = dict[str, Any]
type RawItem = Mapping[str, "AttributeValueTypeDef"]

_TO: Final = TypeSerializer()
_FROM: Final = TypeDeserializer()

# Fields that are not what DynamoDB gives back.
_ENUMS: Final[dict[type[Entity], dict[str, type[StrEnum]]]] = {
    Tenant: {"status": TenantStatus},
    Invoice: {"status": InvoiceStatus},
    Payment: {"status": PaymentStatus},
    Subscription: {"checkout_payment": CheckoutPayment},
}


def camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def attributes(entity: object) -> Item:
    """The entity as plain attributes, without keys; also what the API answers are made of."""
    item: Item = {}
    for field in fields(entity):  # type: ignore[arg-type]
        value = getattr(entity, field.name)
        if value is not None and value != "":
            item[camel(field.name)] = attributes(value) if is_dataclass(value) else value
    return item


def dump(item: Mapping[str, Any]) -> dict[str, "AttributeValueTypeDef"]:
    """Plain values -> DynamoDB's typed attributes (an enum is written as its text)."""
    return {name: _TO.serialize(_plain(value)) for name, value in item.items()}


def load(raw: RawItem) -> Item:
    return {name: _natural(_FROM.deserialize(value)) for name, value in raw.items()}


def values_of(kind: type["DataclassInstance"], item: Item) -> dict[str, Any]:
    """The item's attributes under the names of the fields of `kind`."""
    return {f.name: item[camel(f.name)] for f in fields(kind) if camel(f.name) in item}


def entity[E: Entity](kind: type[E], item: Item) -> E:
    values = values_of(kind, item)
    for name, enum in _ENUMS.get(kind, {}).items():
        if name in values:
            values[name] = enum(values[name])
    if kind is Tenant and "checkout" in values:
        values["checkout"] = OpenCheckout(**values_of(OpenCheckout, values["checkout"]))
    return kind(**values)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return str(value) if isinstance(value, StrEnum) else value


def _natural(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _natural(inner) for name, inner in value.items()}
    return int(value) if isinstance(value, Decimal) else value
