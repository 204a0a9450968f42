"""The web pages of other sites call the ports of the local stack.

Tried: headers `Host` and `Origin` with other names, ports, user names, brackets, control characters, dots, upper case
and parts of the own names.

Defended: `local/guard.py` lets nobody through but programs and pages of this machine.

Judged by a rule of its own. `Host` is a name of this machine in any case, alone or with a port of digits. `Origin` is
missing, or `http` with exactly that host and port, or an origin that was allowed by its whole text. Everything else
must get a 403 and must not reach the application. The same in lower case must reach it.
"""

import random
import re
from typing import Any, Final

from werkzeug.test import create_environ, run_wsgi_app
from werkzeug.wrappers import Response

from local.guard import Guard
from tests.attack.ground import Found, Ground

BRIDGE: Final = "172.17.0.1"
ALLOWED: Final = "https://app.example.com"
OWN: Final = ("127.0.0.1", "localhost", "host.docker.internal", BRIDGE)
HOST: Final = re.compile(r"(127\.0\.0\.1|localhost|host\.docker\.internal|172\.17\.0\.1)(:[0-9]{1,5})?")

NAMES: Final = (
    *OWN * 6,
    *"evil.net localhost.evil.net 127.0.0.1.evil.net evil-localhost localhos 127.0.0.11 127.0.0 0.0.0.0".split(),
    *"2130706433 [::1] [::ffff:127.0.0.1] [127.0.0.1] [::1 localhost. LOCALHOST LocalHost 172.17.0.2".split(),
    *("", "null", "*", "loca\u0131host", "\u24c1ocalhost", "\uff1127.0.0.1"),
)  # fmt: skip
PORTS: Final = (
    *["", ":8087"] * 8, ":", ":80", ":5000", ":08087", ":x", ":8087x", ":-1", ":99999999", ":8087:80", ":\u0668",
)  # fmt: skip
AROUND: Final = (
    *[""] * 30, *"@ evil.net@ user:pw@ / /localhost // \\ # ? %00 \t \n \r \0 , ; . evil.net, %2e \x85".split(" "),
)  # fmt: skip
SCHEMES: Final = (*["http://"] * 9, "https://", "HTTP://", "http:", "//", "", "file://", "chrome-extension://", "null")


class Neighbours:
    def __init__(self, _: Ground) -> None:
        self.reached = 0
        self.guard = Guard(self._application, BRIDGE, [ALLOWED])

    def _application(self, environ: Any, start_response: Any) -> Any:
        self.reached += 1
        return Response("reached")(environ, start_response)

    def make(self, chance: random.Random) -> dict[str, str | None]:
        host = _host(chance)
        origins = (None, f"http://{host}", chance.choice(SCHEMES) + _host(chance), ALLOWED + chance.choice(AROUND), "")
        return {"host": host, "origin": chance.choice(origins)}

    def judge(self, given: dict[str, str | None]) -> bool:
        host, origin = given["host"] or "", given["origin"]
        environ = create_environ("/", "http://localhost")
        environ["HTTP_HOST"] = host
        if origin is not None:
            environ["HTTP_ORIGIN"] = origin
        before = self.reached
        _, status, _ = run_wsgi_app(self.guard, environ)
        reached = self.reached > before
        ours = HOST.fullmatch(host.lower()) and origin in (None, ALLOWED, f"http://{host}")
        if reached and not ours:
            raise Found(f"a request of another site reached the application: {status}")
        if not reached and (not status.startswith("403") or (ours and host == host.lower())):
            raise Found(f"the answer is {status}")
        return reached


def _host(chance: random.Random) -> str:
    return chance.choice(AROUND) + chance.choice(NAMES) + chance.choice(PORTS) + chance.choice(AROUND)
