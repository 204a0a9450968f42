"""The last requests to the API and the last invocations that no request caused, for those who look at the stack.

No header is kept, and every text is masked before anybody sees it: nobody can look at a token, a signature or a secret.
"""

import json
import time
from collections import deque
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from threading import Lock
from typing import Any, Final

from local.aws.gateway import Exchange
from local.aws.logs import Span
from local.aws.runtime import Ended
from local.masks import masked
from local.reading import json_object

KEPT: Final = 500  # of each kind, so that many webhooks push no request of a person out
_WEBHOOKS: Final = "StripeWebhookFunction"
_OF_CALLERS: Final = ("path", "query", "body", "answer", "who")
_MOST: Final = 16 * 1024  # characters of a text


@dataclass(frozen=True)
class Seen:
    """A request and its answer, or an invocation with its event and its result: `method` is then empty.

    `at` is when it ended. `who`: the tenant or the subject of the token. `event`: the id of the event that a webhook
    brought. `function` is empty and `log` is None if the gateway answered by itself.
    """

    number: int
    at: float
    seconds: float
    method: str
    path: str
    query: str
    body: str
    status: int
    answer: str
    error: str
    who: str
    event: str
    function: str
    request_id: str
    log: Span | None

    def names(self, text: str) -> bool:
        """Whether it is about `text`, such as a tenant's id."""
        return any(text in part for part in (self.who, self.path, self.query, self.body, self.answer))


class _Kept:
    """Masked when somebody looks for the first time: of a thousand webhooks, hardly one is looked at."""

    def __init__(self, unmasked: Seen) -> None:
        self._unmasked = unmasked

    @cached_property
    def seen(self) -> Seen:
        one = self._unmasked
        texts: dict[str, Any] = {name: _text(getattr(one, name)) for name in _OF_CALLERS}
        return replace(one, **texts)


class Exchanges:
    """Threads may use it at the same time."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._numbers = count(1)
        self._kept: dict[str, deque[_Kept]] = {}

    def exchanged(self, exchange: Exchange) -> None:
        request, response, ended = exchange.request, exchange.response, exchange.ended
        # The gateway reads the body for a function only. A caller that it refuses may not even send one.
        body = request.get_data() if ended else b""
        event = str(json_object(body).get("id", "")) if ended and ended.function == _WEBHOOKS else ""
        self._keep(
            "webhook" if event else "request",
            at=time.time(),
            seconds=exchange.seconds,
            method=request.method,
            path=request.path,
            query=request.query_string.decode("utf-8", "replace"),
            body=body.decode("utf-8", "replace"),
            status=response.status_code,
            answer=response.get_data().decode("utf-8", "replace"),
            error=ended.error if ended else "",
            who=request.remote_user or "",
            event=event,
            function=ended.function if ended else "",
            request_id=response.headers.get("Apigw-Requestid", ""),
            log=ended.log if ended else None,
        )

    def invoked(self, event: Any, ended: Ended) -> None:
        self._keep(
            "invocation",
            at=ended.at,
            seconds=ended.seconds,
            method="",
            path="",
            query="",
            body=json.dumps(event),
            status=0,
            answer="" if ended.error else json.dumps(ended.result),
            error=ended.error,
            who="",
            event="",
            function=ended.function,
            request_id=ended.request_id,
            log=ended.log,
        )

    def newest_first(self) -> list[Seen]:
        with self._lock:
            all_kept = [one for kept in self._kept.values() for one in kept]
        return sorted((one.seen for one in all_kept), key=lambda one: -one.number)

    def find(self, number: str) -> Seen | None:
        return next((one for one in self.newest_first() if str(one.number) == number), None)

    def of_event(self, event_id: str) -> list[Seen]:
        """The deliveries of an event of Stripe, oldest first."""
        return [one for one in reversed(self.newest_first()) if one.event == event_id]

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()

    def _keep(self, kind: str, **values: Any) -> None:
        """Cuts texts so late that, when they are masked and cut again, no part of a cut secret is left."""
        cut: dict[str, Any] = {
            name: value[: 2 * _MOST] if isinstance(value, str) else value for name, value in values.items()
        }
        with self._lock:
            self._kept.setdefault(kind, deque(maxlen=KEPT)).append(_Kept(Seen(next(self._numbers), **cut)))


def _text(text: str) -> str:
    hidden = masked(text)
    return hidden if len(hidden) <= _MOST else hidden[:_MOST] + "…"
