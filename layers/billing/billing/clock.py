"""UTC times as the entities hold them: ISO 8601 in whole seconds. They have a fixed width, so they sort as text."""

import time
from datetime import UTC, datetime


def iso(seconds: float) -> str:
    """Unix seconds as `2026-11-23T12:00:00Z`."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds() -> int:
    """Now, in Unix seconds."""
    return int(time.time())


def now() -> str:
    return iso(seconds())
