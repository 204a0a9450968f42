"""Serves the parts of the stack to this machine and to its containers, and to nobody else."""

import fcntl
import socket
import struct
import threading
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

from werkzeug.serving import WSGIRequestHandler, make_server

from local.guard import Guard

LOOPBACK: Final = "127.0.0.1"


class Quiet(WSGIRequestHandler):
    """Sends no Date header of its own. The stand-in sets it to Stripe's time, which may stand still or jump."""

    protocol_version = "HTTP/1.1"

    def send_response(self, code: int, message: str | None = None) -> None:
        self.send_response_only(code, message)

    def log_request(self, *_: object) -> None:
        """Logs nothing, because each part keeps its own log."""


@dataclass(frozen=True)
class Listener:
    """What it serves ends with `running`."""

    running: ExitStack

    def serve(self, app: Any, port: int, *, for_containers: bool = False, origins: Collection[str] = ()) -> str:
        """Serves on the loopback address, and on Docker's bridge if there is one and `for_containers` is set.

        It never serves on all interfaces. Returns the address. Raises `OSError` if the port is taken.
        """
        bridge = _bridge_address()
        guarded = Guard(app, bridge or LOOPBACK, origins)
        server = self._listen(guarded, LOOPBACK, port)
        if for_containers and bridge:
            self._listen(guarded, bridge, server)
        return f"http://{LOOPBACK}:{server}"

    def _listen(self, app: Any, host: str, port: int) -> int:
        try:
            server = make_server(host, port, app, threaded=True, request_handler=Quiet)
        except SystemExit as refused:  # werkzeug raises this when the port is taken
            raise OSError(f"port {port} is taken; choose others by API_PORT, STRIPE_PORT and AWS_PORT.") from refused
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        self.running.callback(server.server_close)
        self.running.callback(server.shutdown)
        return server.server_port


def _bridge_address(name: str = "docker0") -> str | None:
    """The address of Docker's bridge on Linux. 0x8915 is SIOCGIFADDR."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            answer = fcntl.ioctl(probe.fileno(), 0x8915, struct.pack("256s", name.encode()))
        except OSError:
            return None
    return socket.inet_ntoa(answer[20:24])
