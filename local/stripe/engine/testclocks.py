"""Stripe's test clocks. They move the one clock of the stand-in.

At Stripe, a test clock dates the objects of its customers. Here all objects have the time of the stand-in, and
advancing a test clock moves that time by as many seconds. So with a test clock that begins at the present time,
everything has the same time as at Stripe. https://docs.stripe.com/billing/testing/test-clocks
"""

from typing import Final, cast

from local.stripe.engine import subscriptions, timetravel
from local.stripe.engine.store import DAY, Clock, Object, Store
from local.stripe.errors import invalid

_LIVES: Final = 30 * DAY  # https://docs.stripe.com/billing/testing/test-clocks/api-advanced-usage
_FARTHEST: Final = 2 * 365 * DAY  # without subscriptions: https://docs.stripe.com/api/test_clocks/advance


def create(store: Store, frozen_time: int, name: str | None) -> Object:
    known: Object = {"frozen_time": frozen_time, "name": name, "status": "ready", "status_details": {}}
    made = store.create("test_helpers.test_clock", deletes_after=store.now() + _LIVES, **known)
    store.emit("test_helpers.test_clock.created", made)
    return made


def advance(store: Store, clock: Object, to: int) -> Object:
    """Does everything that becomes due. `to`: a time of this test clock, in seconds since the epoch.

    Returns the answer of Stripe, which still advances then. Raises `ApiError` for a time that is not allowed.
    """
    seconds = to - clock["frozen_time"]
    if seconds <= 0:
        raise invalid("The frozen_time must be after the test clock's current frozen time.", "frozen_time")
    if seconds > _farthest(store, clock):
        raise invalid("You cannot advance a test clock by more than two intervals at once.", "frozen_time")
    clock |= {"status": "advancing", "frozen_time": to, "status_details": {"advancing": {"target_frozen_time": to}}}
    store.emit("test_helpers.test_clock.advancing", clock)
    answer = {**clock}
    request, store.request = store.request, {"id": None, "idempotency_key": None}
    timetravel.advance(store, cast("Clock", store.clock), seconds)
    store.request = request
    clock |= {"status": "ready", "status_details": {}}
    store.emit("test_helpers.test_clock.ready", clock)
    return answer


def _farthest(store: Store, clock: Object) -> int:
    """Two intervals of the shortest subscription, in seconds."""
    now = store.now()
    ends = [
        subscriptions.after(subscriptions.after(now, item["price"]), item["price"]) - now
        for subscription in _subscriptions(store, clock)
        for item in subscription["items"]["data"]
    ]
    return min(ends, default=_FARTHEST)


def _subscriptions(store: Store, clock: Object) -> list[Object]:
    owners = {customer["id"] for customer in store.all("customer", test_clock=clock["id"])}
    found = store.all("subscription")
    return [one for one in found if one["customer"] in owners and one["status"] not in subscriptions.ENDED]


def delete(store: Store, clock: Object) -> Object:
    """Its customers go with it, and their subscriptions end. https://docs.stripe.com/api/test_clocks/delete"""
    for subscription in _subscriptions(store, clock):
        subscriptions.cancel_subscription(store, subscription)
    for customer in store.all("customer", test_clock=clock["id"]):
        store.emit("customer.deleted", customer)
        store.delete(customer)
    store.emit("test_helpers.test_clock.deleted", clock)
    return store.delete(clock)
