"""Keeps on disk what a run has done, so that the same command goes on where it was stopped.

A run consists of blocks of histories. Each block has a seed of its own, made from the seed of the run and the number of
the block, and runs in a process of its own. So its result does not depend on when it runs, or beside what.
"""

import hashlib
import json
import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any, Final

from local import template, tokens
from tests.torture import coverage

FOLDER: Final = tokens.STATE / "torture"
BLOCK: Final = 50  # histories

_SOURCES: Final = ("layers", "functions", "local", "tests/torture", "tests/world.py", "template.yaml")

_SUFFIXES: Final = (".py", ".xz", ".txt", ".json")


def seed_of(seed: int, block: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}:{block}".encode()).digest()[:4])


def sizes(histories: int, block: int) -> list[int]:
    """The number of histories of each block. The last one may be smaller."""
    whole, rest = divmod(histories, block)
    return [block] * whole + [rest] * bool(rest)


def code() -> str:
    """Says which code runs, also if it is not committed: a hash of its files."""
    found = hashlib.sha256()
    for source in _SOURCES:
        path = template.ROOT / source
        files = [path] if path.is_file() else [one for one in path.rglob("*") if one.suffix in _SUFFIXES]
        for file in sorted(files):
            found.update(str(file.relative_to(template.ROOT)).encode() + file.read_bytes())
    return found.hexdigest()[:12]


def _commit() -> str:
    asked = ["git", "-C", str(template.ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


class Progress:
    """One file for each seed and code. Progress of other code is never added to, and never removed."""

    def __init__(self, seed: int, sizes: list[int], folder: Path) -> None:
        self.sizes = sizes
        self.code = code()
        self.path = folder / f"{seed}-{self.code}.json"
        self.others = sorted(set(folder.glob(f"{seed}-*.json")) - {self.path})
        self.content: dict[str, Any] = {"seed": seed, "commit": _commit(), "blocks": {}}
        if self.path.exists():
            self.content = json.loads(self.path.read_text())

    @property
    def left(self) -> list[int]:
        """The blocks that are not done."""
        done = self._done()
        return [number for number in range(len(self.sizes)) if number not in done]

    def _done(self) -> dict[int, dict[str, Any]]:
        """A file may also have blocks of a longer run, or smaller ones."""
        found = {number: self.content["blocks"].get(str(number)) for number in range(len(self.sizes))}
        return {number: one for number, one in found.items() if one and one["histories"] == self.sizes[number]}

    def add(self, block: int, result: dict[str, Any]) -> None:
        self.content["blocks"][str(block)] = result

    def save(self, rules: list[str]) -> None:
        """Replaces the file in one step, so that a run that is killed leaves a complete one."""
        self.content["never"] = coverage.never(self.sum("coverage"), rules)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps(self.content, indent=1, sort_keys=True))
        fresh.replace(self.path)

    def sum(self, part: str) -> Counter[str]:
        """`part`: figures or coverage."""
        total: Counter[str] = Counter()
        for result in self._done().values():
            total.update(result[part])
        return total
