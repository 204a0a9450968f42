"""What Stripe refuses, the stand-in refuses: the same status, type, code and parameter.

The source of each refusal stands where the stand-in refuses, mostly in `local/stripe/limits.py`.
"""

import re
from typing import Any, NamedTuple

import pytest
import requests
import stripe

from billing.reconcile.run import MAX_TYPES
from billing.replica.effects import EFFECTS
from local.stripe import document
from local.stripe.account import Account
from local.stripe.api.catalogue import recurring
from local.stripe.engine.store import DAY, Object

type Served = tuple[Account, str]

BAD = "invalid_request_error"


class Refusal(NamedTuple):
    """`words` is a part of the message. Empty: Stripe's own words are not known."""

    method: str
    path: str
    form: dict[str, str]
    status: int
    code: str | None
    param: str | None
    words: str


def intent(param: str, code: str | None, words: str, **form: str) -> Refusal:
    whole = {"amount": "100", "currency": "usd", **form}
    return Refusal("POST", "/v1/payment_intents", whole, 400, code, param, words)


def listed(path: str, code: str | None, param: str | None, words: str, **form: str) -> Refusal:
    return Refusal("GET", path, form, 400, code, param, words)


def customer(param: str, code: str | None, words: str, form: dict[str, str]) -> Refusal:
    return Refusal("POST", "/v1/customers", form, 400, code, param, words)


def session(param: str | None, code: str | None, words: str, form: dict[str, str]) -> Refusal:
    whole = {
        "mode": "subscription",
        "success_url": "https://x.example.com",
        "line_items[0][price]": "price_month",
        "line_items[0][quantity]": "1",
        **form,
    }
    return Refusal("POST", "/v1/checkout/sessions", {n: v for n, v in whole.items() if v}, 400, code, param, words)


def subscription(param: str | None, code: str | None, words: str, **form: str) -> Refusal:
    whole = {"customer": "cus_1", "items[0][price]": "price_month", **form}
    return Refusal("POST", "/v1/subscriptions", whole, 400, code, param, words)


def post(
    path: str, form: dict[str, str], param: str | None, code: str | None, words: str, status: int = 400
) -> Refusal:
    return Refusal("POST", path, form, status, code, param, words)


INTEGER = "parameter_invalid_integer"
AT_LEAST_1 = "This value must be greater than or equal to 1."
TOO_SMALL, TOO_LARGE = "amount_too_small", "amount_too_large"
MISSING, STATE = "resource_missing", "payment_intent_unexpected_state"
LONG_TRIAL = "The maximum number of trial period days is 730 (2 years)."

