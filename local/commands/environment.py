"""The settings of the stack that runs in this folder, for a command of another shell."""

import os
from typing import Final

from local.tokens import STATE

_FILE: Final = STATE / "stack.env"


def setting(name: str) -> str:
    """A setting of `stack.env`: from this shell if it has read that file, otherwise from the file.

    A shell that has not read it may have settings of another AWS. Raises `SystemExit` if no stack has written the file.
    """
    if "AWS_ENDPOINT_URL" in os.environ and name in os.environ:
        return os.environ[name]
    if not _FILE.exists():
        raise SystemExit(f"There is no {_FILE}: start the local stack with `make up`.")
    return stored()[name]


def stored() -> dict[str, str]:
    """All settings in `stack.env`. {} if no stack has written the file."""
    lines = _FILE.read_text().splitlines() if _FILE.exists() else []
    return dict(line.split("=", 1) for line in lines)
