"""What the rules of both versions of announcements are made of."""

from collections.abc import Callable
from typing import Any

from billing.domain.entities import Entity

type Happened = Callable[[Any, Any], bool]
# `Happened` takes the entity before the write (None: it is new) and after it. A rule: type, whether it happened, and
# the fields that it shows.
type Rule = tuple[str, Happened, tuple[str, ...]]


def is_told(of: Any) -> bool:
    return of is not None and of != ()


def value(entity: Entity | None, name: str) -> Any:
    """What is announced of a field. Of the items it is what is sold: their periods move on with each renewal."""
    found = getattr(entity, name, None)
    if name != "items":
        return found
    return tuple((item.stripe_price_id, item.quantity, item.metered) for item in found or ())


def became(name: str, *values: Any) -> Happened:
    """Whether the field has one of these values now, and had none of them before."""
    return lambda before, after: getattr(after, name) in values and getattr(before, name, None) not in values


def moved(name: str, *values: Any) -> Happened:
    """Whether the field has one of these values now, and had another value before, perhaps also one of these."""
    return lambda before, after: getattr(after, name) in values and getattr(before, name, None) != getattr(after, name)


def left(name: str, *values: Any, to: tuple[Any, ...]) -> Happened:
    """Whether the field had one of these values before, and has one of the others now."""
    return lambda before, after: before is not None and getattr(before, name) in values and getattr(after, name) in to


def grew(name: str) -> Happened:
    return lambda before, after: getattr(after, name) > getattr(before, name, 0)


def changed(*names: str) -> Happened:
    return lambda before, after: before is not None and any(value(after, n) != value(before, n) for n in names)


def is_new(before: Entity | None, _: Entity) -> bool:
    return before is None