REFUSALS = [
    # amounts and currencies
    intent("amount", TOO_SMALL, "Amount must be at least $0.50 usd", amount="49"),
    intent("amount", TOO_SMALL, "Amount must be at least £0.30 gbp", amount="29", currency="gbp"),
    intent("amount", TOO_SMALL, "Amount must be at least ¥50 jpy", amount="49", currency="jpy"),
    intent("amount", TOO_SMALL, "at least 175.00 huf", amount="17499", currency="huf"),
    intent("amount", INTEGER, AT_LEAST_1, amount="0"),
    intent("amount", INTEGER, AT_LEAST_1, amount="-1"),
    intent("amount", TOO_LARGE, "Amount must be no more than $999,999.99 usd", amount="100000000"),
    intent("amount", TOO_LARGE, "no more than", amount="1000000000", currency="inr"),
    intent(
        "currency", None, "Invalid currency: xyz. Stripe currently supports these currencies: usd, aed", currency="xyz"
    ),
    intent("currency", None, "Invalid currency: xbt", currency="xbt"),
    post("/v1/payment_intents/pi_1", {"amount": "10"}, "amount", TOO_SMALL, "at least $0.50 usd"),
    post("/v1/payment_intents/pi_1", {"amount": "0"}, "amount", INTEGER, AT_LEAST_1),
    post("/v1/payment_intents/pi_done", {"amount": "900"}, None, STATE, ""),
    post("/v1/refunds", {"payment_intent": "pi_done", "amount": "0"}, "amount", INTEGER, AT_LEAST_1),
    post("/v1/refunds", {"payment_intent": "pi_done", "amount": "-5"}, "amount", INTEGER, AT_LEAST_1),
    post(
        "/v1/prices",
        {"currency": "usd", "unit_amount": "-1", "product": "prod_1"},
        "unit_amount",
        INTEGER,
        "or equal to 0",
    ),
    post(
        "/v1/prices",
        {"currency": "u", "unit_amount": "1", "product": "prod_1"},
        "currency",
        None,
        "Invalid currency: u",
    ),
    session(
        None, TOO_SMALL, "total amount due must add up to at least $0.50 usd", {"line_items[0][price]": "price_cheap"}
    ),
    session(None, TOO_LARGE, "no more than $999,999.99 usd", {"line_items[0][quantity]": "100000000"}),
    # texts
    customer(
        "metadata",
        None,
        "Metadata can have up to 50 keys, but you've set 51",
        {f"metadata[{n}]": "x" for n in range(51)},
    ),
    customer("metadata", None, "must be a string under 40 characters", {f"metadata[{'k' * 41}]": "x"}),
    customer("metadata", None, "must be a string under 500 characters", {"metadata[k]": "x" * 501}),
    session("subscription_data[metadata]", None, "under 500", {"subscription_data[metadata][k]": "x" * 501}),
    *(
        customer("email", "email_invalid", f"Invalid email address: {address}", {"email": address})
        for address in ("odatakeryu", "otameshi@com", " a@b.example", "a@b＠c.example", "a@b@c.example", "@b.example")
    ),
    session("customer_email", "email_invalid", "Invalid email address: x", {"customer_email": "x"}),
    intent("receipt_email", "email_invalid", "Invalid email address: x", receipt_email="x"),
    session("success_url", "url_invalid", "Not a valid URL", {"success_url": "done"}),
    session("cancel_url", "url_invalid", "Not a valid URL", {"cancel_url": "/back"}),
    post(
        "/v1/billing_portal/sessions",
        {"customer": "cus_1", "return_url": "x"},
        "return_url",
        "url_invalid",
        "Not a valid URL",
    ),
    # lists
    listed("/v1/customers", INTEGER, "limit", AT_LEAST_1, limit="0"),
    listed("/v1/customers", INTEGER, "limit", "less than or equal to 100 (it currently is '101')", limit="101"),
    listed("/v1/invoices/in_1/lines", INTEGER, "limit", AT_LEAST_1, limit="0"),
    listed(
        "/v1/customers",
        None,
        None,
        "Received both starting_after and ending_before",
        starting_after="c",
        ending_before="c",
    ),
    Refusal(
        "GET",
        "/v1/events",
        {"type": "a", "types[]": "b"},
        400,
        None,
        "type",
        "only specify one of these parameters: type, types",
    ),
    Refusal("GET", "/v1/events", {f"types[{n}]": f"t{n}" for n in range(21)}, 400, None, "types", ""),
    Refusal(
        "GET",
        "/v1/charges",
        {"expand[]": "customer"},
        400,
        None,
        "expand",
        "This property cannot be expanded (customer). You may want to try expanding 'data.customer' instead.",
    ),
    Refusal("GET", "/v1/charges", {"expand[]": "data.amount"}, 400, None, "expand", "cannot be expanded (data.amount)"),
    Refusal(
        "GET", "/v1/invoices/in_1", {"expand[]": "payments.data.payment.x"}, 400, None, "expand", "cannot be expanded"
    ),
    Refusal("GET", "/v1/invoices/in_1", {"expand[]": "payments.payment"}, 400, None, "expand", "cannot be expanded"),
    Refusal("GET", "/v1/invoices", {"expand[]": "data.a.b.c.d"}, 400, None, "expand", "more than 4 levels"),
    customer("expand", None, "cannot be expanded", {"expand[]": "nothing"}),
    # subscriptions and checkout
    subscription("trial_period_days", None, LONG_TRIAL, trial_period_days="731"),
    subscription("trial_end", None, LONG_TRIAL, trial_end=str(9_999_999_999)),
    subscription("items", None, "", **{f"items[{n}][price]": "price_month" for n in range(21)}),
    subscription("items[0][quantity]", INTEGER, "or equal to 0", **{"items[0][quantity]": "-1"}),
    session("subscription_data[trial_period_days]", None, LONG_TRIAL, {"subscription_data[trial_period_days]": "731"}),
    session("subscription_data[trial_period_days]", INTEGER, AT_LEAST_1, {"subscription_data[trial_period_days]": "0"}),
    session(
        "customer",
        None,
        "specify one of these parameters: customer, customer_email",
        {"customer": "cus_1", "customer_email": "a@b.example"},
    ),
    session("success_url", "parameter_missing", "Missing required param: success_url", {"success_url": ""}),
    session(
        "line_items[0]",
        None,
        "Quantity is required. Add `quantity` to `line_items[0]`",
        {"line_items[0][quantity]": ""},
    ),
    session("line_items[0][quantity]", INTEGER, AT_LEAST_1, {"line_items[0][quantity]": "0"}),
    session(
        "line_items[0][price]",
        None,
        "must provide at least one recurring price",
        {"line_items[0][price]": "price_once"},
    ),
    session("line_items[0][price]", None, "`payment` mode but passed a recurring price", {"mode": "payment"}),
    session(
        None,
        None,
        "",
        {f"line_items[{n}][{k}]": v for n in range(21) for k, v in (("price", "price_month"), ("quantity", "1"))},
    ),
    session(
        "line_items",
        None,
        "",
        {f"line_items[{n}][{k}]": v for n in range(101) for k, v in (("price", "price_once"), ("quantity", "1"))},
    ),
    session("line_items", None, "", {"line_items[1][price]": "price_euro", "line_items[1][quantity]": "1"}),
    session("expires_at", None, "", {"expires_at": "1"}),
    Refusal("DELETE", "/v1/subscriptions/sub_ended", {}, 404, MISSING, "id", "No such subscription: 'sub_ended'"),
    post(
        "/v1/subscriptions/sub_ended",
        {"description": "x"},
        None,
        None,
        "can only update its cancellation_details and metadata",
    ),
    # payments
    post("/v1/payment_intents/pi_1/confirm", {}, None, STATE, "it's missing a payment method"),
    post(
        "/v1/payment_intents/pi_1/confirm",
        {"payment_method": "pm_none"},
        "payment_method",
        MISSING,
        "No such PaymentMethod: 'pm_none'",
    ),
    post(
        "/v1/payment_intents/pi_1/confirm",
        {"payment_method": "cus_1"},
        "payment_method",
        MISSING,
        "No such PaymentMethod: 'cus_1'",
    ),
    post(
        "/v1/payment_intents/pi_1/confirm",
        {"payment_method": "tok_visa"},
        "payment_method",
        None,
        "A token may not be passed in as a PaymentMethod",
    ),
    post(
        "/v1/payment_intents/pi_1/confirm",
        {"payment_method": "pm_bank"},
        "payment_method",
        "payment_intent_incompatible_payment_method",
        "The PaymentMethod provided (sepa_debit) is not allowed",
    ),
    post(
        "/v1/payment_intents/pi_1/confirm",
        {"payment_method": "pm_other"},
        "payment_method",
        None,
        "belongs to the Customer cus_2",
    ),
    post(
        "/v1/payment_intents/pi_auto/confirm",
        {"payment_method": "pm_card_visa"},
        None,
        None,
        "you must provide a `return_url`",
    ),
    post("/v1/payment_intents/pi_done/confirm", {"payment_method": "pm_card_visa"}, None, STATE, ""),
    intent(
        "automatic_payment_methods",
        None,
        "specify one of these parameters",
        **{"automatic_payment_methods[enabled]": "true", "payment_method_types[]": "card"},
    ),
    post(
        "/v1/customers/cus_1",
        {"invoice_settings[default_payment_method]": "in_1"},
        "invoice_settings[default_payment_method]",
        MISSING,
        "No such PaymentMethod: 'in_1'",
    ),
    subscription("default_payment_method", MISSING, "No such PaymentMethod: 'x'", default_payment_method="x"),
    post(
        "/v1/invoices/in_1/pay",
        {"payment_method": "cus_1"},
        "payment_method",
        MISSING,
        "No such PaymentMethod: 'cus_1'",
    ),
    post("/v1/invoices/in_paid/attach_payment", {"payment_intent": "pi_done"}, None, None, ""),
    post("/v1/invoices/in_1/attach_payment", {"payment_intent": "pi_euro"}, "payment_intent", None, ""),
    # addresses
    Refusal("GET", "/v1/customers/", {}, 404, None, None, "Unrecognized request URL (GET: /v1/customers/)"),
    Refusal("PUT", "/v1/customers", {}, 404, None, None, "Unrecognized request URL (PUT: /v1/customers)"),
]


