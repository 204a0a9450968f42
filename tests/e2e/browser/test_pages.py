"""Checks Stripe's pages in a real browser: for every reader, at every width, and without JavaScript.

What they say is tested in `tests/contract/test_stripe_pages.py`.
"""

from collections.abc import Callable, Iterator
from functools import partial

import pytest
from playwright.sync_api import Browser, Page, expect

from local.stripe.account import Account
from local.stripe.engine import checkout, lines
from tests.e2e.browser.steps import ASKS, CHROMIUM, DECLINED, GOOD, accessible
from tests.shop import APP, Shop

pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on the PATH: the browser tests do not run"),
]

LONG = "Wolfeschlegelsteinhausenbergerdorffwelchevoralternwarengewissenhaft"  # one word that must be broken


@pytest.fixture
def shop(stripe_server: tuple[Account, str]) -> Shop:
    return Shop(*stripe_server)


@pytest.fixture
def reader(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    yield context.new_page()
    context.close()


@pytest.fixture(params=[True, False], ids=["script", "no script"])
def visitor(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    context = browser.new_context(java_script_enabled=request.param)
    yield context.new_page()
    context.close()


def press(page: Page, name: str, card: str = "") -> None:
    if card:
        page.get_by_label("Card number").fill(card)
    page.get_by_role("button", name=name).click()


def portal_pages(page: Page, shop: Shop) -> Iterator[str]:
    page.goto(f"{shop.of(shop.portal('create_prorations'), 'plan')}?price={shop.pro['id']}")
    yield "Nothing is due today."
    portal = shop.portal("always_invoice", "decreasing_item_amount")
    page.goto(portal)
    yield "Your billing"
    page.get_by_text("Test cards and what they do").click()
    yield "can be saved, and is then declined"
    press(page, "Save payment method", DECLINED)
    yield "Your card was declined."
    press(page, "Save payment method", GOOD)
    yield "Your payment method is saved."
    page.goto(f"{shop.of(portal, 'plan')}?price={shop.year['id']}")
    yield "Total due today"
    press(page, "Confirm")
    yield "Your plan is now Pro"
    page.goto(f"{shop.of(portal, 'plan')}?price={shop.pro['id']}")
    yield "Total due today"
    page.goto(shop.of(portal, "cancel"))
    yield "You can use it until"
    press(page, "Cancel subscription")
    yield "Your subscription ends on"
    page.goto(f"{portal}/nothing")
    yield "Nothing is here"


def checkout_pages(page: Page, shop: Shop) -> Iterator[str]:
    session = shop.checkout()
    page.goto(f"{shop.address}/c/pay/{session['id']}")
    yield "Total due today"
    press(page, "Subscribe", DECLINED)
    yield "Your card was declined."
    press(page, "Subscribe", ASKS)
    yield "Your bank asks"
    checkout.expire_checkout(shop.store, session)
    page.goto(f"{shop.address}/c/pay/{session['id']}")
    yield "This checkout has expired"
    session["status"] = "complete"
    page.reload()
    yield "This checkout is complete"


def payment_pages(page: Page, shop: Shop) -> Iterator[str]:
    shop.customer["balance"] = -1
    lines.pend(shop.store, shop.customer["id"], 123456789012, "usd", description=LONG)
    session = shop.portal().rpartition("/")[2]
    page.goto(f"{shop.address}/i/{shop.invoice()['id']}?portal={session}")
    yield "Customer balance"
    press(page, "Pay", ASKS)
    yield "Your bank asks"
    press(page, "Confirm payment")
    yield "Thank you"
    page.get_by_role("link", name="To print").click()
    yield "Back to the invoice"
    intent = shop.intent()
    page.goto(f"{shop.address}/pay/{intent['id']}?client_secret={intent['client_secret']}&return_url={APP}")
    yield "Pay 250.00 USD"
    press(page, "Pay", DECLINED)
    yield "Your card was declined."
    press(page, "Pay", GOOD)
    yield "250.00 USD arrived"


@pytest.mark.parametrize("walk", [portal_pages, checkout_pages, payment_pages])
def test_nothing_is_in_the_way_of_a_reader(
    shop: Shop, reader: Page, walk: Callable[[Page, Shop], Iterator[str]]
) -> None:
    """axe finds nothing on any page, and long names and amounts make no page wider than its window."""
    for price in (shop.starter, shop.pro, shop.year):
        product = shop.store.get("product", price["product"])
        product["name"] = f"{product['name']} {LONG}"
    shop.customer["name"] = LONG
    shop.store.all("invoice")[0]["number"] = LONG
    shop.year["unit_amount"] = 123456789012
    for words in walk(reader, shop):
        expect(reader.get_by_text(words).first).to_be_visible()
        accessible(reader)


def test_a_change_of_plan_and_a_cancellation_are_asked_for_and_confirmed(shop: Shop, visitor: Page) -> None:
    status, button, link = (partial(visitor.get_by_role, role) for role in ("status", "button", "link"))
    visitor.goto(shop.portal())
    visitor.get_by_label("Plan").select_option(shop.pro["id"])
    button(name="Change plan").click()
    expect(visitor.get_by_text("Total due today")).to_be_visible()
    link(name="Go back").click()
    assert shop.subscription["items"]["data"][0]["price"] is shop.starter
    visitor.get_by_label("Plan").select_option(shop.pro["id"])
    button(name="Change plan").click()
    button(name="Confirm").click()
    expect(status()).to_have_text("Your plan is now Pro.")
    link(name="Cancel at period end").click()
    link(name="Go back").click()
    assert not shop.subscription["cancel_at"]
    link(name="Cancel at period end").click()
    button(name="Cancel subscription").click()
    expect(status()).to_contain_text("Your subscription ends on")
    button(name="Keep my subscription").click()
    expect(status()).to_have_text("Your subscription goes on.")


def test_an_invoice_of_the_portal_leads_there_and_back(shop: Shop, visitor: Page) -> None:
    shop.invoice()
    visitor.goto(shop.portal())
    visitor.get_by_role("link", name="Pay LOCAL-0002").click()
    press(visitor, "Pay 250.00 USD", ASKS)
    press(visitor, "Confirm payment")
    expect(visitor.get_by_role("status")).to_have_text("Thank you: 250.00 USD arrived.")
    visitor.get_by_role("link", name="Back to your billing").click()
    expect(visitor.get_by_role("link", name="View LOCAL-0002")).to_be_visible()


def test_a_test_card_is_filled_in_and_pays_nothing(shop: Shop, visitor: Page, request: pytest.FixtureRequest) -> None:
    intent = shop.intent()
    visitor.goto(f"{shop.address}/pay/{intent['id']}?client_secret={intent['client_secret']}&return_url={APP}")
    before = visitor.url
    visitor.get_by_label("Bank debit (settles days later)").check()
    visitor.get_by_text("Test cards and what they do").click()
    visitor.get_by_role("button", name="4000 0000 0000 0002").click()
    card = visitor.get_by_label("Card number")
    expect(card).to_have_value("4000 0000 0000 0002")
    expect(card).to_be_focused()
    expect(visitor.get_by_role("radio", name="Card")).to_be_checked()
    assert (visitor.url == before) == ("no script" not in request.node.name), "the script fills it in without a reload"
    assert intent["status"] == "requires_payment_method"
    assert not intent["last_payment_error"], "the click has tried to pay"
    card.press("Enter")
    expect(visitor.get_by_role("alert")).to_have_text("Your card was declined.")
