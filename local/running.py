"""Says whether a stack runs in a state folder, and how other programs reach it: the file `stack.env`.

The stack holds a lock on the file as long as it runs, and removes the file when it ends. A stack that was killed leaves
its file behind, but the system has released its lock. So nobody takes the addresses of that stack for those of another
program that got its ports.
"""

import fcntl
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

FILE: Final = "stack.env"


class NotRunning(Exception):
    """No stack runs in the folder. The message is a sentence for people."""


class SettingsFile:
    """The settings of a running stack in `folder`. If several stacks share a folder, the newest has the file."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._file: IO[str] | None = None
        with suppress(NotRunning):  # until there are new settings, nobody must read those of a stack that was killed
            read(folder)
            return
        self._path.unlink(missing_ok=True)

    def write(self, settings: Mapping[str, str]) -> None:
        """Writes lines of `NAME=value`, for programs and shells of this user only. It replaces an earlier file."""
        new = self._path.with_name(FILE + ".new")
        new.unlink(missing_ok=True)
        file = os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w")
        fcntl.flock(file, fcntl.LOCK_EX)  # before anybody can find it
        file.write("".join(f"{name}={value}\n" for name, value in settings.items()))
        file.flush()
        new.replace(self._path)
        self._release()
        self._file = file

    def remove(self) -> None:
        """Removes the file, unless it is that of a newer stack."""
        with suppress(FileNotFoundError):
            if self._file and os.path.samestat(self._path.stat(), os.fstat(self._file.fileno())):
                self._path.unlink()
        self._release()

    def _release(self) -> None:
        if self._file:
            self._file.close()
            self._file = None


def read(folder: Path) -> dict[str, str]:
    """The settings of the stack that runs in `folder`. Raises `NotRunning`."""
    path = folder / FILE
    try:
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:  # a stack holds it
                return dict(line.split("=", 1) for line in file.read().splitlines())
    except FileNotFoundError:
        raise NotRunning("No local stack is running; `make up` starts one.") from None
    raise NotRunning(
        f"No local stack is running (the one of {os.path.relpath(path)} was killed); `make up` starts one."
    )