def stock(account: Account) -> None:
    """The objects that the table above names."""
    store = account.store
    for customer_id in ("cus_1", "cus_2"):
        store.create("customer", id=customer_id)
    store.create("product", id="prod_1")
    monthly, once = {"recurring": recurring(), "type": "recurring"}, {"recurring": None, "type": "one_time"}
    for name, amount, currency, more in (
        ("month", 900, "usd", monthly),
        ("cheap", 20, "usd", monthly),
        ("once", 900, "usd", once),
        ("euro", 900, "eur", monthly),
    ):
        known: Object = {"unit_amount": amount, "currency": currency, "active": True, "product": "prod_1"}
        store.create("price", id=f"price_{name}", **known, **more)
    for name, currency, status in (
        ("1", "usd", "requires_payment_method"),
        ("auto", "usd", "requires_payment_method"),
        ("euro", "eur", "requires_payment_method"),
        ("done", "usd", "succeeded"),
    ):
        types = {"payment_method_types": ["card"], "capture_method": "automatic"}
        store.create("payment_intent", id=f"pi_{name}", amount=900, currency=currency, status=status, **types)
    store.get("payment_intent", "pi_auto")["automatic_payment_methods"] = {"enabled": True, "allow_redirects": "always"}
    charge = store.create("charge", id="ch_1", amount=900, amount_refunded=0, currency="usd", payment_intent="pi_done")
    store.get("payment_intent", "pi_done")["latest_charge"] = charge["id"]
    store.create("payment_method", id="pm_bank", type="sepa_debit", _card="pm_sepaDebit_success")
    store.create("payment_method", id="pm_other", type="card", _card="pm_card_visa", customer="cus_2")
    store.create("subscription", id="sub_ended", status="canceled", customer="cus_1", schedule=None)
    for name, status in (("1", "open"), ("paid", "paid")):
        lines = {"object": "list", "data": [], "has_more": False, "url": ""}
        store.create("invoice", id=f"in_{name}", status=status, currency="usd", customer="cus_1", lines=lines)


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda r: f"{r.method} {r.path} {r.param} {r.words[:40]}")
def test_what_stripe_refuses(stripe_server: Served, refusal: Refusal) -> None:
    account, address = stripe_server
    stock(account)
    before = made_so_far(account)
    sent: Any = {"params" if refusal.method == "GET" else "data": refusal.form}
    answer = requests.request(
        refusal.method, f"{address}{refusal.path}", auth=(account.api_key, ""), timeout=600, **sent
    )
    error = answer.json()["error"]
    met = (answer.status_code, error["type"], error.get("code"), error.get("param"))
    assert met == (refusal.status, BAD, refusal.code, refusal.param), error
    assert refusal.words in error["message"]
    assert made_so_far(account) == before, "a refused request makes nothing"


