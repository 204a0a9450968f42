"""What changed in an account between two looks at the table, a line for each change."""

from collections.abc import Iterator
from typing import Final

from local.account import Item, Items
from local.commands.account import colored, fields, label

_COLUMN: Final = 34  # where the text of a change begins


def changes(before: Items, after: Items) -> list[str]:
    """Lines with rich's markup: `+` a new item, `~` a changed field (old → new), `-` an item that is gone.

    Fields that people do not see, such as revisions, make no line.
    """
    lines: list[str] = []
    for kind, group in after.items():
        old = {item["SK"]: item for item in before[kind]}
        new = {item["SK"]: item for item in group}
        for key, item in new.items():
            lines += _changed(kind, old[key], item) if key in old else [_whole("[green]+[/]", kind, item)]
        lines += [_whole("[red]-[/]", kind, item) for key, item in old.items() if key not in new]
    return lines


def _whole(mark: str, kind: str, item: Item) -> str:
    status, *more = fields(kind, item).values()
    return _begin(mark, kind, item) + ", ".join([colored(status), *more])


def _changed(kind: str, old: Item, new: Item) -> Iterator[str]:
    before, after = fields(kind, old), fields(kind, new)
    begin = _begin("[yellow]~[/]", kind, new)
    for name in before | after:
        was, text = before.get(name, "none"), after.get(name, "none")
        if was != text:
            yield begin + f"[dim]{was}[/] → " + (colored(text) if name == "status" else text)
            begin = " " * _COLUMN


def _begin(mark: str, kind: str, item: Item) -> str:
    name, identifier = label(kind, item)
    return f"  {mark} {name:13}{identifier:17}"
