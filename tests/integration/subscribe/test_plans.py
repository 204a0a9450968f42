"""Checks which plans an admin may create."""

from typing import Any

import pytest

from tests.integration.support import refused
from tests.world import PLAN, TENANT, Answer, World


def put(world: World, plan_id: str = PLAN, *, admin: bool = True, **body: Any) -> Answer:
    return world.api("PUT", f"/plans/{plan_id}", tenant=TENANT, admin=admin, json={"name": "Pro", **body})


def create(world: World, *, admin: bool = True, **body: Any) -> Answer:
    request = {"amount": 25000, "currency": "usd", **body}
    return world.api("POST", f"/tenants/{TENANT}/invoices", admin=admin, json=request)


def test_a_plan_takes_its_money_from_the_price(world: World) -> None:
    world.price("price_pro", 4900)
    answer = put(world, stripePriceId="price_pro", trialDays=14)
    assert answer.status == 200
    assert answer.body == {
        "planId": PLAN,
        "stripePriceId": "price_pro",
        "name": "Pro",
        "amount": 4900,
        "currency": "usd",
        "interval": "month",
        "intervalCount": 1,
        "trialDays": 14,
        "active": True,
    }


def test_a_second_put_changes_the_plan(world: World) -> None:
    world.price("price_pro")
    world.price("price_new", 5900)
    put(world, stripePriceId="price_pro")
    answer = put(world, stripePriceId="price_new", active=False)
    assert (answer.status, answer.body["amount"], answer.body["active"]) == (200, 5900, False)
    assert put(world, stripePriceId="price_pro").body["amount"] == 4900


def test_a_price_belongs_to_one_plan(world: World) -> None:
    world.price("price_pro")
    put(world, stripePriceId="price_pro")
    refused(put(world, "plan-other", stripePriceId="price_pro"), 409, "already-exists")


@pytest.mark.parametrize(
    "values", [{"recurring": None}, {"unit_amount": None}, {"active": False}], ids=["one-time", "tiered", "archived"]
)
def test_prices_that_no_plan_can_have(world: World, values: dict[str, Any]) -> None:
    world.price("price_odd")
    world.stripe.store.get("price", "price_odd").update(values)
    refused(put(world, stripePriceId="price_odd"), 400, "unknown-price")


def test_a_price_that_stripe_does_not_have(world: World) -> None:
    refused(put(world, stripePriceId="price_none"), 400, "unknown-price")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"stripePriceId": "price pro"},
        {"stripePriceId": "price_pro", "name": ""},
        {"stripePriceId": "price_pro", "trialDays": -1},
        {"stripePriceId": "price_pro", "trialDays": "14"},
        {"stripePriceId": "price_pro", "active": "yes"},
        {"stripePriceId": "price_pro", "amount": 1},
        {"stripePriceId": "price_pro", "planId": "plan-other"},
    ],
)
def test_bad_plans(world: World, body: dict[str, Any]) -> None:
    world.price("price_pro")
    refused(put(world, **body), 400, "bad-request")


def test_plans_and_invoices_are_for_admins(world: World) -> None:
    world.price("price_pro")
    refused(put(world, admin=False, stripePriceId="price_pro"), 403, "admin-only")
    refused(create(world, admin=False), 403, "admin-only")
    assert world.stripe.calls == []
