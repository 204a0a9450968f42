"""Creates and changes objects of every kind: sets the fields that the parameters name."""

from collections.abc import Callable
from typing import Any

from local.stripe import document
from local.stripe.check import missing
from local.stripe.engine.store import Object, Store

# A function that answers an API call. It takes the account's objects, the request's parameters and the id in the path.
type Operation = Callable[[Store, Object, str], Object]


def make(store: Store, kind: str, form: Object, **values: Any) -> Object:
    obj = store.create(kind, **values)
    set_fields(kind, obj, form)
    store.emit(f"{kind}.created", obj)
    return obj


def change(store: Store, kind: str, obj: Object, form: Object) -> Object:
    """Sets the fields that the parameters name, and emits an `updated` event."""
    set_fields(kind, obj, form)
    store.emit(f"{kind}.updated", obj)
    return obj


def set_fields(kind: str, obj: Object, form: Object) -> None:
    known = document.load()["components"]["schemas"][kind]["properties"]
    for name, value in form.items():
        if name == "metadata":
            merge(obj, {"metadata": value})
        elif name in known and name != "expand":
            nested = isinstance(value, dict) and isinstance(obj.get(name), dict)
            obj[name] = obj[name] | value if nested else None if value == "" else value


def merge(obj: Object, fields: Object) -> None:
    """Sets the given fields. In metadata, an empty value removes the key."""
    for name, value in fields.items():
        if name == "metadata":
            kept = obj["metadata"] | (value or {})
            obj["metadata"] = {key: text for key, text in kept.items() if text != ""} if value != "" else {}
        elif value is not None:
            obj[name] = value


def needed(form: Object, name: str) -> Any:
    """A parameter that Stripe requires, although it is optional in the document."""
    if not form.get(name):
        raise missing(name)
    return form[name]


def on(kind: str, act: Callable[..., Object], *arguments: Any) -> Operation:
    """An operation that only needs the object in the path."""
    return lambda store, _, id: act(store, store.get(kind, id), *arguments)
