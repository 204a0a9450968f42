"""The customer's pages: what they show before a change, what they say after it, and where they lead back to."""

import copy
import html
import re
from typing import Any

import pytest
import requests

from local.stripe.account import Account
from local.stripe.engine import checkout, discounts, lines, payments
from local.stripe.engine.store import Object
from local.web import day, money
from tests.shop import APP, Shop


@pytest.fixture
def shop(stripe_server: tuple[Account, str]) -> Shop:
    return Shop(*stripe_server)


def get(url: str, **query: str) -> str:
    return requests.get(url, query, timeout=600).text


def post(url: str, **form: str) -> str:
    return requests.post(url, form, timeout=600).text


def said(text: str) -> list[str]:
    return [html.unescape(one) for one in re.findall(r'role="status">([^<]*)<', text)]


def rows(text: str) -> list[tuple[str, ...]]:
    """The lines of sums on a page."""
    return [
        tuple(map(html.unescape, row)) for row in re.findall(r'<dt>([^<]*)</dt><dd class="money">([^<]*)</dd>', text)
    ]


def back(text: str) -> list[str]:
    """Where the links of a page lead, without those of its head."""
    links: list[str] = re.findall(r'<a class="(?:small|button|button plain)" href="([^"]*)"', text)
    return [html.unescape(link) for link in links]


# -- before a change of plan


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
    total = ("Total on your next invoice", remaining + unused)
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


# -- what was done


def test_the_portal_says_what_was_done(shop: Shop) -> None:
    portal = shop.portal()
    assert said(get(portal)) == []
    assert said(post(shop.of(portal, "plan"), price=shop.pro["id"])) == ["Your plan is now Pro."]
    asked = get(shop.of(portal, "cancel"))
    end = day(shop.subscription["items"]["data"][0]["current_period_end"])
    assert f"until <strong>{end}</strong>" in asked
    assert not shop.subscription["cancel_at"], "the question has canceled it"
    ended = requests.post(shop.of(portal, "cancel"), {"cancel_at_period_end": "true"}, timeout=600)
    assert [one.status_code for one in ended.history] == [303], "a reload must not send the form again"
    assert said(ended.text) == [f"Your subscription ends on {end}."]
    assert said(post(shop.of(portal, "cancel"), cancel_at_period_end="false")) == ["Your subscription goes on."]
    assert said(post(f"{portal}/payment_method", card="4242424242424242")) == ["Your payment method is saved."]
    refused = post(f"{portal}/payment_method", card="4000000000000002")
    assert (said(refused), "Your card was declined." in refused) == ([], True)


def test_a_plan_whose_invoice_is_not_paid(shop: Shop) -> None:
    method = payments.payment_method(shop.store, "pm_card_chargeCustomerFail", shop.customer["id"])
    shop.subscription["default_payment_method"] = method["id"]
    text = post(shop.of(shop.portal(), "plan"), price=shop.year["id"])
    assert said(text) == ["Your plan is now Pro for a year. An invoice of 471.00 USD is not paid yet."]


def test_an_address_makes_the_portal_say_nothing_that_is_not_so(shop: Shop) -> None:
    portal, other = shop.portal(), shop.subscribe(shop.store.create("customer"), shop.starter)
    shop.subscription["default_payment_method"] = None
    for code, subscription in (
        ("Send money to me", shop.subscription["id"]),
        ("plan", other["id"]),
        ("cancel", "sub_none"),
        ("method", ""),
    ):
        assert said(get(portal, done=code, subscription=subscription)) == []


@pytest.mark.parametrize("card", ["4242424242424242", "4000002760003184"])
def test_a_paid_invoice_says_so(shop: Shop, card: str) -> None:
    page = f"{shop.address}/i/{shop.invoice()['id']}"
    assert said(get(page, done="paid")) == []
    text = post(page, card=card)
    if "Your bank asks" in text:
        text = post(f"{page}/confirm", answer="yes")
    assert said(text) == ["Thank you: 250.00 USD arrived."]
    assert said(get(page)) == []


# -- the way back


