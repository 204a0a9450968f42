"""Sends signed events to an endpoint as Stripe does: every attempt signed anew, anything but 2xx tried again."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Condition, Timer
from typing import Any, Final

import requests

from billing.webhook.signature import sign

BACKOFF_SECONDS: Final = (0.5, 1, 2, 4, 8, 16, 32)  # Stripe takes hours; nobody waits for that at a desk
_TIMEOUT_SECONDS: Final = 30
_PARALLEL: Final = 4


class Webhooks:
    """`url` and `secret` may be set later: until then events are kept, not sent."""

    def __init__(self) -> None:
        self.url = ""
        self.secret = ""
        self.log: list[dict[str, Any]] = []
        self._pool = ThreadPoolExecutor(_PARALLEL, thread_name_prefix="webhook")
        self._pending = 0
        self._changed = Condition()
        self._timers: set[Timer] = set()

    def send(self, event: dict[str, Any], attempt: int = 0) -> None:
        if not self.url:
            return
        body = json.dumps(event, indent=2).encode()
        if attempt == 0:
            self._count(1)
        self._pool.submit(self._deliver, event, body, attempt)

    def wait_idle(self, timeout: float) -> bool:
        """Whether every event was delivered or given up within `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._pending == 0, timeout)

    def close(self) -> None:
        self.url = ""
        for timer in self._timers:
            timer.cancel()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _deliver(self, event: dict[str, Any], body: bytes, attempt: int) -> None:
        status, answer = self._post(body)
        self.log.append(
            {"event": event["id"], "type": event["type"], "attempt": attempt, "status": status, "answer": answer}
        )
        if 200 <= status < 300 or attempt >= len(BACKOFF_SECONDS) or not self.url:
            self._count(-1)
            return
        timer = Timer(BACKOFF_SECONDS[attempt], self.send, (event, attempt + 1))
        timer.daemon = True
        self._timers.add(timer)
        timer.start()

    def _post(self, body: bytes) -> tuple[int, str]:
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": sign(body, self.secret, int(time.time())),
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }
        try:
            answer = requests.post(self.url, body, headers=headers, timeout=_TIMEOUT_SECONDS, allow_redirects=False)
        except requests.RequestException as error:
            return 0, str(error)
        return answer.status_code, answer.text

    def _count(self, change: int) -> None:
        with self._changed:
            self._pending += change
            self._changed.notify_all()
