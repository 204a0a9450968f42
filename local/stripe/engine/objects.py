"""What holds for every kind of object: made and changed by setting the fields that the parameters name."""

from collections.abc import Callable
from typing import Any

from local.stripe import document
from local.stripe.check import missing
from local.stripe.engine.store import Object, Store

# What answers a call of the API: the account, the parameters, the id in the path.
type Operation = Callable[[Store, Object, str], Object]


def make(store: Store, kind: str, form: Object, **values: Any) -> Object:
    thing = store.create(kind, **values)
    set_fields(kind, thing, form)
    store.emit(f"{kind}.created", thing)
    return thing


def change(store: Store, kind: str, thing: Object, form: Object) -> Object:
    """Sets the fields that the parameters name, and tells it."""
    set_fields(kind, thing, form)
    store.emit(f"{kind}.updated", thing)
    return thing


def set_fields(kind: str, thing: Object, form: Object) -> None:
    known = document.load()["components"]["schemas"][kind]["properties"]
    for name, value in form.items():
        if name == "metadata":
            merge(thing, {"metadata": value})
        elif name in known and name != "expand":
            nested = isinstance(value, dict) and isinstance(thing.get(name), dict)
            thing[name] = thing[name] | value if nested else None if value == "" else value


def merge(thing: Object, fields: Object) -> None:
    """Sets what is given; in metadata, an empty value takes the key away."""
    for name, value in fields.items():
        if name == "metadata":
            kept = thing["metadata"] | (value or {})
            thing["metadata"] = {key: text for key, text in kept.items() if text != ""} if value != "" else {}
        elif value is not None:
            thing[name] = value


def needed(form: Object, name: str) -> Any:
    """What the document leaves optional and Stripe does not."""
    if not form.get(name):
        raise missing(name)
    return form[name]


def on(kind: str, act: Callable[..., Object], *arguments: Any) -> Operation:
    """An operation that only acts on the object in the path."""
    return lambda store, _, id: act(store, store.get(kind, id), *arguments)
