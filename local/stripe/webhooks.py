"""Sends signed events to an endpoint like Stripe: it signs every attempt anew and retries after any answer but 2xx.

It can also send events twice, late, out of order or not at all, as Stripe does on its worst days.
"""

import json
import random
import secrets
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Condition, Timer
from typing import Any, Final

import requests

from billing.inbox.signature import sign

BACKOFF_SECONDS: Final = (0.5, 1, 2, 4, 8, 16, 32)  # Stripe waits for hours; that is too long for a local stack
SHUFFLE_SECONDS: Final = 1.5
USER_AGENT: Final = "Stripe/1.0 (+https://stripe.com/docs/webhooks)"
_TIMEOUT_SECONDS: Final = 600  # long, so that a busy machine causes no failure
_PARALLEL: Final = 4


@dataclass
class Weather:
    """How events travel.

    `copies`: the number of copies of each event. `late`: the delay in seconds. `lost`: the share of events (0 to 1)
    that are lost and never sent again. `shuffled`: events come out of order. `down`: every delivery fails.
    """

    copies: int = 1
    late: float = 0
    lost: float = 0
    shuffled: bool = False
    down: bool = False

    def delay(self, chance: random.Random) -> float:
        return self.late + (chance.uniform(0, SHUFFLE_SECONDS) if self.shuffled else 0)


class Webhooks:
    """`url` and `secrets` may be set later. Without `url`, no event is sent. `types`: only these types are sent.

    `log` has an entry for each attempt and each lost event, in order, and `watch` gets it at the same time.
    """

    def __init__(self) -> None:
        self.url = ""
        self.secrets: list[str] = []
        self.types: Collection[str] | None = None
        self.weather = Weather()
        self.chance = random.Random()  # which events are lost, and how long others take
        self.log: list[dict[str, Any]] = []
        self.watch: Callable[[dict[str, Any]], None] = lambda entry: None
        self._pool = ThreadPoolExecutor(_PARALLEL, thread_name_prefix="webhook")
        self._pending = 0
        self._changed = Condition()
        self._timers: set[Timer] = set()

    def send(self, event: dict[str, Any]) -> None:
        """Sends one event as the weather demands."""
        if not self.url or (self.types is not None and event["type"] not in self.types):
            return
        if self.chance.random() < self.weather.lost:
            self._note(event, 0, None, "lost on the way")
            return
        for _ in range(self.weather.copies):
            self.deliver(event)

    def deliver(self, event: dict[str, Any]) -> None:
        self._count(1)
        self._later(self.weather.delay(self.chance), event, 0)

    def roll_secret(self) -> str:
        """Makes a new secret. The previous secret stays valid too, as it does at Stripe for a day."""
        self.secrets = [f"whsec_{secrets.token_urlsafe(24)}", *self.secrets[:1]]
        return self.secrets[0]

    def wait_idle(self, timeout: float) -> bool:
        """Whether within `timeout` seconds every event is delivered or its last attempt has failed."""
        with self._changed:
            return self._changed.wait_for(lambda: self._pending == 0, timeout)

    def forget(self) -> None:
        """What waits to be sent is not sent any more, and the weather is fair. What is being sent goes on."""
        self.weather = Weather()
        for timer in [*self._timers]:
            if timer.is_alive():
                timer.cancel()
                self._count(-1)
        self._timers.clear()

    def close(self) -> None:
        self.url = ""
        for timer in self._timers:
            timer.cancel()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _later(self, seconds: float, event: dict[str, Any], attempt: int) -> None:
        body = json.dumps(event, indent=2).encode()
        if not seconds:
            self._pool.submit(self._deliver, event, body, attempt)
            return
        timer = Timer(seconds, self._submit, (event, body, attempt))
        timer.daemon = True
        self._timers.add(timer)
        timer.start()

    def _submit(self, event: dict[str, Any], body: bytes, attempt: int) -> None:
        if self.url:
            self._pool.submit(self._deliver, event, body, attempt)

    def _deliver(self, event: dict[str, Any], body: bytes, attempt: int) -> None:
        status, answer = (0, "the endpoint is down") if self.weather.down else self._post(body)
        self._note(event, attempt, status, answer)
        taken = 200 <= status < 300
        if taken:
            event["pending_webhooks"] = 0
        if taken or attempt >= len(BACKOFF_SECONDS) or not self.url:
            self._count(-1)
            return
        self._later(BACKOFF_SECONDS[attempt], event, attempt + 1)

    def _note(self, event: dict[str, Any], attempt: int, status: int | None, answer: str) -> None:
        """`status` is None for a lost event, and 0 if there was no answer."""
        entry = {"event": event["id"], "type": event["type"], "attempt": attempt, "status": status, "answer": answer}
        entry |= {"at": time.time()}
        self.log.append(entry)
        self.watch(entry)

    def _post(self, body: bytes) -> tuple[int, str]:
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": self._signature(body),
            "User-Agent": USER_AGENT,
        }
        try:
            answer = requests.post(self.url, body, headers=headers, timeout=_TIMEOUT_SECONDS, allow_redirects=False)
        except requests.RequestException as error:
            return 0, str(error)
        return answer.status_code, answer.text

    def _signature(self, body: bytes) -> str:
        """Signs with every valid secret: `t=…,v1=…,v1=…`."""
        now = int(time.time())
        schemes = [sign(body, secret, now).split(",", 1)[1] for secret in self.secrets]
        return ",".join([f"t={now}", *schemes])

    def _count(self, change: int) -> None:
        with self._changed:
            self._pending += change
            self._changed.notify_all()
