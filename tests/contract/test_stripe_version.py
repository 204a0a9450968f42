"""The stand-in's document, its own version and the pinned stripe-python are of one API version.

If a new stripe-python makes these fail: set `API_VERSION`, and run `python -m local.stripe.sdk`.
"""

import pytest
import requests
import stripe

from local.stripe import document, patch, sdk
from local.stripe.account import Account
from local.stripe.api import resources
from local.stripe.engine.store import API_VERSION

type Served = tuple[Account, str]


def test_there_is_one_version() -> None:
    assert stripe.api_version == API_VERSION
    assert document.load()["info"]["version"] == API_VERSION
    assert document.versions()[-1] == API_VERSION


def test_the_document_has_what_the_sdk_declares() -> None:
    left = sdk.difference(document.load())
    assert {name: left[name] for name in ("version", "added", "values")} == {
        "version": API_VERSION,
        "added": {},
        "values": {},
    }


def test_the_difference_to_the_published_document_is_made_by_the_command() -> None:
    assert sdk.difference(document.published()) == patch.load(), "run `python -m local.stripe.sdk`"


def test_the_sdk_declares_all_that_is_served() -> None:
    """Otherwise the tests above would find no difference where they cannot read the SDK."""
    documented = document.load()["paths"]
    operations = [(method, path) for method, path, _ in resources.routes() if method != "DELETE" and path in documented]
    assert [one for one in operations if not (sdk.parameters(*one) or {}).get("properties")] == []
    assert [kind for kind in resources.COLLECTIONS if len((sdk.fields(kind) or {}).get("properties", {})) < 5] == []


def test_what_the_difference_is_known_to_contain() -> None:
    """https://github.com/stripe/stripe-ruby/pull/1944"""
    newest, before = (document.parameters("POST", "/v1/payment_intents", newest=newest) for newest in (True, False))
    assert "payment_method_types" in before["properties"]
    assert "payment_method_types" not in newest["properties"]
    statuses = document.load()["components"]["schemas"]["dispute"]["properties"]["status"]["enum"]
    assert {"won", "appeal_under_review"} <= {*statuses}
    assert "appeal_under_review" not in str(document.published()["components"]["schemas"]["dispute"])


def test_a_document_that_lacks_something_is_told() -> None:
    """A parameter, a field and a value."""
    lacking = document.published()
    patch.applied(lacking, patch.load())
    del patch.parameters(lacking, "POST /v1/subscriptions")["properties"]["items"]["items"]["properties"]["price"]
    schemas = lacking["components"]["schemas"]
    del schemas["invoice"]["properties"]["amount_overpaid"]
    schemas["charge"]["properties"]["status"]["enum"].remove("failed")
    left = sdk.difference(lacking)
    assert [*left["added"]["POST /v1/subscriptions"]] == ["items[].price"]
    assert [*left["added"]["invoice"]] == ["amount_overpaid"]
    assert left["values"]["charge"] == {"status": ["failed"]}


@pytest.mark.parametrize(
    ("version", "name", "status"),
    [
        (API_VERSION, "payment_method_types", 400),
        (API_VERSION, "allowed_payment_method_types", 200),
        ("2026-08-26.dahlia", "payment_method_types", 200),
    ],
)
def test_what_a_version_removed_is_unknown_in_it(stripe_server: Served, version: str, name: str, status: int) -> None:
    account, address = stripe_server
    headers = {"Authorization": f"Bearer {account.api_key}", "Stripe-Version": version}
    form = {"amount": "100", "currency": "usd", f"{name}[]": "card"}
    answer = requests.post(f"{address}/v1/payment_intents", form, headers=headers, timeout=600)
    assert answer.status_code == status
    if status == 200:
        assert answer.json()["payment_method_types"] == ["card"]
    else:
        assert (answer.json()["error"]["code"], answer.json()["error"]["param"]) == ("parameter_unknown", name)
