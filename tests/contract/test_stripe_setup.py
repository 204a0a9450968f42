"""Checks the set-up of Stripe. It uses Stripe's own SDK, the stand-in, and Secrets Manager in moto."""

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
import requests
import stripe
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from moto import mock_aws

from billing.adapters.secret import parse
from billing.replica.effects import EFFECTS
from local.aws.clients import REGION
from local.stripe.account import Account
from local.stripe.api import account as api_account
from local.stripe.api import lists
from local.stripe.api.catalogue import create_price
from local.stripe.engine import payments, periods, subscriptions
from local.stripe.engine.store import API_VERSION, Object
from local.stripe_setup import __main__ as setup
from tests.world import CREDENTIALS

type Served = tuple[Account, str]

URL = "https://api.example.com/api/v1/billing/stripe/webhook"
KEYS = {"api-key": "rk_test_functions", "another": {"kept": True}}
OLDER = "2025-06-30.basil"


@dataclass
class Deployment:
    server: Account
    address: str
    secrets: Any
    arn: str
    capsys: pytest.CaptureFixture[str]
    output: str = ""

    def run(self, *flags: str, **environment: str) -> int:
        known = {"STRIPE_API_KEY": self.server.api_key, "STRIPE_API_BASE": self.address}
        given = {**known, "WEBHOOK_URL": URL, "SECRET_ARN": self.arn, **environment}
        status = setup.main(flags, given)
        captured = self.capsys.readouterr()
        self.output = captured.out + captured.err
        for secret in (self.server.api_key, "rk_test_functions", *self.signing, *self.endpoint_secrets()):
            assert secret not in self.output
        return status

    def endpoint_secrets(self) -> list[str]:
        return [e["_secret"] for e in self.server.store.all("webhook_endpoint")]

    def write(self, value: Any) -> None:
        text = value if isinstance(value, str) else json.dumps(value)
        self.secrets.put_secret_value(SecretId=self.arn, SecretString=text)

    @property
    def secret(self) -> Any:
        return json.loads(self.secrets.get_secret_value(SecretId=self.arn)["SecretString"])

    @property
    def signing(self) -> list[str]:
        """Returns the stored signing secrets, or an empty list if the secret does not hold a list."""
        text = self.secrets.get_secret_value(SecretId=self.arn)["SecretString"]
        value = json.loads(text) if text.startswith("{") else {}
        found = value.get("webhook-secret")
        return found if isinstance(found, list) else []

    @property
    def endpoints(self) -> list[Object]:
        return self.server.store.all("webhook_endpoint")

    @property
    def portal(self) -> Object:
        [ours] = self.server.store.all("billing_portal.configuration", is_default=False)
        return ours

    def writes(self) -> list[tuple[str, str]]:
        """Returns the calls since the last check that changed something at Stripe."""
        made = [call for call in self.server.calls if call[0] != "GET"]
        self.server.calls.clear()
        return made

    def endpoint(self, **values: Any) -> Object:
        """Creates an endpoint that the set-up did not make, and stores its signing secret."""
        known = {"url": URL, "status": "enabled", "api_version": API_VERSION, "enabled_events": list(EFFECTS)}
        made = self.server.store.create("webhook_endpoint", **{**known, "_secret": "whsec_other", **values})
        self.write(KEYS | {"webhook-secret": [made["_secret"]]})
        return made

    def price(self, **values: Any) -> Object:
        form = {"currency": "usd", "unit_amount": 100, "recurring": {"interval": "month"}}
        return create_price(self.server.store, form | {"product_data": {"name": "Pro"}} | values, "")


@pytest.fixture
def deployment(
    stripe_server: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Deployment]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        secrets = boto3.client("secretsmanager", region_name=REGION)
        value = json.dumps(KEYS | {"webhook-secret": []})
        arn = secrets.create_secret(Name="billing/stripe", SecretString=value)["ARN"]
        stripe_server[0].restricted_keys.add(KEYS["api-key"])  # type: ignore[arg-type]
        yield Deployment(*stripe_server, secrets, arn, capsys)


# -- first set-up


