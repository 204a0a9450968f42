import threading
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING

import hypothesis
import pytest
from werkzeug.serving import make_server

from local.serving import Quiet
from local.stripe.account import Account
from local.stripe.server import StripeServer
from tests import openapi
from tests.world import World, wired

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# When both cores are busy, drawing an example is slow. A deadline would then measure the machine, not the code.
hypothesis.settings.register_profile("project", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("project")


# The longest files run first, so that no worker waits long for the other one at the end. (pytest-xdist gives a whole
# file to a worker, because its groups do not work with pytest 9.)
_LONGEST = ("e2e/test_sam_local", "torture/", "e2e/browser/", "e2e/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        return next((n for n, part in enumerate(_LONGEST) if part in item.nodeid), len(_LONGEST))

    items.sort(key=place)


class Served:
    """One server for the whole process. Each test gives it its own application.

    One server is enough, because starting a server takes longer than a test.
    """

    def __init__(self) -> None:
        self.application: WSGIApplication | None = None
        self._listener = make_server("127.0.0.1", 0, self, threaded=True, request_handler=Quiet)
        self.address = f"http://127.0.0.1:{self._listener.server_port}"
        threading.Thread(target=self._listener.serve_forever, daemon=True).start()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        assert self.application, "a request came while no test was running"
        return self.application(environ, start_response)


@cache
def served() -> Served:
    return Served()


@pytest.fixture
def stripe_server() -> Iterator[tuple[Account, str]]:
    """Yields the stand-in and its address. Fails if the stand-in gave an answer that Stripe would not give."""
    account = Account("sk_test_local", "https://checkout.stripe.com")
    watched = openapi.Watched(StripeServer(account))
    server = served()
    server.application = watched
    yield account, server.address
    server.application = None
    account.webhooks.close()
    assert not watched.findings, watched.findings


@pytest.fixture
def world(stripe_server: tuple[Account, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with wired(*stripe_server, monkeypatch) as world:
        yield world
