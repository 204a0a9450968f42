"""What one invocation wrote into its function's log.

All processes of a function write into one file, which may have many megabytes. So the runtime notes where the file
ended before and after an invocation, and only what is between is read.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from local.reading import json_object

_MOST: Final = 1024 * 1024  # bytes that are read: the last ones


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@dataclass(frozen=True)
class Span:
    """A part of a log, in bytes. Invocations that ran at the same time may have written into it too."""

    path: Path
    begin: int
    end: int

    def lines(self, request_id: str) -> list[dict[str, Any]]:
        """The lines of that request, oldest first. What is no line of the logger, such as a metric, has no request."""
        read = [json_object(line) for line in self._read().splitlines() if request_id.encode() in line]
        return [line for line in read if line.get("request_id") == request_id]

    def loose(self) -> str:
        """What is no JSON object, such as the last words of a process that died: nobody else tells why."""
        lines = [line for line in self._read().splitlines() if not json_object(line)]
        return b"\n".join(lines).decode("utf-8", "replace")

    def _read(self) -> bytes:
        try:
            with self.path.open("rb") as file:
                file.seek(max(self.begin, self.end - _MOST))
                return file.read(self.end - file.tell())
        except FileNotFoundError:  # somebody removed it
            return b""
