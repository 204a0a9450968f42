"""The stand-in, asked by Stripe's own SDK, where billing leans on what Stripe promises."""

from typing import Any

import pytest
import stripe

from billing.stripe_api import StripeApi
from local.stripe import forms, invoices, subscriptions
from local.stripe.resources import recurring
from local.stripe.server import StripeServer
from local.stripe.store import Object, Store

type Served = tuple[StripeServer, str]


@pytest.fixture
def client(stripe_server: Served) -> stripe.StripeClient:
    server, address = stripe_server
    return stripe.StripeClient(server.api_key, base_addresses={"api": address})


def price(store: Store) -> Object:
    return store.create("price", currency="usd", unit_amount=100, product="prod_1", recurring=recurring())


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


def test_errors_are_stripes(client: stripe.StripeClient, stripe_server: Served) -> None:
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
    thing, since, until = StripeApi(server.api_key, address).fetch("subscription", subscription["id"])
    assert thing["id"] == subscription["id"]
    assert thing["items"]["data"][0]["price"]["unit_amount"] == 100
    assert since < until


def test_an_expanded_invoice(client: stripe.StripeClient, stripe_server: Served) -> None:
    store = stripe_server[0].store
    store.create("customer", id="cus_1", balance=0)
    subscription = subscriptions.create_subscription(store, "cus_1", price(store), {}, 0)
    made = invoices.create_invoice(store, subscription, "subscription_create")
    invoice = client.v1.invoices.retrieve(made["id"], {"expand": ["payments", "confirmation_secret"]}).to_dict()
    intent = invoice["payments"]["data"][0]["payment"]["payment_intent"]
    assert invoice["confirmation_secret"]["client_secret"].startswith(intent)
    assert "payments" not in client.v1.invoices.retrieve(made["id"]).to_dict()
