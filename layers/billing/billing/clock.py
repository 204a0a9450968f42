"""UTC times as the entities hold them: ISO 8601 in whole seconds. They have a fixed width, so they sort as text."""

import time
from datetime import UTC, datetime
from functools import lru_cache


def iso(seconds: float) -> str:
    """Unix seconds as `2026-11-23T12:00:00Z`."""
    return _iso(int(seconds))


@lru_cache(maxsize=1024)
def _iso(seconds: int) -> str:
    """The objects of one payload have few different times."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds() -> int:
    """Now, in Unix seconds."""
    return int(time.time())


def now() -> str:
    return iso(seconds())
