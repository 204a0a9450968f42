"""Stripe's API: subscription schedules. https://docs.stripe.com/api/subscription_schedules"""

from typing import Final

from local.stripe.engine import scheduling
from local.stripe.engine.objects import Operation, on
from local.stripe.engine.store import Object, Store

_KIND: Final = "subscription_schedule"
_ONE: Final = "/v1/subscription_schedules/{schedule}"


def _create(store: Store, form: Object, _: str) -> Object:
    return scheduling.create(store, form)


def _update(store: Store, form: Object, id: str) -> Object:
    return scheduling.update(store, store.get(_KIND, id), form)


OPERATIONS: Final[tuple[tuple[str, str, Operation], ...]] = (
    ("POST", "/v1/subscription_schedules", _create),
    ("POST", _ONE, _update),
    ("POST", f"{_ONE}/cancel", on(_KIND, scheduling.cancel)),
    ("POST", f"{_ONE}/release", on(_KIND, scheduling.release)),
)
