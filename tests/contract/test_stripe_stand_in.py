"""Checks with Stripe's own SDK that the stand-in keeps the promises of Stripe that billing uses."""

from typing import Any

import pytest
import requests
import stripe

from billing.adapters.stripe_api import StripeApi
from local.stripe.account import Account
from local.stripe.api import forms
from local.stripe.api.catalogue import recurring
from local.stripe.engine import invoices, subscriptions
from local.stripe.engine.store import Object, Store
from local.template import ROOT

type Served = tuple[Account, str]


@pytest.fixture
def client(stripe_server: Served) -> stripe.StripeClient:
    server, address = stripe_server
    return stripe.StripeClient(server.api_key, base_addresses={"api": address})


def price(store: Store) -> Object:
    return store.create("price", currency="usd", unit_amount=100, active=True, product="prod_1", recurring=recurring())


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([("a", "1")], {"a": "1"}),
        ([("a[b]", "1"), ("a[c][d]", "2")], {"a": {"b": "1", "c": {"d": "2"}}}),
        ([("a[0][b]", "1"), ("a[1][b]", "2")], {"a": [{"b": "1"}, {"b": "2"}]}),
        ([("expand[]", "x"), ("expand[]", "y")], {"expand": ["x", "y"]}),
        ([(f"a[{n}]", str(n)) for n in range(11)], {"a": [str(n) for n in range(11)]}),
    ],
)
def test_nested_forms(pairs: list[tuple[str, str]], expected: dict[str, Any]) -> None:
    assert forms.decode(pairs) == expected


def test_the_same_key_gives_the_same_answer(client: stripe.StripeClient) -> None:
    options: Any = {"idempotency_key": "k1"}
    first = client.v1.customers.create({"name": "A"}, options)
    assert client.v1.customers.create({"name": "A"}, options).id == first.id
    with pytest.raises(stripe.IdempotencyError):
        client.v1.customers.create({"name": "B"}, options)
    assert len(client.v1.customers.list().data) == 1


def test_errors_look_like_stripes_errors(client: stripe.StripeClient, stripe_server: Served) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.customers.retrieve("cus_none")
    assert (caught.value.http_status, caught.value.code) == (404, "resource_missing")
    assert caught.value.request_id
    parameters: Any = {"customer": "cus_none", "return_url": "https://x.example.com"}
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.billing_portal.sessions.create(parameters)
    assert (caught.value.http_status, caught.value.param) == (400, "customer")
    with pytest.raises(stripe.AuthenticationError):
        stripe.StripeClient("sk_test_wrong", base_addresses={"api": stripe_server[1]}).v1.customers.list()
    with pytest.raises(stripe.InvalidRequestError):
        client.raw_request("get", "/v1/accounts")


def test_a_declined_card(client: stripe.StripeClient) -> None:
    intent = client.v1.payment_intents.create({"amount": 100, "currency": "usd"})
    with pytest.raises(stripe.CardError) as caught:
        client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_chargeDeclined"})
    assert caught.value.code == "card_declined"


def test_an_answer_is_dated_by_stripe(stripe_server: Served) -> None:
    server, address = stripe_server
    subscription = subscriptions.create_subscription(server.store, "cus_1", price(server.store), {}, 0)
    answer = StripeApi(server.api_key, address).fetch("subscription", subscription["id"])
    assert answer.object["id"] == subscription["id"]
    assert answer.object["items"]["data"][0]["price"]["unit_amount"] == 100
    assert answer.since < answer.until


def test_an_expanded_invoice(client: stripe.StripeClient, stripe_server: Served) -> None:
    store = stripe_server[0].store
    store.create("customer", id="cus_1", balance=0)
    subscription = subscriptions.create_subscription(store, "cus_1", price(store), {}, 0)
    made = invoices.create_invoice(store, subscription, "subscription_create")
    invoice = client.v1.invoices.retrieve(made["id"], {"expand": ["payments", "confirmation_secret"]}).to_dict()
    intent = invoice["payments"]["data"][0]["payment"]["payment_intent"]
    assert invoice["confirmation_secret"]["client_secret"].startswith(intent)
    assert "payments" not in client.v1.invoices.retrieve(made["id"]).to_dict()


