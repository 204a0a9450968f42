from dataclasses import replace
from typing import Any

import pytest

from billing.adapters.table.store import Table
from billing.domain.entities import OpenCheckout
from billing.domain.statuses import TenantStatus
from billing.domain.writes import Pointer, StripeId
from billing.errors import RevisionConflict
from local.stripe.engine import checkout, subscriptions
from tests.integration.support import OUTAGE, killed_after_a_failure, refused
from tests.world import CUSTOMER, PLAN, TENANT, World


def sessions(world: World) -> list[dict[str, Any]]:
    return world.stripe.store.all("checkout.session")


def test_first_checkout_makes_the_customer_and_a_session(world: World) -> None:
    world.plan()
    answer = world.checkout()
    assert answer.status == 200
    assert set(answer.body) == {"sessionUrl"}
    assert answer.body["sessionUrl"].startswith("https://checkout.stripe.com/")
    [customer] = world.stripe.store.all("customer")
    assert customer["metadata"] == {"tenantId": TENANT}
    [session] = sessions(world)
    assert session["customer"] == customer["id"]
    assert session["mode"] == "subscription"
    assert session["client_reference_id"] == TENANT
    assert session["metadata"]["tenantId"] == TENANT
    assert session["metadata"]["planId"] == PLAN
    metadata = {"tenantId": TENANT, "planId": PLAN, "checkoutAttempt": "1"}
    assert session["_subscription_data"] == {"metadata": metadata}
    assert session["success_url"] == "https://app.example.com/done?session={CHECKOUT_SESSION_ID}"
    tenant = world.tenant()
    assert tenant
    assert (tenant.status, tenant.stripe_customer_id) == (TenantStatus.PENDING, customer["id"])
    assert world.table.owner(StripeId(customer["id"])) == TENANT


def test_parameters_come_as_json_too(world: World) -> None:
    world.plan()
    answer = world.api("POST", "/stripe/checkout", json={"tenantId": TENANT, "planId": PLAN})
    assert answer.status == 200


@pytest.mark.parametrize(
    "request_",
    [
        {"query_string": {"tenantId": TENANT}},
        {"query_string": {"planId": PLAN}},
        {},
        {"query_string": {"tenantId": TENANT, "planId": ""}},
        {"query_string": {"tenantId": TENANT, "planId": "plan pro"}},
        {"query_string": {"tenantId": TENANT, "planId": "p" * 65}},
        {"query_string": {"tenantId": TENANT, "planId": "plan-pro\n"}},
        {"query_string": {"tenantId": TENANT, "planId": PLAN, "customerID": CUSTOMER}},
        {"query_string": [("tenantId", TENANT), ("planId", PLAN), ("planId", "plan-x")]},
        {"query_string": {"tenantId": TENANT, "planId": PLAN}, "json": {"planId": "plan-other"}},
        {"json": {"tenantId": TENANT, "planId": 7}},
        {"json": [TENANT, PLAN]},
        {"data": b"{", "content_type": "application/json"},
        {"data": b"\xff\xfe", "content_type": "application/json"},
        {"data": b"[" * 16_000, "content_type": "application/json"},
    ],
)
def test_missing_malformed_and_contradicting_parameters(world: World, request_: dict[str, Any]) -> None:
    world.plan()
    refused(world.api("POST", "/stripe/checkout", **request_), 400, "bad-request")
    assert sessions(world) == []


def test_agreeing_query_and_body_are_fine(world: World) -> None:
    world.plan()
    both = {"tenantId": TENANT, "planId": PLAN}
    assert world.api("POST", "/stripe/checkout", query_string=both, json=both).status == 200


def test_another_tenant_is_refused_whether_it_exists_or_not(world: World) -> None:
    world.plan()
    world.customer("other", "cus_other")
    known = world.checkout("other", tenant=TENANT)
    unknown = world.checkout("nobody", tenant=TENANT)
    refused(known, 403, "forbidden")
    assert known.body["detail"] == unknown.body["detail"]
    assert world.stripe.calls == []


def test_a_token_without_a_tenant_is_refused(world: World) -> None:
    world.plan()
    refused(world.checkout(TENANT, tenant=None), 403, "forbidden")


def test_an_admin_may_act_for_any_tenant(world: World) -> None:
    world.plan()
    assert world.checkout(TENANT, tenant=None, admin=True).status == 200


def test_unknown_and_inactive_plans(world: World) -> None:
    refused(world.checkout(plan="plan-none"), 404, "plan-not-found")
    world.plan(active=False)
    refused(world.checkout(), 409, "plan-inactive")
    assert world.stripe.calls == []


def test_a_live_subscription_points_to_the_portal(world: World) -> None:
    world.plan()
    world.subscribe()
    world.deliver_new()
    answer = world.checkout()
    refused(answer, 409, "subscription-exists")
    assert "/api/v1/billing/stripe/portal" in answer.body["detail"]


