"""Decodes Stripe's form encoding, `items[0][price]=p&expand[]=x`, to nested values. https://docs.stripe.com/api"""

import re
from collections.abc import Iterable
from typing import Any

_PART = re.compile(r"\[([^\]]*)\]")


def decode(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Every value stays the text of the form. Maps with the keys 0, 1, … become lists."""
    root: dict[str, Any] = {}
    for name, value in pairs:
        head, *path = [name.split("[", 1)[0], *_PART.findall(name)]
        _put(root, [head, *path], value)
    return {name: _lists(value) for name, value in root.items()}


def _put(node: dict[str, Any], path: list[str], value: str) -> None:
    head, *rest = path
    key = head or str(len(node))
    if rest:
        _put(node.setdefault(key, {}), rest, value)
    else:
        node[key] = value


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(key.isdigit() for key in value):
        return [_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _lists(inner) for key, inner in value.items()}