def test_the_first_run_sets_up_everything(deployment: Deployment) -> None:
    assert deployment.run() == 0, deployment.output
    [endpoint] = deployment.endpoints
    assert endpoint["enabled_events"] == list(EFFECTS)
    assert (endpoint["url"], endpoint["status"], endpoint["api_version"]) == (URL, "enabled", stripe.api_version)
    assert endpoint["metadata"] == deployment.portal["metadata"] == {"managedBy": "billing"}
    assert endpoint["description"]
    named = {"portal-configuration": deployment.portal["id"]}
    assert deployment.secret == KEYS | {"webhook-secret": [endpoint["_secret"]]} | named
    assert parse(deployment.secret).portal_configuration == deployment.portal["id"]
    assert parse(deployment.secret).webhook_secrets == (endpoint["_secret"],)
    features = deployment.portal["features"]
    enabled = {name: feature["enabled"] for name, feature in features.items()}
    assert enabled == {
        "customer_update": False,
        "invoice_history": True,
        "payment_method_update": True,
        "subscription_cancel": True,
        "subscription_update": False,
    }
    assert features["subscription_cancel"]["mode"] == "at_period_end"
    assert deployment.output.rstrip().endswith("2 changes made.")
    assert deployment.run(CHECK="1") == 0, deployment.output


def test_a_second_run_changes_nothing(deployment: Deployment) -> None:
    prices = f"{deployment.price()['id']},{deployment.price()['id']}"
    deployment.run(PRICES=prices)
    before = deployment.secret
    deployment.writes()
    for environment in ({}, {"PRICES": prices}, {"PRICES": ",".join(prices.split(",")[::-1])}):
        assert deployment.run(**environment) == 0
        assert deployment.output.rstrip().endswith("Nothing to change.")
    assert (deployment.writes(), deployment.secret) == ([], before)


@pytest.mark.parametrize(("flags", "environment"), [(("--dry-run",), {}), ((), {"DRY_RUN": "1"})])
def test_a_dry_run_says_it_all_and_changes_nothing(
    deployment: Deployment, flags: tuple[str, ...], environment: dict[str, str]
) -> None:
    before = deployment.secret
    assert deployment.run(*flags, **environment) == 0
    assert (deployment.writes(), deployment.secret) == ([], before)
    for line in (
        f"{len(EFFECTS)} types: ",
        f"api_version: {API_VERSION}",
        "features.subscription_cancel.mode: at_period",
    ):
        assert line in deployment.output
    assert deployment.output.rstrip().endswith("2 changes to make, nothing was changed.")


def test_prices_are_what_customers_switch_between(deployment: Deployment) -> None:
    monthly = deployment.price()
    yearly = deployment.price(product=monthly["product"], product_data=None, recurring={"interval": "year"})
    other = deployment.price()
    assert deployment.run(PRICES=f"{monthly['id']}, {other['id']},{yearly['id']}") == 0
    update = deployment.portal["features"]["subscription_update"]
    assert (update["enabled"], update["default_allowed_updates"]) == (True, ["price"])
    products = {one["product"]: one["prices"] for one in update["products"]}
    assert products == {monthly["product"]: [monthly["id"], yearly["id"]], other["product"]: [other["id"]]}
    assert deployment.run(PRICES=monthly["id"]) == 0
    assert "features.subscription_update.products: " in deployment.output
    [left] = deployment.portal["features"]["subscription_update"]["products"]
    assert left["prices"] == [monthly["id"]]
    assert deployment.run() == 0  # a run without prices does not change the products
    assert deployment.portal["features"]["subscription_update"]["products"] == [left]


