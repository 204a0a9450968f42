"""The customer's pages: what they say after a change, where they lead back to, and their test cards."""

import copy
import re

import pytest
import requests

from local.stripe.account import Account
from local.stripe.engine import checkout, payments
from local.web import day
from tests.shop import APP, Shop, back, get, post, said


@pytest.fixture
def shop(stripe_server: tuple[Account, str]) -> Shop:
    return Shop(*stripe_server)


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
    other = f"/pay/{intent['id']}?{query}&other=card"
    assert back(post(f"{page}?{query}", card="4000002760003184")) == [other]
    assert "Your bank asks" in get(f"{page}?{query}"), "a payment that waits goes on with the question"
    assert "Card number" in get(shop.address + other)
    assert back(post(f"{page}/confirm?{query}", answer="yes")) == [APP]


# -- what the customer entered

ASKS = "4000 0027 6000 3184"


def field(text: str) -> str:
    [found] = re.findall(r'<input id="card"[^>]*>', text)
    return str(found)


def test_after_a_refusal_the_card_is_still_there_and_the_keyboard_is_in_its_field(shop: Shop) -> None:
    session, intent, invoice = shop.checkout(), shop.intent(), shop.invoice()
    secret = f"client_secret={intent['client_secret']}"
    for path, query in ((f"c/pay/{session['id']}", ""), (f"pay/{intent['id']}", secret), (f"i/{invoice['id']}", "")):
        page = f"{shop.address}/{path}"
        assert "autofocus" not in get(f"{page}?{query}"), "nothing was done yet"
        asked = post(f"{page}?{query}", card=ASKS)
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', asked))
        refused = post(f"{page}/confirm?{query}", **hidden, answer="no")
        assert "refused the payment" in refused
        assert f'value="{ASKS}"' in field(refused)
        assert field(refused).endswith('aria-describedby="problem" autofocus>')
    declined = post(f"{shop.portal()}/payment_method", card="4000000000000002")
    assert field(declined).endswith('aria-describedby="problem" autofocus>')


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
