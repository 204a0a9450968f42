"""Ports that are free, and stay so until their server has started."""

import random
import socket
from contextlib import suppress
from typing import Final

# Below what systems give to outgoing connections and to servers that ask for any port (Linux from 32768 on, macOS and
# Windows from 49152 on): nothing takes one by chance between the look and the start.
_FIRST: Final = 20_000
_LAST: Final = 32_000
_chance: Final = random.SystemRandom()  # two processes of one test run must not choose alike


def free_port() -> int:
    """A port that no other server on the loopback address has. Raises `OSError` when none of many is free."""
    for _ in range(50):
        port = _chance.randint(_FIRST, _LAST)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("No port between 20000 and 32000 is free.")