def test_products_that_are_left_out_of_a_list_are_asked_for(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stripe's document marks the products as expandable. It does not say whether an unexpanded answer has them."""
    price = deployment.price()["id"]
    deployment.run(PRICES=price)
    whole = lists.listed

    def without(*given: Any) -> Object:
        page = copy.deepcopy(whole(*given))
        for one in page["data"]:
            one["features"]["subscription_update"].pop("products")
        return page

    monkeypatch.setattr(api_account, "listed", without)
    assert deployment.run(PRICES=price) == 0
    assert deployment.output.rstrip().endswith("Nothing to change.")


# -- differences from the expected set-up


def test_types_that_drifted_are_set_right(deployment: Deployment) -> None:
    deployment.run()
    [endpoint] = deployment.endpoints
    endpoint["enabled_events"] = [*list(EFFECTS)[1:], "customer.created"]
    assert deployment.run(CHECK="1") == 1
    difference = "enabled_events: missing checkout.session.completed; surplus customer.created"
    assert difference in deployment.output
    assert deployment.run() == 0
    assert difference in deployment.output
    assert endpoint["enabled_events"] == list(EFFECTS)
    endpoint["enabled_events"] = ["*"]
    assert deployment.run(CHECK="1") == 1
    assert "surplus *" in deployment.output


def test_a_disabled_endpoint_is_enabled_with_a_message(deployment: Deployment) -> None:
    deployment.run()
    [endpoint] = deployment.endpoints
    endpoint["status"] = "disabled"
    assert deployment.run("--check") == 1
    assert "status: disabled -> enabled" in deployment.output
    assert deployment.run(DRY_RUN="1") == 0
    assert (endpoint["status"], "it is enabled again" in deployment.output) == ("disabled", True)
    assert deployment.run() == 0
    assert (endpoint["status"], "it is enabled again" in deployment.output) == ("enabled", True)
    assert len(deployment.endpoints) == 1


def test_a_portal_that_drifted_is_set_right(deployment: Deployment) -> None:
    deployment.run()
    deployment.portal["features"]["subscription_cancel"]["mode"] = "immediately"
    deployment.portal["active"] = False
    assert deployment.run(CHECK="1") == 1
    assert "features.subscription_cancel.mode: immediately -> at_period_end" in deployment.output
    assert deployment.run() == 0
    assert deployment.portal["active"]
    assert deployment.run(CHECK="1") == 0


def test_an_endpoint_made_by_hand_is_taken_over(deployment: Deployment) -> None:
    made = deployment.endpoint()
    assert deployment.run() == 0
    assert deployment.endpoints == [made]
    assert made["metadata"] == {"managedBy": "billing"}
    assert deployment.signing == ["whsec_other"]


def test_an_endpoint_elsewhere_is_left_alone(deployment: Deployment) -> None:
    elsewhere = deployment.endpoint(url="https://other.example.com/", enabled_events=["*"])
    assert deployment.run() == 0
    assert elsewhere["enabled_events"] == ["*"]
    assert len(deployment.endpoints) == 2


# -- a new API version, and retiring the old endpoint


@pytest.mark.parametrize("version", [OLDER, None])
def test_another_version_gets_a_second_endpoint(deployment: Deployment, version: str | None) -> None:
    old = deployment.endpoint(api_version=version)
    assert deployment.run(CHECK="1") == 1
    assert f"-> {API_VERSION}" in deployment.output or f"api_version: {API_VERSION}" in deployment.output
    assert deployment.run() == 0
    new, before = deployment.endpoints
    assert (new["api_version"], before, before["status"]) == (API_VERSION, old, "enabled")
    assert deployment.signing == [new["_secret"], "whsec_other"]
    deployment.writes()
    assert deployment.run() == 0
    assert f"{old['id']} (version {version or 'of the account'}) is to be disabled" in deployment.output
    assert "RETIRE=1" in deployment.output
    assert deployment.writes() == []
    assert deployment.run(CHECK="1") == 1
    assert "Several endpoints are enabled" in deployment.output


def test_retiring_the_old_endpoint(deployment: Deployment) -> None:
    old = deployment.endpoint(api_version=OLDER)
    assert deployment.run(RETIRE="1") == 1  # the run that makes the new endpoint does not retire the old one
    assert "Nothing is retired yet" in deployment.output
    assert (len(deployment.endpoints), old["status"]) == (2, "enabled")
    assert deployment.run(RETIRE="1", DRY_RUN="1") == 0
    assert (old["status"], len(deployment.signing)) == ("enabled", 2)
    assert deployment.run(RETIRE="1") == 0
    new = deployment.endpoints[0]
    assert (old["status"], old["metadata"]["retired"], new["status"]) == ("disabled", "yes", "enabled")
    assert deployment.signing == [new["_secret"]]
    assert KEYS.items() <= deployment.secret.items()
    deployment.writes()
    assert (deployment.run(RETIRE="1"), deployment.run(), deployment.run(CHECK="1")) == (0, 0, 0)
    assert deployment.writes() == []


def test_nothing_is_retired_whose_secret_may_be_the_only_one(deployment: Deployment) -> None:
    deployment.endpoint(api_version=OLDER)
    deployment.run()
    deployment.write(KEYS | {"webhook-secret": "whsec_whose"})
    deployment.writes()
    assert deployment.run(RETIRE="1") == 1
    assert "fewer signing secrets" in deployment.output
    assert deployment.run(CHECK="1") == 1
    assert "2 endpoints are enabled and 1 signing secrets are stored" in deployment.output
    assert deployment.writes() == []


def test_without_an_endpoint_to_retire_every_secret_stays(deployment: Deployment) -> None:
    deployment.run()
    rolled = ["whsec_rolled", *deployment.signing]
    deployment.write(KEYS | {"webhook-secret": rolled})
    assert deployment.run(RETIRE="1") == 0
    assert deployment.signing == rolled


def test_an_interrupted_retirement_is_completed(deployment: Deployment) -> None:
    deployment.endpoint(api_version=OLDER)
    deployment.run()
    two = deployment.signing
    deployment.run(RETIRE="1")
    deployment.write(KEYS | {"webhook-secret": two})
    assert deployment.run(RETIRE="1") == 0
    assert deployment.signing == two[:1]


def test_a_retired_endpoint_is_never_enabled_again(deployment: Deployment) -> None:
    deployment.endpoint(status="disabled", metadata={"managedBy": "billing", "retired": "yes"})
    assert deployment.run() == 0
    assert [e["status"] for e in deployment.endpoints] == ["enabled", "disabled"]


# -- the secret


def test_a_signing_secret_that_nobody_stored(deployment: Deployment) -> None:
    deployment.run()
    deployment.write(KEYS)
    assert deployment.run() == 1
    assert "No signing secret is stored" in deployment.output
    assert "roll it" in deployment.output
    assert deployment.run(CHECK="1") == 1
    assert "No signing secret is stored" in deployment.output


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("rk_test_bare", "The secret is not {"),
        (["a"], "The secret is not {"),
        ({"api-key": "rk_test_x", "webhook-secret": {"a": "b"}}, "The secret is not {"),
        ({"webhook-secret": []}, "has no api-key"),
        ({"api-key": "rk_live_x"}, "is not of test mode"),
    ],
)
def test_a_secret_that_does_not_fit_stops_it_all(deployment: Deployment, value: Any, message: str) -> None:
    deployment.write(value)
    assert deployment.run() == 2
    assert message in deployment.output
    assert (deployment.writes(), deployment.endpoints) == ([], [])
    assert deployment.run(CHECK="1") == 1
    assert message in deployment.output