def made_so_far(account: Account) -> int:
    return sum(len(of_a_kind) for of_a_kind in account.store.objects.values())


# -- the request itself


def call(served: Served, method: str, path: str, **more: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {served[0].api_key}", **more.pop("headers", {})}
    return requests.request(method, f"{served[1]}{path}", headers=headers, timeout=600, **more)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [("application/json", '{"name": "A"}'), ("text/plain; charset=utf-8", "name=A"), ("", "name=A")],
)
def test_a_body_that_is_no_form(stripe_server: Served, content_type: str, body: str) -> None:
    answer = call(stripe_server, "POST", "/v1/customers", data=body, headers={"Content-Type": content_type})
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (400, BAD)
    assert f"unsupported Content-Type {content_type}." in error["message"]
    assert stripe_server[0].store.all("customer") == []


def test_a_call_without_a_body_needs_no_content_type(stripe_server: Served) -> None:
    assert call(stripe_server, "POST", "/v1/customers").status_code == 200


@pytest.mark.parametrize("path", ["/v1/customers", "/v1/customers/cus_none", "/v1/none", "/v1/customers?colour=red"])
def test_head_is_get_without_a_body(stripe_server: Served, path: str) -> None:
    head, get = (call(stripe_server, method, path) for method in ("HEAD", "GET"))
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("version", "status"),
    [
        (stripe.api_version, 200),
        ("2024-06-20", 200),
        ("latest", 400),
        ("2019-2-19", 400),
        ("2025-09-30.acacia", 400),
        ("2019-12-03, 2019-12-03", 400),
    ],
)
def test_a_version_that_never_was(stripe_server: Served, version: str, status: int) -> None:
    answer = call(stripe_server, "GET", "/v1/customers", headers={"Stripe-Version": version})
    assert answer.status_code == status
    if status != 200:
        assert answer.json()["error"]["message"] == f"Invalid Stripe API version: {version}"


