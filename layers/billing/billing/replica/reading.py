"""Reads single fields of Stripe's JSON, and refuses what has another type than Stripe's document says.

Each function raises `Unreadable` with the field's name. A field that is absent and one that is null are the same.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from billing import clock
from billing.domain.order import Payload
from billing.errors import Unreadable

_MAX_WHOLE: Final = 10**15  # more than any amount or time of Stripe's, and exact in every JSON parser


def unreadable(name: str) -> Unreadable:
    return Unreadable(f"The field {name} of Stripe's object is missing or has an unknown type or value.")


def maybe_text(source: Payload, name: str) -> str | None:
    value = source.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not _storable(value):
        raise unreadable(name)
    return value


def text(source: Payload, name: str) -> str:
    value = maybe_text(source, name)
    if not value:
        raise unreadable(name)
    return value


def maybe_whole(source: Payload, name: str) -> int | None:
    value = source.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _MAX_WHOLE:
        raise unreadable(name)
    return value


def whole(source: Payload, name: str) -> int:
    value = maybe_whole(source, name)
    if value is None:
        raise unreadable(name)
    return value


def flag(source: Payload, name: str) -> bool:
    value = source.get(name)
    if value is not None and not isinstance(value, bool):
        raise unreadable(name)
    return bool(value)


def moment(source: Payload, name: str) -> str | None:
    """Unix seconds as ISO 8601."""
    seconds = maybe_whole(source, name)
    try:
        return None if seconds is None else clock.iso(seconds)
    except (ValueError, OverflowError, OSError) as error:
        raise unreadable(name) from error


def part(source: Payload, name: str) -> Payload:
    """The object inside the object. Empty if there is none."""
    value = source.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise unreadable(name)
    return value


def entries(source: Payload, name: str) -> Sequence[Payload]:
    """The objects of a list, which is an array or one of Stripe's `list` objects. Empty if there is none."""
    value: Any = source.get(name)
    found = value.get("data") if isinstance(value, Mapping) else value
    if found is None:
        return ()
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        raise unreadable(name)
    return found


def id_in(source: Payload, name: str) -> str | None:
    """The id that a field holds. If the field holds the expanded object, the id of that object."""
    value = source.get(name)
    if not isinstance(value, Mapping):
        return maybe_text(source, name)
    if not isinstance(value.get("id"), str) or not _storable(value["id"]):
        raise unreadable(name)
    return maybe_text(value, "id")


def _storable(value: str) -> bool:
    """JSON can hold half of a surrogate pair, which is no UTF-8 and so no text of DynamoDB's."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
