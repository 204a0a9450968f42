"""The settings of the stack that runs now, for a command of another shell."""

from local import running
from local.tokens import STATE


def settings() -> dict[str, str]:
    """What `stack.env` says. Raises `SystemExit` with a sentence if no stack runs."""
    try:
        return running.read(STATE)
    except running.NotRunning as problem:
        raise SystemExit(str(problem)) from None