def test_request_ids_and_replays(stripe_server: Served) -> None:
    headers = {"Idempotency-Key": "k" * 255}
    first, again = (call(stripe_server, "POST", "/v1/customers", data={"name": "A"}, headers=headers) for _ in "12")
    ids = [answer.headers["Request-Id"] for answer in (first, again)]
    assert all(re.fullmatch(r"req_[A-Za-z0-9]{14}", one) for one in ids)
    assert ids[0] != ids[1]
    assert [answer.headers["Original-Request"] for answer in (first, again)] == [ids[0], ids[0]]
    assert [answer.headers["Idempotency-Key"] for answer in (first, again)] == ["k" * 255, "k" * 255]
    assert [answer.headers.get("Idempotent-Replayed") for answer in (first, again)] == [None, "true"]
    assert first.content == again.content
    events = call(stripe_server, "GET", "/v1/events").json()["data"]
    assert [event["request"]["id"] for event in events] == [ids[0]]


def test_a_failure_is_replayed_as_it_was(stripe_server: Served) -> None:
    stripe_server[0].fail(500)
    headers = {"Idempotency-Key": "k"}
    first, again = (call(stripe_server, "POST", "/v1/customers", headers=headers) for _ in "12")
    assert (first.status_code, again.status_code) == (500, 500)
    assert (first.content, again.headers["Idempotent-Replayed"]) == (again.content, "true")
    assert first.headers["Request-Id"] in first.json()["error"]["request_log_url"]


