"""Refuses what the web pages of other sites make a browser on this machine send.

A page may send any request to a port of this machine, and often read the answer:
- Its script sends a request, or it has a form. The browser then names the page's origin in the header `Origin`.
- Its own name resolves to 127.0.0.1 (DNS rebinding). The browser then takes the server for the page's own, but the
  header `Host` has the page's name.

Other programs send no `Origin`, and an address of this machine as `Host`.
"""

import re
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Final

from werkzeug.wrappers import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# The names of this machine: for its browsers, and for containers.
NAMES: Final = frozenset({"127.0.0.1", "localhost", "host.docker.internal"})


class Guard:
    """A WSGI application in front of another one.

    `name` is a further name or address of this machine. `origins` are the origins of other sites that may call.
    """

    def __init__(self, application: "WSGIApplication", name: str = "", origins: Collection[str] = ()) -> None:
        self._application = application
        self._names = NAMES | {name}
        self._origins = frozenset(origins)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        refusal = self._refusal(environ.get("HTTP_HOST", ""), environ.get("HTTP_ORIGIN"))
        if refusal:
            response = Response(refusal + "\n", 403, {"X-Content-Type-Options": "nosniff"}, content_type="text/plain")
            return response(environ, start_response)
        return self._application(environ, start_response)

    def _refusal(self, host: str, origin: str | None) -> str:
        if _name(host) not in self._names:
            return "The local stack answers only to the addresses of this machine."
        if origin is not None and origin != f"http://{host}" and origin not in self._origins:
            return "The local stack does not answer to the pages of other sites."
        return ""


# Nothing but a name or an address, alone or with a port. A parser of addresses would also find `localhost` in
# `evil.example.net@localhost` and in `localhost/evil.example.net`.
_HOST: Final = re.compile(r"([A-Za-z0-9.-]+)(:[0-9]{1,5})?")


def _name(host: str) -> str | None:
    found = _HOST.fullmatch(host)
    return found[1].lower() if found else None