def test_an_invoice_leads_back_to_the_portal_that_it_was_opened_from(shop: Shop) -> None:
    portal, invoice = shop.portal(), shop.invoice()
    session = portal.rpartition("/")[2]
    address, ask = f"/i/{invoice['id']}?portal={session}", "4000002760003184"
    assert f'href="{address}"' in get(portal)
    page, home = shop.address + address, f"/p/session/{session}"
    assert back(get(page)) == [home]
    assert back(post(page, card="4000000000000002")) == [home]
    assert back(post(page, card=ask)) == [address]
    confirm = page.replace("?", "/confirm?")
    assert back(post(confirm, answer="no")) == [home]
    post(page, card=ask)
    assert home in back(post(confirm, answer="yes"))
    assert back(get(page.replace("?", "/pdf?"))) == [address]
    own = f"{shop.address}/i/{shop.invoice()['id']}"
    foreign = shop.store.create("billing_portal.session", customer=shop.store.create("customer")["id"])["id"]
    assert back(get(own, portal=foreign)) == []
    assert back(get(own, return_url=APP)) == [APP]
    assert back(get(own, return_url="https://evil.example/")) == []


def test_every_page_and_every_end_leads_back(shop: Shop) -> None:
    portal = shop.portal()
    home = portal.removeprefix(shop.address)
    assert back(get(portal))[0] == APP
    assert back(get(shop.of(portal, "plan"), price=shop.pro["id"])) == [home]
    assert back(get(shop.of(portal, "cancel"))) == [home]
    assert back(get(f"{portal}/nothing")) == [home]
    assert back(get(f"{shop.address}/p/session/bps_none")) == []
    shop.store.delete(shop.customer)
    assert back(get(portal)) == [APP], "there is no portal to lead back to"


def test_a_checkout_leads_back(shop: Shop) -> None:
    session = shop.checkout()
    path = f"/c/pay/{session['id']}"
    page = shop.address + path
    assert back(get(page)) == [APP]
    assert back(get(f"{page}/nothing")) == [APP]
    assert back(post(page, card="4000002760003184")) == [path]
    assert back(post(page, card="4000000000000002")) == [APP]
    checkout.expire_checkout(shop.store, session)
    assert back(get(page)) == [APP]
    session["status"] = "complete"
    assert back(get(page)) == [f"{APP}?done"]
    session["cancel_url"] = session["success_url"] = "javascript:alert(1)"
    assert back(get(page)) == []


def test_a_payment_leads_back_to_this_machine_only(shop: Shop) -> None:
    intent = shop.intent()
    page, secret = f"{shop.address}/pay/{intent['id']}", {"client_secret": intent["client_secret"]}
    assert back(get(page, **secret, return_url=APP)) == [APP]
    assert back(get(page, return_url=APP)) == [APP], "without the secret nothing is here"
    assert back(get(page, **secret, return_url="https://evil.example/")) == []
    query = f"client_secret={intent['client_secret']}&return_url=http%3A%2F%2F127.0.0.1%3A8087%2F"
    assert back(post(f"{page}?{query}", card="4000002760003184")) == [f"/pay/{intent['id']}?{query}"]
    assert back(post(f"{page}/confirm?{query}", answer="yes")) == [APP]


# -- the test cards


def test_a_test_card_is_filled_in_and_pays_nothing(shop: Shop) -> None:
    invoice, portal = shop.invoice(), shop.portal()
    intent = shop.intent()
    queries = {
        f"{shop.address}/i/{invoice['id']}": {"portal": portal.rpartition("/")[2]},
        f"{shop.address}/pay/{intent['id']}": {"client_secret": intent["client_secret"], "return_url": APP},
        portal: {},
    }
    for page, query in queries.items():
        text = get(page, **query)
        path = page.removeprefix(shop.address)
        [form] = re.findall(rf'<form id="cards" method="get" action="{path}">(.*?)</form>', text, re.DOTALL)
        assert dict(re.findall(r'name="(\w+)" value="([^"]*)"', form)) == query
        buttons = re.findall(r"<button[^>]*name=\"use\"[^>]*>", text)
        assert len(buttons) > 30
        assert all('form="cards"' in button for button in buttons), "Enter in the card field would press it"
        objects = copy.deepcopy(shop.store.objects)
        assert 'value="4000 0000 0000 0002" inputmode' in get(page, **query, use="4000 0000 0000 0002")
        assert 'value="4242 4242 4242 4242" inputmode' in get(page, **query, use="Call 555 0100")
        assert shop.store.objects == objects
