import json

import pytest

from billing import bootstrap
from billing.domain.writes import StripeId
from tests.integration.support import refused
from tests.world import CUSTOMER, TENANT, World, client

PORTAL = "/stripe/portal"


def test_the_own_customer_gets_a_portal_session(world: World) -> None:
    world.customer()
    answer = world.api("POST", PORTAL, query_string={"customerId": CUSTOMER})
    assert answer.status == 200
    assert set(answer.body) == {"portalUrl"}
    [session] = world.stripe.store.all("billing_portal.session")
    assert session["customer"] == CUSTOMER
    assert session["return_url"] == "https://app.example.com/billing"


def test_foreign_and_unknown_customers_are_refused_alike(world: World) -> None:
    world.customer()
    world.customer("other", "cus_other")
    foreign = world.api("POST", PORTAL, query_string={"customerId": "cus_other"})
    unknown = world.api("POST", PORTAL, query_string={"customerId": "cus_none"})
    refused(foreign, 403, "forbidden")
    refused(unknown, 403, "forbidden")
    assert foreign.body["detail"] == unknown.body["detail"]
    assert world.stripe.calls == []


def test_a_price_is_no_customer(world: World) -> None:
    world.plan()
    assert world.table.owner(StripeId("price_pro")) is None
    refused(world.api("POST", PORTAL, query_string={"customerId": "price_pro"}), 403, "forbidden")


def test_an_admin_opens_any_tenants_portal(world: World) -> None:
    world.customer()
    assert world.api("POST", PORTAL, tenant=None, admin=True, query_string={"customerId": CUSTOMER}).status == 200
    unknown = world.api("POST", PORTAL, tenant=None, admin=True, query_string={"customerId": "cus_none"})
    refused(unknown, 404, "customer-not-found")


def test_the_customer_must_be_named(world: World) -> None:
    refused(world.api("POST", PORTAL), 400, "bad-request")


def test_an_allowed_return_url_is_used(world: World) -> None:
    world.customer()
    query = {"customerId": CUSTOMER, "returnUrl": "https://app.example.com/settings?tab=billing#top"}
    assert world.api("POST", PORTAL, query_string=query).status == 200
    assert world.stripe.store.all("billing_portal.session")[0]["return_url"] == query["returnUrl"]


@pytest.mark.parametrize("url", ["https://evil.example.net/", "http://app.example.com/", "javascript:alert(1)", ""])
def test_no_open_redirect(world: World, url: str) -> None:
    world.customer()
    answer = world.api("POST", PORTAL, query_string={"customerId": CUSTOMER, "returnUrl": url})
    if url:
        refused(answer, 400, "bad-return-url")
    else:
        assert answer.status == 200  # the same as without a return URL
    assert TENANT not in str(answer.body)


def test_stripe_down(world: World) -> None:
    world.customer()
    world.stripe.fail(500, count=2)
    refused(world.api("POST", PORTAL, query_string={"customerId": CUSTOMER}), 503, "stripe-unavailable")


def test_a_customer_that_stripe_lost(world: World) -> None:
    world.customer()
    world.stripe.store.forget("customer")
    refused(world.api("POST", PORTAL, query_string={"customerId": CUSTOMER}), 404, "customer-not-found")


def test_the_managed_configuration_is_used(world: World) -> None:
    world.customer()
    secrets = client("secretsmanager")
    value = json.loads(secrets.get_secret_value(SecretId=world.secret_arn)["SecretString"])
    made = world.stripe.store.create("billing_portal.configuration", active=True, is_default=False)
    secrets.put_secret_value(
        SecretId=world.secret_arn, SecretString=json.dumps(value | {"portal-configuration": made["id"]})
    )
    bootstrap.reset()
    assert world.api("POST", PORTAL, query_string={"customerId": CUSTOMER}).status == 200
    assert world.stripe.store.all("billing_portal.session")[0]["configuration"] == made["id"]
    made["active"] = False
    refused(world.api("POST", PORTAL, query_string={"customerId": CUSTOMER}), 502, "stripe-rejected")
