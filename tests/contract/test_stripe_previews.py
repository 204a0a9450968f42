"""What the portal shows before a change of plan is what the change then costs."""

import copy
from typing import Any

import pytest

from local.stripe.account import Account
from local.stripe.engine import discounts, lines
from local.stripe.engine.store import Object
from local.web import day, money
from tests.shop import Shop, get, post, rows, said


@pytest.fixture
def shop(stripe_server: tuple[Account, str]) -> Shop:
    return Shop(*stripe_server)


def of_invoice(shop: Shop, invoice: Object) -> list[tuple[str, str]]:
    """The rows that the page must have had, by the invoice that came of it."""
    named = {one["id"]: one["name"] for one in shop.store.all("product")}
    found = []
    for line in invoice["lines"]["data"]:
        known = line["pricing"] and line["pricing"]["price_details"]["product"]
        found.append((" · ".join(filter(None, (line["description"], named.get(known or "")))), line["amount"]))
    off = sum(one["amount"] for one in invoice["total_discount_amounts"])
    found += [("Discount", -off)] if off else []
    found += [("Total", invoice["total"])]
    used = invoice["amount_due"] - invoice["total"]
    found += [("Customer balance", used)] if used else []
    found += [("Total due today", invoice["amount_due"])]
    return [(text, money(amount, "usd")) for text, amount in found]


def coupon(shop: Shop) -> None:
    off = {"percent_off": 25.0, "valid": True, "duration": "forever", "times_redeemed": 0, "max_redemptions": None}
    made = shop.store.create("coupon", **off)
    discounts.put(shop.store, shop.subscription, [{"coupon": made["id"]}])


def three(shop: Shop) -> None:
    shop.subscription["items"]["data"][0]["quantity"] = 3


def pending(shop: Shop) -> None:
    lines.pend(shop.store, shop.customer["id"], 250, "usd", description="Support")


def owes(shop: Shop, balance: int) -> None:
    shop.customer["balance"] = balance


CASES: dict[str, Any] = {
    "nothing else": lambda _: None,
    "a credit": lambda shop: owes(shop, -500),
    "a credit that is enough": lambda shop: owes(shop, -900000),
    "a debt": lambda shop: owes(shop, 700),
    "a coupon": coupon,
    "three seats": three,
    "an item that waits": pending,
}


@pytest.mark.parametrize("wanted", ["pro", "year", "starter"])
@pytest.mark.parametrize("case", CASES)
def test_what_is_shown_is_what_is_charged(shop: Shop, case: str, wanted: str) -> None:
    if wanted == "starter":
        shop.subscription = shop.subscribe(shop.customer, shop.pro)
    CASES[case](shop)
    shop.half_a_month_passes()
    plan, price = shop.of(shop.portal(), "plan"), getattr(shop, wanted)["id"]
    objects = copy.deepcopy(shop.store.objects)
    shown = get(plan, price=price)
    assert shop.store.objects == objects, "the question has changed something"
    charged = len(shop.store.all("charge"))
    post(plan, price=price)
    invoice = shop.store.all("invoice")[0]
    assert invoice["id"] not in objects["invoice"]
    assert rows(shown) == of_invoice(shop, invoice)
    new = shop.store.all("charge")[: len(shop.store.all("charge")) - charged]
    assert sum(charge["amount"] for charge in new) == invoice["amount_due"]
    assert ("It is charged to your payment method: Visa ending in 4242" in shown) == bool(invoice["amount_due"])


def test_what_comes_on_the_next_invoice_is_shown(shop: Shop) -> None:
    pending(shop)  # it waits already, so it is not of this change
    shop.half_a_month_passes()
    plan = shop.of(shop.portal("create_prorations"), "plan")
    shown = get(plan, price=shop.pro["id"])
    assert "Nothing is due today." in shown
    post(plan, price=shop.pro["id"])
    remaining, unused, _ = (item["amount"] for item in shop.store.all("invoiceitem"))
    assert (remaining, unused) != (0, 0)
    sums = ("Remaining time · Pro", remaining), ("Unused time · Starter", unused)
    total = ("Added to your next invoice", remaining + unused)
    assert rows(shown) == [(text, money(amount, "usd")) for text, amount in (*sums, total)]


def test_a_change_that_waits_says_from_when_on(shop: Shop) -> None:
    shop.subscription = shop.subscribe(shop.customer, shop.pro)
    portal = shop.portal("always_invoice", "decreasing_item_amount")
    end = day(shop.subscription["items"]["data"][0]["current_period_end"])
    shown = get(shop.of(portal, "plan"), price=shop.starter["id"])
    assert "Nothing is due today." in shown
    assert f"<dt>From {end}</dt><dd>Starter, 19.00 USD per month</dd>" in shown
    assert not shop.subscription["schedule"]
    assert said(post(shop.of(portal, "plan"), price=shop.starter["id"])) == [f"From {end} your plan is Starter."]
    assert "The change to Starter that you planned does not happen." in get(shop.of(portal, "cancel"))
    assert "Keep Pro?" in get(shop.of(portal, "plan"), price=shop.pro["id"])
    assert said(post(shop.of(portal, "plan"), price=shop.pro["id"])) == ["Your plan is now Pro."]
    assert not shop.subscription["schedule"]
    assert "This is your plan already." in get(shop.of(portal, "plan"), price=shop.pro["id"])


def test_no_change_waits_for_a_day_on_which_the_subscription_has_ended(shop: Shop) -> None:
    shop.subscription = shop.subscribe(shop.customer, shop.pro)
    portal = shop.portal("always_invoice", "decreasing_item_amount")
    post(shop.of(portal, "cancel"), cancel_at_period_end="true")
    for text in (get, post):
        assert "before this plan could begin" in text(shop.of(portal, "plan"), price=shop.starter["id"])
    assert not shop.subscription["schedule"]
    assert "Your subscription still ends on" in get(shop.of(portal, "plan"), price=shop.year["id"])