def test_a_canceled_tenant_may_subscribe_again_but_gets_no_second_trial(world: World) -> None:
    world.plan(trial_days=14)
    world.subscribe()
    world.deliver_new()
    [subscription] = world.stripe.store.all("subscription")
    assert subscription["status"] == "trialing"
    subscriptions.cancel_subscription(world.stripe.store, subscription)
    world.deliver_new()
    assert world.checkout().status == 200
    [again] = [s for s in sessions(world) if s["status"] == "open"]
    assert "trial_period_days" not in again["_subscription_data"]


def test_an_open_session_for_the_same_plan_comes_back(world: World) -> None:
    world.plan()
    assert world.checkout().body == world.checkout().body
    assert len(sessions(world)) == 1


def test_an_open_session_for_another_plan_is_expired_first(world: World) -> None:
    world.plan()
    world.plan("plan-big", "price_big")
    world.checkout()
    world.stripe.failures.clear()
    assert world.checkout(plan="plan-big").status == 200
    assert [s["status"] for s in sessions(world)] == ["open", "expired"]


def test_an_expired_session_makes_room(world: World) -> None:
    world.plan()
    first = world.checkout().body
    checkout.expire_checkout(world.stripe.store, sessions(world)[0])
    assert world.checkout().body != first
    assert len(sessions(world)) == 2


def test_a_completed_checkout_is_not_offered_again_before_its_event(world: World) -> None:
    world.plan()
    world.subscribe()
    refused(world.checkout(), 409, "subscription-exists")


def test_a_crash_after_the_customer_was_made_is_healed(world: World) -> None:
    """Stripe made the customer, but our write did not happen. The idempotency key finds the customer again."""
    world.plan()
    world.checkout()
    [customer] = world.stripe.store.all("customer")
    world.dynamodb.delete_item(TableName=world.table.name, Key={"PK": {"S": f"TENANT#{TENANT}"}, "SK": {"S": "TENANT"}})
    assert world.checkout().status == 200
    assert world.stripe.store.all("customer") == [customer]


def test_a_crash_after_the_session_was_made_is_healed(world: World) -> None:
    world.plan()
    first = world.checkout().body
    tenant = world.tenant()
    assert tenant
    assert tenant.checkout
    world.table.write([replace(tenant, checkout=replace(tenant.checkout, session_id=""))])
    assert world.checkout().body == first
    assert len(sessions(world)) == 1


def test_a_reservation_that_stripe_refuses_blocks_nobody(world: World) -> None:
    world.plan()
    world.customer()
    tenant = world.tenant()
    assert tenant
    lost = OpenCheckout(attempt=1, plan_id="plan-gone", stripe_price_id="price_gone")
    world.table.write([replace(tenant, checkout=lost)])
    assert world.checkout().status == 200


# -- an existing customer


def test_the_own_customer_may_be_named(world: World) -> None:
    world.plan()
    world.customer()
    assert world.checkout(extra={"customerId": CUSTOMER}).status == 200


def test_a_customer_of_another_tenant_or_of_nobody_is_refused_alike(world: World) -> None:
    world.plan()
    world.customer("other", "cus_other")
    world.stripe.store.create("customer", id="cus_free", metadata={})
    world.stripe.store.create("customer", id="cus_metadata_of_other", metadata={"tenantId": "other"})
    for foreign in ("cus_other", "cus_free", "cus_metadata_of_other", "cus_none"):
        answer = world.checkout(extra={"customerId": foreign})
        refused(answer, 403, "forbidden")
        assert answer.body["detail"] == "This customer does not belong to the tenant."
    assert world.tenant() is None


def test_an_unlinked_customer_with_the_tenants_metadata_is_linked(world: World) -> None:
    world.plan()
    world.stripe.store.create("customer", id="cus_mine", metadata={"tenantId": TENANT})
    assert world.checkout(extra={"customerId": "cus_mine"}).status == 200
    assert world.table.owner(StripeId("cus_mine")) == TENANT


def test_an_admin_links_any_free_customer_but_not_anothers(world: World) -> None:
    world.plan()
    world.customer("other", "cus_other")
    world.stripe.store.create("customer", id="cus_free", metadata={})
    refused(world.checkout(admin=True, extra={"customerId": "cus_other"}), 403, "forbidden")
    refused(world.checkout(admin=True, extra={"customerId": "cus_none"}), 404, "customer-not-found")
    assert world.checkout(admin=True, extra={"customerId": "cus_free"}).status == 200


def test_a_second_customer_is_refused(world: World) -> None:
    world.plan()
    world.customer()
    world.customer("other", "cus_other")
    world.stripe.store.create("customer", id="cus_second", metadata={"tenantId": TENANT})
    for another in ("cus_second", "cus_other", "cus_none"):
        refused(world.checkout(extra={"customerId": another}), 403, "forbidden")
    refused(world.checkout(admin=True, extra={"customerId": "cus_second"}), 409, "customer-mismatch")


