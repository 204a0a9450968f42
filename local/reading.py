"""Reads what others have written."""

import json
from typing import Any


def json_object(text: str | bytes) -> dict[str, Any]:
    """The JSON object in `text`; {} if there is none."""
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}
