"""Stripe's API: test clocks. https://docs.stripe.com/api/test_clocks"""

from typing import Final

from local.stripe.engine import testclocks
from local.stripe.engine.objects import Operation, on
from local.stripe.engine.store import Object, Store

_CLOCKS: Final = "/v1/test_helpers/test_clocks"


def _create(store: Store, form: Object, _: str) -> Object:
    return testclocks.create(store, form["frozen_time"], form.get("name"))


def _advance(store: Store, form: Object, id: str) -> Object:
    return testclocks.advance(store, store.get("test_helpers.test_clock", id), form["frozen_time"])


OPERATIONS: Final[tuple[tuple[str, str, Operation], ...]] = (
    ("POST", _CLOCKS, _create),
    ("POST", f"{_CLOCKS}/{{test_clock}}/advance", _advance),
    ("DELETE", f"{_CLOCKS}/{{test_clock}}", on("test_helpers.test_clock", testclocks.delete)),
)
