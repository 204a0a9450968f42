"""Checks that one tenant cannot use up the rate that Stripe allows the account, and locks out nobody else."""

from collections.abc import Callable
from typing import Any

import pytest

from billing import clock
from billing.adapters.table import keys
from tests.integration.support import refused
from tests.world import CUSTOMER, TENANT, Answer, World

LIMIT = 5
NOON = 1_795_608_000  # the begin of a minute


@pytest.fixture(autouse=True)
def limited(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENANT_CALLS_PER_MINUTE", str(LIMIT))
    monkeypatch.setattr(clock, "seconds", lambda: NOON + 12)
    world.plan()
    world.customer()
    body = {"invoiceId": "inv-001", "amount": 25000, "currency": "usd"}
    world.api("POST", f"/tenants/{TENANT}/invoices", admin=True, json=body)


def _checkout(world: World, **who: Any) -> Answer:
    return world.checkout(**who)


def _portal(world: World, **who: Any) -> Answer:
    return world.api("POST", "/stripe/portal", query_string={"customerId": CUSTOMER}, **who)


def _payment(world: World, **who: Any) -> Answer:
    return world.api("POST", "/invoices/inv-001/payment-intent", **who)


def _back(world: World, **who: Any) -> Answer:
    session_id = world.stripe.store.all("checkout.session")[0]["id"]
    return world.api("GET", f"/stripe/checkout/{session_id}", **who)


ENDPOINTS = {
    "start_checkout": _checkout,
    "open_portal": _portal,
    "create_payment_intent": _payment,
    "get_checkout": _back,
}


@pytest.mark.parametrize("endpoint", ENDPOINTS.values(), ids=ENDPOINTS.keys())
def test_too_many_calls_in_a_minute_do_not_reach_stripe(
    world: World, endpoint: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    if endpoint is _back:
        world.checkout(admin=True)  # an operator's call is not counted
    for _ in range(LIMIT):
        assert endpoint(world).status == 200
    asked = len(world.stripe.calls)
    answer = endpoint(world)
    refused(answer, 429, "too-many-calls")
    assert answer.headers["Retry-After"] == "48"  # the minute ends in 48 seconds
    assert len(world.stripe.calls) == asked
    assert endpoint(world, admin=True).status == 200
    monkeypatch.setattr(clock, "seconds", lambda: NOON + 60)
    assert endpoint(world).status == 200


def test_the_endpoints_share_one_limit(world: World) -> None:
    for endpoint in list(ENDPOINTS.values()) * 2:
        if endpoint is _back and not world.stripe.store.all("checkout.session"):
            continue
        last = endpoint(world)
    refused(last, 429, "too-many-calls")


def test_another_tenant_is_not_limited(world: World) -> None:
    for _ in range(LIMIT + 1):
        world.checkout()
    assert world.checkout("other").status == 200


def test_calls_for_another_tenant_use_up_nobodys_limit(world: World) -> None:
    for _ in range(LIMIT + 1):
        refused(world.checkout(TENANT, tenant="attacker"), 403, "forbidden")
        refused(_portal(world, tenant="attacker"), 403, "forbidden")
    assert world.checkout().status == 200


def test_the_counter_expires(world: World) -> None:
    world.checkout()
    key = keys.calls(TENANT, clock.iso(NOON))
    item = world.table.read([key])[key]
    assert item["callCount"] == 1
    assert item["expiresAt"] == NOON + 120