def test_an_admin_replaces_a_customer_that_was_deleted_at_stripe(world: World) -> None:
    world.plan()
    world.customer()
    world.stripe.store.get("customer", CUSTOMER)["deleted"] = True
    world.stripe.store.create("customer", id="cus_second", metadata={})
    assert world.checkout(admin=True, extra={"customerId": "cus_second"}).status == 200
    tenant = world.tenant()
    assert tenant
    assert tenant.stripe_customer_id == "cus_second"


def test_a_pointer_never_changes_hands(world: World) -> None:
    world.customer("other", "cus_other")
    pointer = Pointer(StripeId("cus_other"), tenant_id=TENANT)
    with pytest.raises(RevisionConflict):
        world.table.write([], [pointer])
    assert world.table.owner(StripeId("cus_other")) == "other"


# -- failures of Stripe


@pytest.mark.parametrize(
    ("failure", "status", "slug", "retry_after"),
    [
        ({"status": 500}, 503, "stripe-unavailable", "5"),
        ({"status": 503}, 503, "stripe-unavailable", "5"),
        ({"status": 429}, 429, "stripe-rate-limited", "5"),
        ({"status": 400}, 502, "stripe-rejected", None),
        ({"status": 401}, 502, "stripe-rejected", None),
    ],
)
def test_stripes_failures(
    world: World, failure: dict[str, int], status: int, slug: str, retry_after: str | None
) -> None:
    world.plan()
    world.stripe.fail(**failure, count=OUTAGE, path="/v1/checkout/sessions")
    answer = world.checkout()
    refused(answer, status, slug)
    assert answer.headers.get("Retry-After") == retry_after
    assert "A failure that was asked for" not in str(answer.body)
    world.stripe.failures.clear()
    assert world.checkout().status == 200
    assert len(world.stripe.store.all("customer")) == 1


@pytest.mark.parametrize("path", ["/v1/customers", "/v1/checkout/sessions"])
def test_a_failure_that_stripe_keeps_under_its_key_locks_nobody_out(world: World, path: str) -> None:
    """Stripe repeats the first answer to a key for a day, even if that answer was a 500.

    Therefore the checkout tries another key at once.
    """
    world.plan()
    world.stripe.fail(500, path=path)
    assert world.checkout().status == 200
    assert len(world.stripe.store.all("customer")) == 1
    assert len(sessions(world)) == 1


@pytest.mark.parametrize("path", ["/v1/customers", "/v1/checkout/sessions"])
def test_a_failure_that_a_killed_call_left_under_its_key_is_healed_by_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    world.plan()
    world.stripe.fail(500, path=path)
    with monkeypatch.context() as patched:
        patched.setattr(Table, "write", killed_after_a_failure(world))
        with pytest.raises(SystemExit):
            world.checkout()
    assert world.checkout().status == 200
    assert len(sessions(world)) == 1


def test_a_failure_to_expire_a_session_locks_nobody_out(world: World) -> None:
    world.plan()
    world.plan("plan-big", "price_big")
    world.checkout()
    world.stripe.fail(500, count=OUTAGE, path="/expire")
    refused(world.checkout(plan="plan-big"), 503, "stripe-unavailable")
    world.stripe.failures.clear()
    assert world.checkout(plan="plan-big").status == 200
    assert [s["status"] for s in sessions(world)] == ["open", "expired"]


def test_no_answer_is_repeated_with_the_same_key(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.stripe.server.HANGS_UP_SECONDS", 0.1)
    world.plan()
    world.stripe.fail(seconds=0.5, path="/v1/customers")
    assert world.checkout().status == 200
    assert len(world.stripe.store.all("customer")) == 1


def test_a_session_that_cannot_be_looked_at_is_not_taken_for_none(world: World) -> None:
    world.plan()
    world.checkout()
    world.stripe.fail(403, path="/v1/checkout/sessions/")
    refused(world.checkout(), 502, "stripe-rejected")
    assert len(sessions(world)) == 1


def test_a_session_that_expires_while_it_is_expired(world: World) -> None:
    world.plan()
    world.plan("plan-big", "price_big")
    world.checkout()
    world.stripe.fail(400, path="/expire")
    original = world.stripe.store.get

    def get(kind: str, object_id: str) -> Any:
        found = original(kind, object_id)
        if kind == "checkout.session" and not world.stripe.failures:
            found["status"] = "expired"
        return found

    world.stripe.store.get = get  # type: ignore[method-assign]
    assert world.checkout(plan="plan-big").status == 200


def test_a_silent_stripe_is_given_up_in_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.stripe.server.HANGS_UP_SECONDS", 0.05)
    world.plan()
    world.stripe.fail(seconds=0.3, count=2, path="/v1/customers")
    answer = world.checkout()
    refused(answer, 503, "stripe-unavailable")


def test_stripe_is_not_asked_when_the_answer_could_come_too_late(world: World) -> None:
    world.plan()
    world.timeout = 5
    answer = world.checkout()
    refused(answer, 503, "stripe-unavailable")
    assert world.stripe.calls == []