@pytest.mark.parametrize(
    ("form", "param", "message"),
    [
        ({"mode": "subscripton"}, "mode", "must be one of payment, setup, subscription"),
        ({"trail_days": "3"}, "trail_days", "unknown parameter"),
        ({"line_items[0][price]": "price_none"}, "line_items[0][price]", "No such price"),
        ({"line_items[0][prize]": "x"}, "line_items[0][prize]", "unknown parameter"),
        ({"line_items[0][quantity]": "two"}, "line_items[0][quantity]", "Invalid integer"),
        ({"subscription_data[trial_period_days]": "1.5"}, "subscription_data[trial_period_days]", "Invalid integer"),
        ({"automatic_tax[enabled]": "yes"}, "automatic_tax[enabled]", "Invalid boolean"),
        ({"automatic_tax[liability][type]": "self"}, "automatic_tax[enabled]", "Missing required param"),
        ({"customer": ""}, "customer", "empty string"),
        ({"line_items": "price_1"}, "line_items", "Invalid array"),
        ({"metadata": "x"}, "metadata", "Invalid object"),
        ({"customer": "c" * 5001}, "customer", "at most 5000"),
        ({"mode": "subscription"}, "line_items", "Missing required param"),
        ({"expand[]": "nothing"}, "expand", "cannot be expanded"),
    ],
)
def test_what_stripe_refuses_is_refused(stripe_server: Served, form: dict[str, str], param: str, message: str) -> None:
    server, address = stripe_server
    sold = {"line_items[0][price]": price(server.store)["id"], "line_items[0][quantity]": "1"}
    whole = {"mode": "subscription", "success_url": "https://x.example.com", **sold, **form}
    if param == "line_items":
        whole = {"success_url": "https://x.example.com", **form}
    answer = requests.post(f"{address}/v1/checkout/sessions", whole, auth=(server.api_key, ""), timeout=600)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (400, "invalid_request_error"), answer.text
    assert message in error["message"]
    assert error["param"] == param


def test_an_unknown_version_is_refused(stripe_server: Served) -> None:
    server, address = stripe_server
    for version, status in (("2026-10-28.endive", 200), ("2024-06-20", 200), ("latest", 400)):
        headers = {"Stripe-Version": version}
        answer = requests.get(f"{address}/v1/customers", auth=(server.api_key, ""), headers=headers, timeout=600)
        assert (answer.status_code, answer.headers["Stripe-Version"]) == (status, version)
        assert answer.headers["Request-Id"].startswith("req_")


def test_pages_of_a_list(client: stripe.StripeClient) -> None:
    made = [client.v1.customers.create({"name": str(n)}).id for n in range(7)][::-1]
    first = client.v1.customers.list({"limit": 3})
    assert ([c.id for c in first.data], first.has_more) == (made[:3], True)
    assert [c.id for c in client.v1.customers.list({"limit": 3}).auto_paging_iter()] == made
    before = client.v1.customers.list({"limit": 3, "ending_before": made[5]})
    assert ([c.id for c in before.data], before.has_more) == (made[2:5], True)
    for wrong in ({"limit": 0}, {"limit": 101}, {"starting_after": "cus_none"}, {"colour": "red"}):
        with pytest.raises(stripe.InvalidRequestError):
            client.v1.customers.list(wrong)  # type: ignore[arg-type]


def test_expanded_objects(client: stripe.StripeClient) -> None:
    settings: Any = {"default_payment_method": "pm_card_visa"}
    customer = client.v1.customers.create({"invoice_settings": settings}).id
    form: Any = {
        "product_data": {"name": "Pro"},
        "currency": "usd",
        "unit_amount": 100,
        "recurring": {"interval": "day"},
    }
    bought = client.v1.prices.create(form).id
    expand: Any = ["customer", "latest_invoice.payments", "items.data.price.product"]
    made = client.v1.subscriptions.create(
        {"customer": customer, "items": [{"price": bought}], "expand": expand}
    ).to_dict()
    assert made["customer"]["id"] == customer
    assert made["latest_invoice"]["payments"]["data"][0]["status"] == "paid"
    assert made["items"]["data"][0]["price"]["product"]["name"] == "Pro"
    listed = client.v1.charges.list({"expand": ["data.customer"]}).data
    assert [charge.to_dict()["customer"]["id"] for charge in listed] == [customer]


def test_metadata_is_merged_and_taken_away(client: stripe.StripeClient) -> None:
    made = client.v1.customers.create({"metadata": {"a": "1", "b": "2"}}).id
    changed = client.v1.customers.update(made, {"metadata": {"a": "", "c": "3"}})
    assert changed.to_dict()["metadata"] == {"b": "2", "c": "3"}


def test_the_card_that_needs_its_owner(client: stripe.StripeClient, stripe_server: Served) -> None:
    intent = client.v1.payment_intents.create({"amount": 100, "currency": "usd"}).id
    confirmed = client.v1.payment_intents.confirm(intent, {"payment_method": "pm_card_authenticationRequired"})
    assert confirmed.status == "requires_action"
    url = f"{stripe_server[1]}/_control/payment_intents/{intent}/answer"
    requests.post(url, {"outcome": "paid"}, timeout=600).raise_for_status()
    assert client.v1.payment_intents.retrieve(intent).status == "succeeded"


@pytest.mark.parametrize(
    ("section", "head", "least"),
    [("What follows from what", "what happens", 15), ("What it refuses", "what is refused", 20)],
)
def test_every_row_names_a_source_outside_this_project(section: str, head: str, least: int) -> None:
    page = (ROOT / "docs/stand-in.md").read_text()
    table = page.split(f"## {section}\n")[1].split("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ") and not line.startswith(f"| {head}")]
    assert len(rows) > least
    assert [row for row in rows if "](https://" not in row] == []
