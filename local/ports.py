"""Finds free ports that stay free until their server has started."""

import random
import socket
from contextlib import suppress
from typing import Final

# The range is below the ports that systems give to outgoing connections and to servers that ask for any port (Linux
# from 32768 on, macOS and Windows from 49152 on). So no other program takes a port by chance between the check and
# the start of the server.
_FIRST: Final = 20_000
_LAST: Final = 32_000
_chance: Final = random.SystemRandom()  # two processes of one test run must not choose the same ports


def free_port() -> int:
    """A port that no other server on the loopback address uses. Raises `OSError` if 50 attempts find no free port."""
    for _ in range(50):
        port = _chance.randint(_FIRST, _LAST)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("No port between 20000 and 32000 is free.")