def test_a_secret_that_is_not_there(deployment: Deployment) -> None:
    assert deployment.run(SECRET_ARN="billing/none") == 2
    assert "make it first" in deployment.output
    assert deployment.run(SECRET_ARN="billing/none", CHECK="1") == 1
    assert deployment.writes() == []


def test_an_endpoint_whose_secret_cannot_be_stored_is_deleted(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def refuse(client: BaseClient, operation: str, parameters: Any) -> Any:
        if operation == "PutSecretValue":
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "No."}}, operation)
        return call(client, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", refuse)
    assert deployment.run() == 2
    assert "AccessDeniedException" in deployment.output
    assert deployment.endpoints == []
    deployment.server.fail(500, 9, path="/v1/webhook_endpoints/")
    assert deployment.run() == 2
    assert f"{deployment.endpoints[0]['id']} was made, but" in deployment.output


# -- the doctor


def test_the_doctor_finds_an_account_bare(deployment: Deployment) -> None:
    assert deployment.run(CHECK="1") == 1
    assert f"No webhook endpoint is at {URL}." in deployment.output
    assert "The managed portal configuration is missing." in deployment.output
    assert deployment.output.rstrip().endswith("2 findings.")
    assert deployment.writes() == []


def test_the_doctor_finds_modes_mixed_and_another_portal(deployment: Deployment) -> None:
    deployment.run()
    deployment.write(deployment.secret | {"portal-configuration": "bpc_other"})
    deployment.endpoints[0]["livemode"] = True
    assert deployment.run(CHECK="1") == 1
    assert f"Endpoint {deployment.endpoints[0]['id']} is not of test mode" in deployment.output
    assert f"The secret names bpc_other, and not {deployment.portal['id']}." in deployment.output
    assert deployment.run() == 0
    assert deployment.secret["portal-configuration"] == deployment.portal["id"]


# -- errors


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"STRIPE_API_KEY": "sk_test_another"}, "Stripe refuses: Invalid API Key"),
        ({"STRIPE_API_KEY": ""}, "Missing: STRIPE_API_KEY."),
        ({"STRIPE_API_KEY": "pk_test_public"}, "no secret or restricted key"),
        ({"STRIPE_API_KEY": "sk_test_a\nHost: b"}, "no secret or restricted key"),
        ({"WEBHOOK_URL": "", "SECRET_ARN": ""}, "Missing: WEBHOOK_URL, SECRET_ARN."),
        ({"WEBHOOK_URL": "http://api.example.com/"}, "begins with https"),
        ({"WEBHOOK_URL": "https://["}, "begins with https"),
        ({"STRIPE_API_BASE": "http://127.0.0.1:9"}, "Stripe cannot be reached"),
        ({"PRICES": "price_none"}, "Stripe refuses: No such price"),
    ],
)
def test_errors_are_a_line_and_a_status(deployment: Deployment, environment: dict[str, str], message: str) -> None:
    assert deployment.run(**environment) == 2
    assert message in deployment.output
    assert "Traceback" not in deployment.output
    assert deployment.writes() == []


