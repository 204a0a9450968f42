"""Addresses to which the portal should send people after their visit.

Tried: `returnUrl`s with user names, backslashes, dots and digits of other scripts, control characters, encoded
characters, ports, IPv6, dots at the end, `//`, other schemes and upper case, near the allowed origins.

Defended: the portal sends nobody to another site.

Judged by node: browsers and node read an address by the same rules (https://url.spec.whatwg.org). An address that was
accepted must have exactly an allowed origin, and be https, or http on this machine. The stand-in must have got exactly
this address. A plain address of an allowed origin must be accepted.
"""

import json
import random
import re
import subprocess
from contextlib import ExitStack
from typing import Any, Final

from billing import bootstrap
from tests.attack.ground import Found, Ground, request
from tests.world import CUSTOMER, TENANT

# The last one is configured, but it is neither https nor on this machine.
ORIGINS: Final = (
    "https://app.example.com", "https://app.example.com:8443", "http://localhost:3000", "http://127.0.0.1:8087",
    "http://plain.example.com",
)  # fmt: skip
PLAIN: Final = re.compile("(" + "|".join(map(re.escape, ORIGINS[:4])) + r")(/[a-z]*)?")
READ: Final = """
const lines = require("readline").createInterface({input: process.stdin});
lines.on("line", line => {
  let read = null;
  try { const url = new URL(JSON.parse(line)); read = {origin: url.origin, host: url.hostname, scheme: url.protocol}; }
  catch {}
  console.log(JSON.stringify(read));
});
"""

SCHEMES: Final = (
    *["https"] * 6, *["http"] * 3, "HTTPS", "hTTp", "ftp", "javascript", "data", "file", "ws", "blob:https", "",
)  # fmt: skip
SLASHES: Final = (*["://"] * 9, ":", ":/", ":///", ":\\\\", "//", ":/\\", ":\t//", "")
USERS: Final = (
    *[""] * 12, "user@", "user:pw@", ":@", "@", "evil.net@", "app.example.com@", "app.example.com:443@", "%40",
    "a@b@",
)  # fmt: skip
HOSTS: Final = (
    *["app.example.com", "localhost", "127.0.0.1"] * 8,
    *"plain.example.com APP.EXAMPLE.COM app.example.com. app.example.com.evil.net evil.net sub.app.example.com".split(),
    *"app.example.com\\evil.net evil.net\\app.example.com app.example.com%2eevil.net %61pp.example.com [::1]".split(),
    *"[::ffff:127.0.0.1] [::1 127.1 0x7f.1 2130706433 0177.0.0.1 localhost.evil.net LOCALHOST".split(),
    *"app。example。com аpp.example.com app.example.com localhost １２７.0.0.1 app.example.ⅽom 127.0.0.١".split(),
    *"app.example.com\u00adx app.exa\u200dmple.com ßpp.example.com app.example.com\u3002 []".split(),
)  # fmt: skip
PORTS: Final = (
    *[""] * 10, *[":3000", ":8087", ":8443", ":443"] * 3, ":", ":80", ":0443", ":99999", ":3000:443", ":３000",
    ":+443", ": 443", ":-1", ":4_43",
)  # fmt: skip
PATHS: Final = (
    "", "", "/", "/a", "/a/b?c=d#e", "?x", "#x", "/..//evil.net", "/@evil.net", "@evil.net/", "?@evil.net",
    "#@evil.net", "\\@evil.net", ".evil.net", "//evil.net", "\\evil.net", "/%0d%0aLocation:evil.net", ";@evil.net",
)  # fmt: skip
JUNK: Final = "\t\n\r \0\x01\x1f\x7f\x80\u00a0\u2028\ufeff\u200b\\/@:#?%[].＠：／．。⒈\ud800"


class Browser:
    """One process of node, which reads every address that was accepted."""

    def __init__(self, stack: ExitStack) -> None:
        command = ["node", "-e", READ]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        stack.enter_context(self._process)  # closes its input, and waits for its end

    def read(self, url: str) -> dict[str, str] | None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(url) + "\n")
        self._process.stdin.flush()
        answer: dict[str, str] | None = json.loads(self._process.stdout.readline())
        return answer


class Returns:
    def __init__(self, ground: Ground) -> None:
        self.world = world = ground.world
        world.customer()
        ground.patch.setenv("RETURN_ORIGINS", ",".join(ORIGINS))
        bootstrap.reset()
        self.browser = Browser(ground.stack)

    def make(self, chance: random.Random) -> str:
        if chance.random() < 0.3:
            url = chance.choice(ORIGINS) + chance.choice(PATHS)
        else:
            url = "".join(chance.choice(part) for part in (SCHEMES, SLASHES, USERS, HOSTS, PORTS, PATHS))
        for _ in range(chance.choice((0, 0, 0, 1, 1, 2))):
            at = chance.randint(0, len(url))
            url = url[:at] + chance.choice(JUNK) + url[at + chance.choice((0, 0, 1)) :]
        return url

    def judge(self, url: str) -> bool:
        sessions: Any = self.world.stripe.store.objects.setdefault("billing_portal.session", {})
        sessions.clear()
        given = request({"tenant_id": TENANT}, body={"customerId": CUSTOMER, "returnUrl": url})
        answer = self.world.invoke("open_portal", given)
        if answer.status != 200:
            if answer.status != 400 or sessions:
                raise Found(f"a refused address got {answer.status} {answer.body}, and {len(sessions)} sessions")
            if PLAIN.fullmatch(url):
                raise Found(f"an allowed address got {answer.status} {answer.body}")
            return False
        if not url:
            return True  # no address was named, so the configured one is used
        sent = [session["return_url"] for session in sessions.values()]
        read = self.browser.read(url)
        if sent != [url]:
            raise Found(f"Stripe got {sent}")
        if read is None or read["origin"] not in ORIGINS:
            raise Found(f"a browser goes to another site: {read}")
        if not (
            read["scheme"] == "https:" or (read["scheme"] == "http:" and read["host"] in ("localhost", "127.0.0.1"))
        ):
            raise Found(f"a browser goes there without encryption: {read}")
        return True
