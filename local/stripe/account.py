"""One Stripe account of the stand-in: its objects, its time, its webhooks, and its requested failures."""

from dataclasses import dataclass
from threading import RLock

from local.stripe.engine.store import Clock, Object, Store
from local.stripe.webhooks import Webhooks


@dataclass(frozen=True)
class Answer:
    """The answer to one request. `request` is its path and its parameters as JSON."""

    request: str
    request_id: str
    status: int
    body: Object


class Account:
    """Code that reads or changes the objects must hold `lock`.

    `calls` has (method, path) of each API call, in order.
    `answers` maps an idempotency key to the first answer under it.
    """

    def __init__(self, api_key: str, public_url: str = "http://127.0.0.1:12111") -> None:
        """`public_url` is the address of the pages for a browser."""
        self.api_key = api_key
        self.restricted_keys: set[str] = set()  # they may do everything here
        self.webhooks = Webhooks()
        self.clock = Clock()
        self.store = Store(self.webhooks.send, self.clock)
        self.store.resend = self.webhooks.deliver
        self.public_url = public_url
        self.lock = RLock()
        self.calls: list[tuple[str, str]] = []
        self.failures: list[Object] = []
        self.answers: dict[str, Answer] = {}

    @property
    def public_url(self) -> str:
        return self.store.public_url

    @public_url.setter
    def public_url(self, url: str) -> None:
        self.store.public_url = url

    def replace_store(self, store: Store) -> None:
        """Starts again with the objects of `store`, and forgets the answers to idempotency keys."""
        self.store = store
        self.store.resend = self.webhooks.deliver
        self.answers.clear()

    def reset(self) -> None:
        """Forgets everything but the webhook endpoint and its secrets."""
        self.webhooks.log.clear()
        self.clock.reset()
        store = Store(self.webhooks.send, self.clock)
        store.public_url = self.public_url
        self.replace_store(store)
        self.failures.clear()
        self.calls.clear()

    def fail(self, status: int = 0, count: int = 1, seconds: float = 0, path: str = "/") -> Object:
        """The next `count` calls whose `METHOD /path` contains `path` get this status after `seconds`.

        With status 0, the server carries out the calls and answers late.
        """
        failure: Object = {"status": status, "count": count, "seconds": seconds, "path": path}
        self.failures.append(failure)
        return failure

    def next_failure(self, call: str) -> Object | None:
        """Returns the failure for this call (`METHOD /path`), if there is one, and counts it as used."""
        with self.lock:
            failure: Object | None = next((f for f in self.failures if f["path"] in call), None)
            if failure is None:
                return None
            failure["count"] -= 1
            if failure["count"] <= 0:
                self.failures.remove(failure)
            return failure