def test_a_price_without_a_subscription_is_refused(deployment: Deployment) -> None:
    once = deployment.price(recurring=None)
    assert deployment.run(PRICES=once["id"]) == 2
    assert "not an active, recurring price" in deployment.output


def test_a_permission_error_does_not_show_the_key(deployment: Deployment) -> None:
    deployment.server.fail(403, 9, path="/v1/webhook_endpoints")
    assert deployment.run() == 2
    assert "Stripe refuses" in deployment.output


def test_a_key_among_the_arguments_is_not_repeated(deployment: Deployment) -> None:
    assert deployment.run(deployment.server.api_key) == 2
    assert "taken from the environment only" in deployment.output
    assert deployment.run(MAKEFLAGS=f" -- STRIPE_API_KEY={deployment.server.api_key}") == 0
    assert "process list" in deployment.output


def test_credentials_in_foreign_messages_are_hidden(deployment: Deployment) -> None:
    out = setup.Output()
    out.say("Invalid: sk_live_51H/abc+d=, whsec_MfKQ9r8 and rk_test_x1; sk_test_… and whsec_… stay")
    assert deployment.capsys.readouterr().out == (
        "Invalid: sk_live_…, whsec_… and rk_test_…; sk_test_… and whsec_… stay\n"
    )


# -- the same objects at the stand-in


@pytest.fixture
def client(stripe_server: Served) -> stripe.StripeClient:
    server, address = stripe_server
    return stripe.StripeClient(server.api_key, base_addresses={"api": address})