def test_what_was_not_carried_out_is_not_replayed(stripe_server: Served) -> None:
    """https://docs.stripe.com/api/idempotent_requests: no result is kept if the parameters were invalid."""
    headers = {"Idempotency-Key": "k"}
    wrong = call(stripe_server, "POST", "/v1/customers", data={"email": "x"}, headers=headers)
    right = call(stripe_server, "POST", "/v1/customers", data={"email": "a@b.example"}, headers=headers)
    assert (wrong.status_code, right.status_code) == (400, 200)
    assert "Idempotent-Replayed" not in right.headers


def test_an_event_after_a_refused_request_is_not_of_that_request(stripe_server: Served) -> None:
    account, _ = stripe_server
    assert call(stripe_server, "POST", "/v1/customers", data={"email": "x"}).status_code == 400
    assert account.store.emit("customer.updated", account.store.create("customer"))["request"]["id"] is None


def test_a_key_is_no_longer_than_255_characters(stripe_server: Served) -> None:
    answer = call(stripe_server, "POST", "/v1/customers", headers={"Idempotency-Key": "k" * 256})
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, BAD)
    assert stripe_server[0].store.all("customer") == []


def test_only_a_post_has_a_key(stripe_server: Served) -> None:
    answer = call(stripe_server, "GET", "/v1/customers", headers={"Idempotency-Key": "k" * 256})
    assert (answer.status_code, "Idempotency-Key" in answer.headers) == (200, False)


# -- what is still allowed


def test_what_stripe_takes(stripe_server: Served) -> None:
    account, _ = stripe_server
    stock(account)
    far = str(account.store.now() + 729 * DAY)
    for path, form in (
        ("/v1/payment_intents", {"amount": "50", "currency": "usd"}),
        ("/v1/payment_intents", {"amount": "99999999", "currency": "USD"}),
        ("/v1/payment_intents", {"amount": "999999999", "currency": "inr"}),
        ("/v1/payment_intents/pi_auto/confirm", {"payment_method": "pm_card_visa", "return_url": "app://back"}),
        ("/v1/customers", {"email": "first.last+tag@sub.b.example", **{f"metadata[{n}]": "x" for n in range(50)}}),
        ("/v1/customers", {f"metadata[{'k' * 40}]": "x" * 500}),
        ("/v1/customers", {"metadata[email]": "no address", "metadata[amount]": "-1"}),
        ("/v1/customers/cus_1", {"metadata": ""}),
        ("/v1/invoiceitems", {"customer": "cus_1", "amount": "-700", "currency": "usd"}),
        ("/v1/prices", {"currency": "usd", "unit_amount": "0", "product": "prod_1"}),
        ("/v1/subscriptions/sub_ended", {"metadata[why]": "x"}),
        ("/v1/subscriptions", {"customer": "cus_1", "items[0][price]": "price_month", "trial_period_days": "730"}),
        (
            "/v1/subscriptions",
            {"customer": "cus_1", "items[0][price]": "price_month", "trial_period_days": "1", "trial_end": far},
        ),
    ):
        answer = call(stripe_server, "POST", path, data=form)
        assert answer.status_code == 200, (path, form, answer.text)


def test_an_expansion_below_an_expanded_object(stripe_server: Served) -> None:
    stock(stripe_server[0])
    path = "/v1/charges/ch_1?expand[]=payment_intent.latest_charge&expand[]=refunds"
    charge = call(stripe_server, "GET", path).json()
    assert charge["payment_intent"]["latest_charge"]["id"] == "ch_1"


def test_reconciliation_asks_for_no_more_types_than_stripe_takes() -> None:
    """The stand-in refuses more, so the tests of reconciliation fail if it does."""
    description = next(
        one["description"]
        for one in document.load()["paths"]["/v1/events"]["get"]["parameters"]
        if one["name"] == "types"
    )
    assert f"up to {MAX_TYPES} " in description
    assert len(EFFECTS) > MAX_TYPES, "else the tests of reconciliation do not show that the list is split"
