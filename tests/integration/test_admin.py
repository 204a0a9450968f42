from typing import Any

import pytest

from tests.integration.test_checkout import refused
from tests.world import PLAN, TENANT, Answer, World


def put(world: World, plan_id: str = PLAN, *, admin: bool = True, **body: Any) -> Answer:
    return world.api("PUT", f"/plans/{plan_id}", tenant=TENANT, admin=admin, json={"name": "Pro", **body})


def create(world: World, *, admin: bool = True, **body: Any) -> Answer:
    wanted = {"amount": 25000, "currency": "usd", **body}
    return world.api("POST", f"/tenants/{TENANT}/invoices", admin=admin, json=wanted)


# -- plans


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


def test_put_again_changes_it(world: World) -> None:
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


# -- invoices


def test_an_invoice_of_the_platforms_own(world: World) -> None:
    answer = create(world, invoiceId="inv-7", dueDate="2030-01-31", description="Set-up")
    assert answer.status == 201
    assert answer.body == {
        "invoiceId": "inv-7",
        "tenantId": TENANT,
        "status": "PENDING",
        "amountDue": 25000,
        "amountPaid": 0,
        "amountRemaining": 25000,
        "currency": "usd",
        "dueDate": "2030-01-31T23:59:59Z",
        "description": "Set-up",
    }


def test_asked_twice_it_is_made_once(world: World) -> None:
    first = create(world, invoiceId="inv-7")
    again = create(world, invoiceId="inv-7")
    assert (first.status, again.status) == (201, 200)
    assert first.body == again.body
    refused(create(world, invoiceId="inv-7", amount=1), 409, "already-exists")


def test_an_id_is_taken_across_tenants(world: World) -> None:
    create(world, invoiceId="inv-7")
    body = {"invoiceId": "inv-7", "amount": 25000, "currency": "usd"}
    refused(world.api("POST", "/tenants/other/invoices", admin=True, json=body), 409, "already-exists")


def test_an_id_is_given_where_none_is_named(world: World) -> None:
    ids = {create(world).body["invoiceId"] for _ in range(2)}
    assert len(ids) == 2


@pytest.mark.parametrize(
    "body",
    [
        {"amount": 0},
        {"amount": -1},
        {"amount": 1.5},
        {"amount": "100"},
        {"amount": True},
        {"amount": 100_000_000},
        {"amount": None},
        {"currency": "us"},
        {"currency": "zzz"},
        {"currency": "dollar"},
        {"dueDate": "tomorrow"},
        {"dueDate": "2030-02-30"},
        {"dueDate": "2030-01-31T12:00:00"},
        {"dueDate": "0001-01-01T00:00:00+01:00"},
        {"description": ""},
        {"invoiceId": "in_123"},
        {"invoiceId": "a/b"},
        {"description": "x" * 501},
        {"status": "PAID"},
    ],
)
def test_bad_invoices(world: World, body: dict[str, Any]) -> None:
    refused(create(world, **body), 400, "bad-request")


def test_times_are_kept_in_utc(world: World) -> None:
    assert create(world, dueDate="2030-01-31T12:00:00+02:00").body["dueDate"] == "2030-01-31T10:00:00Z"


def test_codes_are_kept_in_lower_case(world: World) -> None:
    assert create(world, currency="EUR").body["currency"] == "eur"