def test_a_webhook_endpoints_life(client: stripe.StripeClient) -> None:
    endpoints = client.v1.webhook_endpoints
    made = endpoints.create({"url": URL, "enabled_events": ["*"]})
    assert (made.secret or "").startswith("whsec_")
    assert (made.status, made.api_version) == ("enabled", None)
    for seen in (endpoints.retrieve(made.id), endpoints.list().data[0], endpoints.update(made.id, {"disabled": True})):
        assert "secret" not in seen.to_dict()
    assert endpoints.retrieve(made.id).status == "disabled"
    changed: Any = {"disabled": False, "description": "", "metadata": {"a": "b"}}
    assert endpoints.update(made.id, changed).to_dict()["metadata"] == {"a": "b"}
    assert endpoints.delete(made.id).deleted
    assert endpoints.list().data == []


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ({"url": "api.example.com"}, "url"),
        ({"enabled_events": ["invoice.payed"]}, "enabled_events[0]"),
        ({"enabled_events": ["*", "invoice.paid"]}, "enabled_events"),
        ({"enabled_events": ["invoice.paid", "invoice.paid"]}, "enabled_events"),
        ({"enabled_events": []}, "enabled_events"),
        ({"api_version": "2026-10-29.endive"}, "api_version"),
        ({"disabled": True}, "disabled"),
    ],
)
def test_an_endpoint_that_stripe_refuses(client: stripe.StripeClient, form: Any, param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.webhook_endpoints.create({"url": URL, "enabled_events": ["invoice.paid"]} | form)
    assert (caught.value.http_status, caught.value.param) == (400, param)


def test_a_portal_offers_what_its_configuration_says(deployment: Deployment, client: stripe.StripeClient) -> None:
    store = deployment.server.store
    sold, other = deployment.price(), deployment.price()
    assert deployment.run(PRICES=sold["id"]) == 0
    customer = store.create("customer")
    made = subscriptions.create_subscription(store, customer["id"], sold, {})
    periods.begin(store, made, "pm_card_visa")
    named: Any = {"customer": customer["id"], "configuration": deployment.portal["id"]}
    session = client.v1.billing_portal.sessions.create(named)
    page = f"{deployment.address}/p/session/{session.id}"
    text = requests.get(page, timeout=600).text
    assert all(words in text for words in ("Change plan", "Cancel at period end", "Save payment method", "Invoices"))
    assert (sold["id"] in text, other["id"] in text) == (True, False)
    plan = f"{page}/subscriptions/{made['id']}/plan"
    assert requests.get(plan, {"price": sold["id"]}, timeout=600).status_code == 400  # it has this plan
    for ask in (requests.get, requests.post):
        assert ask(plan, {"price": other["id"]}, timeout=600).status_code == 400
    for feature in deployment.portal["features"].values():
        feature["enabled"] = False
    text = requests.get(page, timeout=600).text
    assert not any(words in text for words in ("Change plan", "Cancel at", "Save payment method", "Invoices"))
    cancel, method = f"{page}/subscriptions/{made['id']}/cancel", f"{page}/payment_method"
    for action in (plan, cancel, method):
        answer = requests.post(action, {"price": sold["id"], "cancel_at_period_end": "true"}, timeout=600)
        assert "does not offer that" in answer.text
    for question in (plan, cancel):
        assert "does not offer that" in requests.get(question, {"price": sold["id"]}, timeout=600).text
    deployment.portal["active"] = False
    with pytest.raises(stripe.InvalidRequestError, match="inactive portal configuration"):
        client.v1.billing_portal.sessions.create(named)


@pytest.mark.parametrize(
    ("amount", "settings", "billed_now", "price_now"),
    [
        (90000, {}, True, "new"),
        (90000, {"PRORATION": "create_prorations"}, False, "new"),
        (50, {}, False, "old"),
        (50, {"DOWNGRADES": "at_once"}, True, "new"),
    ],
)
def test_an_upgrade_is_billed_at_once_and_a_downgrade_waits(
    deployment: Deployment,
    client: stripe.StripeClient,
    amount: int,
    settings: dict[str, str],
    billed_now: bool,
    price_now: str,
) -> None:
    store = deployment.server.store
    sold = deployment.price()
    new = store.create("price", **{**sold, "id": "price_new", "unit_amount": amount})
    assert deployment.run(PRICES=f"{sold['id']},{new['id']}", **settings) == 0
    customer = store.create("customer")
    made = subscriptions.create_subscription(store, customer["id"], sold, {})
    periods.begin(store, made, "pm_card_visa")
    made["default_payment_method"] = payments.payment_method(store, "pm_card_visa", customer["id"])["id"]
    named: Any = {"customer": customer["id"], "configuration": deployment.portal["id"]}
    page = f"{deployment.address}/p/session/{client.v1.billing_portal.sessions.create(named).id}"
    before = len(store.all("invoice"))
    plan = f"{page}/subscriptions/{made['id']}/plan"
    question = requests.get(plan, {"price": new["id"]}, timeout=600)
    assert (question.status_code, "Confirm" in question.text) == (200, True)
    assert ("Total due today" in question.text, "<dt>From" in question.text) == (billed_now, price_now == "old")
    assert len(store.all("invoice")) == before
    answer = requests.post(plan, {"price": new["id"]}, timeout=600)
    assert answer.status_code == 200
    assert (len(store.all("invoice")) > before) == billed_now
    [item] = made["items"]["data"]
    assert item["price"]["id"] == {"old": sold["id"], "new": new["id"]}[price_now]
    if price_now == "old":
        assert "Becomes" in answer.text
        with pytest.raises(stripe.InvalidRequestError, match="schedule"):
            client.v1.subscriptions.update(made["id"], {"cancel_at_period_end": True})
    periods.renew(store, made)
    assert (item["price"]["id"], made["schedule"]) == (new["id"], None)


def test_the_check_names_the_permissions_that_the_key_lacks(deployment: Deployment) -> None:
    assert deployment.run() == 0
    assert deployment.run(CHECK="1") == 0
    deployment.server.fail(403, 1, 0, "GET /v1/disputes")
    assert deployment.run(CHECK="1") == 1
    assert "lacks a permission: Disputes (Read)" in deployment.output


@pytest.mark.parametrize("settings", [{"PRORATION": "odd"}, {"DOWNGRADES": "never"}])
def test_a_wish_that_stripe_does_not_know(deployment: Deployment, settings: dict[str, str]) -> None:
    assert deployment.run(**settings) == 2
    assert "is one of" in deployment.output


def test_an_endpoints_version_is_for_good_and_their_number_is_limited(client: stripe.StripeClient) -> None:
    endpoints = client.v1.webhook_endpoints
    made = [
        endpoints.create({"url": URL, "enabled_events": ["*"], "api_version": "2026-08-26.dahlia"}) for _ in range(16)
    ]
    with pytest.raises(stripe.InvalidRequestError, match="maximum of 16"):
        endpoints.create({"url": URL, "enabled_events": ["*"]})
    later: Any = {"api_version": API_VERSION}
    with pytest.raises(stripe.InvalidRequestError, match="unknown parameter: api_version"):
        endpoints.update(made[0].id, later)


def test_a_portal_configurations_life(client: stripe.StripeClient, stripe_server: Served) -> None:
    configurations = client.v1.billing_portal.configurations
    [default] = configurations.list({"is_default": True}).data
    form: Any = {"features": {"subscription_cancel": {"enabled": True}}, "login_page": {"enabled": False}}
    made = configurations.create(form)
    assert made.features.subscription_cancel.to_dict() | {"cancellation_reason": None} == {
        "enabled": True,
        "mode": "at_period_end",
        "proration_behavior": "none",
        "cancellation_reason": None,
    }
    changed: Any = {"features": {"customer_update": {"enabled": True, "allowed_updates": ["email"]}}, "active": False}
    configurations.update(made.id, changed)
    emptied: Any = {"features": {"customer_update": {"allowed_updates": ""}}}
    after = configurations.update(made.id, emptied).features
    assert after.customer_update.to_dict() == {"enabled": True, "allowed_updates": []}
    assert after.subscription_cancel.enabled
    assert [c.id for c in configurations.list({"active": True}).data] == [default.id]
    with pytest.raises(stripe.InvalidRequestError, match="default configuration"):
        configurations.update(default.id, {"active": False})
    types = [event["type"] for event in stripe_server[0].store.all("event")]
    assert types == [*["billing_portal.configuration.updated"] * 2, "billing_portal.configuration.created"]


@pytest.mark.parametrize(
    ("update", "param"),
    [
        ({"enabled": True}, "default_allowed_updates"),
        ({"enabled": True, "default_allowed_updates": ["price"]}, "products"),
        ({"products": [{"product": "prod_1", "prices": ["price_none"]}]}, "products][0][prices][0"),
        ({"products": [{"product": "prod_1", "prices": ["price_1"]}]}, "products][0][prices][0"),
    ],
)
def test_a_configuration_that_stripe_refuses(
    client: stripe.StripeClient, stripe_server: Served, update: Object, param: str
) -> None:
    stripe_server[0].store.create("price", id="price_1", product="prod_2")
    form: Any = {"features": {"subscription_update": {"enabled": False, **update}}}
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.billing_portal.configurations.create(form)
    assert (caught.value.http_status, caught.value.param) == (400, f"features[subscription_update][{param}]")
    assert len(client.v1.billing_portal.configurations.list().data) == 1
