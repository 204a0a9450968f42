"""Checks the return from Checkout before the webhook arrives.

The endpoint shows a session only to its owner. The table takes over the result once, whatever arrives later.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from billing import bootstrap
from billing.domain.caller import Caller
from billing.domain.order import FetchedKind, content
from billing.domain.records import RecordStatus
from billing.domain.statuses import CheckoutPayment, TenantStatus
from billing.edge.parameters.subscribe import GetCheckout
from billing.errors import CheckoutNotFound, Forbidden, StripeUnavailable
from billing.replica.decide import Decider
from billing.subscribe.checkout_return import CheckoutReturn
from local.stripe.engine import checkout, subscriptions
from local.stripe.engine.store import Object
from tests.aws_calls import intercept
from tests.integration.support import fetches, only_subscription, state
from tests.world import TENANT, World

OWN = Caller(TENANT)
ADMIN = Caller(None, is_admin=True)


def status(world: World, session_id: str, caller: Caller = OWN) -> dict[str, Any]:
    request = GetCheckout.model_validate({"sessionId": session_id})
    decider = Decider(world.table, bootstrap.fetch)
    return CheckoutReturn(world.table, bootstrap.stripe(), decider, bootstrap.rate_limit()).show(caller, request)


def not_found(world: World, session_id: str, caller: Caller = OWN) -> None:
    with pytest.raises(CheckoutNotFound, match=r"^There is no checkout with this id\.$"):
        status(world, session_id, caller)


def tenant_status(world: World) -> TenantStatus:
    tenant = world.tenant()
    assert tenant
    return tenant.status


def revisions(world: World) -> list[int]:
    tenant = world.tenant()
    assert tenant
    return [tenant.revision, *(s.revision for s in world.subscriptions())]


@pytest.fixture
def paid(world: World) -> Object:
    """Returns a paid session. None of its events has arrived."""
    world.plan()
    return world.subscribe()


# -- owner of the session


def test_an_open_session(world: World) -> None:
    world.plan()
    session_id = world.checkout().body["sessionUrl"].rsplit("/", 1)[1]
    assert status(world, session_id) == {
        "sessionId": session_id,
        "status": "open",
        "paymentStatus": "unpaid",
        "tenantId": TENANT,
        "tenantStatus": "PENDING",
    }
    assert world.subscriptions() == []


def test_an_expired_session(world: World) -> None:
    world.plan()
    session_id = world.checkout().body["sessionUrl"].rsplit("/", 1)[1]
    checkout.expire_checkout(world.stripe.store, world.stripe.store.get("checkout.session", session_id))
    assert status(world, session_id)["status"] == "expired"
    assert world.subscriptions() == []


def test_a_session_of_another_tenant_is_not_found(world: World, paid: Object) -> None:
    not_found(world, paid["id"], Caller("other"))
    assert world.subscriptions() == []  # a caller without access changes nothing
    with pytest.raises(Forbidden):
        status(world, paid["id"], Caller(None))


def test_stripe_is_asked_only_for_sessions_that_the_tenant_started(world: World, paid: Object) -> None:
    asked = len(world.stripe.calls)
    for session_id in ("cs_test_guessed", paid["id"] + "x"):
        not_found(world, session_id)
    not_found(world, paid["id"], Caller("other"))
    assert len(world.stripe.calls) == asked
    elsewhere = world.stripe.store.create("checkout.session", customer=paid["customer"], status="open")
    not_found(world, elsewhere["id"])  # also if it is a session of the tenant's customer
    assert len(world.stripe.calls) == asked


def test_an_earlier_session_can_still_be_seen(world: World, paid: Object) -> None:
    """The buyer paid in one tab, and the tenant has had other sessions since then."""
    world.deliver_new()
    subscription = world.stripe.store.get("subscription", paid["subscription"])
    subscriptions.cancel_subscription(world.stripe.store, subscription)
    world.deliver_new()
    later = world.checkout().body["sessionUrl"].rsplit("/", 1)[1]
    assert later != paid["id"]
    assert status(world, paid["id"])["status"] == "complete"
    assert status(world, later)["status"] == "open"


def test_an_unknown_session_is_not_found(world: World) -> None:
    not_found(world, "cs_test_none")
    not_found(world, "cs_test_none", ADMIN)


def test_metadata_is_no_proof(world: World, paid: Object) -> None:
    paid["metadata"] = {"tenantId": "other"}
    not_found(world, paid["id"], Caller("other"))
    paid["customer"] = world.stripe.store.create("customer", metadata={"tenantId": TENANT})["id"]
    paid["metadata"] = {"tenantId": TENANT}
    not_found(world, paid["id"])
    assert world.subscriptions() == []


def test_an_admin_may_see_any_session(world: World, paid: Object) -> None:
    assert status(world, paid["id"], ADMIN)["tenantId"] == TENANT
    paid["customer"] = world.stripe.store.create("customer")["id"]
    assert status(world, paid["id"], ADMIN) == {"sessionId": paid["id"], "status": "complete", "paymentStatus": "paid"}


# -- before and after the webhook


def test_a_complete_session_is_applied_before_the_webhook(world: World, paid: Object) -> None:
    assert status(world, paid["id"]) == {
        "sessionId": paid["id"],
        "status": "complete",
        "paymentStatus": "paid",
        "tenantId": TENANT,
        "tenantStatus": "ACTIVE",
        "subscriptionId": paid["subscription"],
        "subscriptionStatus": "active",
    }
    subscription = only_subscription(world)
    assert (subscription.checkout_payment, subscription.checkout_invoice_id) == (
        CheckoutPayment.SETTLED,
        paid["invoice"],
    )
    tenant = world.tenant()
    assert tenant
    assert tenant.checkout
    assert tenant.checkout.session_id == ""


def test_a_second_call_writes_nothing(world: World, paid: Object) -> None:
    first = status(world, paid["id"])
    before = revisions(world)
    assert [status(world, paid["id"]) for _ in range(3)] == [first] * 3
    assert revisions(world) == before
    assert len(fetches(world)) == 1


def test_the_webhook_that_comes_after_changes_nothing(world: World, paid: Object) -> None:
    status(world, paid["id"])
    held = content(world.tenant()), content(only_subscription(world))
    for event in world.new_events():
        assert world.deliver(event).status == 200
        record = world.table.record(event["id"])
        assert record
        assert record.status in (RecordStatus.PROCESSED, RecordStatus.STALE)
        assert (content(world.tenant()), content(only_subscription(world))) == held


def test_the_tenant_becomes_active_once(world: World, paid: Object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records the tenant's status after every write."""
    seen = [tenant_status(world)]

    def noted(_: str, operation: str, __: Any, call: Callable[[], Any]) -> Any:
        answer = call()
        if operation == "TransactWriteItems":
            seen.append(tenant_status(world))
        return answer

    intercept(monkeypatch, noted)
    status(world, paid["id"])
    for event in world.new_events():
        assert world.deliver(event).status == 200
    status(world, paid["id"])
    changes = [(a, b) for a, b in pairwise(seen) if a != b]
    assert changes == [(TenantStatus.PENDING, TenantStatus.ACTIVE)]


def test_after_the_webhook_a_call_fetches_no_subscription(world: World, paid: Object) -> None:
    world.deliver_new()
    before, asked = revisions(world), len(fetches(world))
    assert status(world, paid["id"])["tenantStatus"] == "ACTIVE"
    assert (revisions(world), len(fetches(world))) == (before, asked)


def test_the_result_is_the_same_as_with_the_webhook(world: World, paid: Object) -> None:
    events = world.new_events()
    status(world, paid["id"])
    for event in events:
        world.deliver(event)
    early = state(world)
    world.dynamodb.delete_item(
        TableName=world.table.name, Key={"PK": {"S": f"EVENT#{events[0]['id']}"}, "SK": {"S": "EVENT"}}
    )
    world.deliver(events[0])
    assert state(world) == early


def test_a_buyer_who_paid_is_not_shown_an_incomplete_subscription(world: World, paid: Object) -> None:
    """The subscription's creation and the session's end have come, what happened between them has not."""
    events = {event["type"]: event for event in world.new_events()}
    for kind in ("customer.subscription.created", "checkout.session.completed"):
        assert world.deliver(events[kind]).status == 200
    found = status(world, paid["id"])
    assert (found["tenantStatus"], found["subscriptionStatus"]) == ("ACTIVE", "active")


def test_a_bank_debit_waits_for_its_money(world: World) -> None:
    world.plan()
    session = world.subscribe("processing")
    found = status(world, session["id"])
    assert (found["paymentStatus"], found["tenantStatus"], found["subscriptionStatus"]) == (
        "unpaid",
        "PENDING",
        "active",
    )
    checkout.settle_checkout(world.stripe.store, session, paid=True)
    assert status(world, session["id"])["tenantStatus"] == "ACTIVE"
    world.deliver_new()
    assert tenant_status(world) is TenantStatus.ACTIVE


def test_a_debit_that_failed_stays_failed(world: World) -> None:
    world.plan()
    session = world.subscribe("processing")
    checkout.settle_checkout(world.stripe.store, session, paid=False)
    world.deliver_new()
    assert status(world, session["id"])["tenantStatus"] == "PENDING"
    assert only_subscription(world).checkout_payment is CheckoutPayment.FAILED


# -- simultaneous calls and failures


def test_the_webhook_writes_first(world: World, paid: Object, monkeypatch: pytest.MonkeyPatch) -> None:
    """The webhook arrives after the call read the account, while it fetches the subscription from Stripe."""
    api, events = bootstrap.stripe(), world.new_events()
    original = api.fetch

    def overtaken(kind: FetchedKind, object_id: str) -> Any:
        answer = original(kind, object_id)
        while events:
            assert world.deliver(events.pop(0)).status == 200
        return answer

    monkeypatch.setattr(api, "fetch", overtaken)
    assert status(world, paid["id"])["tenantStatus"] == "ACTIVE"
    assert only_subscription(world).checkout_payment is CheckoutPayment.SETTLED


def test_several_at_once(world: World, paid: Object) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: status(world, paid["id"]), range(4)))
    assert {f["tenantStatus"] for f in found} == {"ACTIVE"}
    assert only_subscription(world).status == "active"


def test_the_next_call_heals_a_crash_before_the_write(world: World, paid: Object) -> None:
    world.stripe.fail(status=500, count=10, path="/v1/subscriptions/")
    with pytest.raises(StripeUnavailable):
        status(world, paid["id"])
    assert world.subscriptions() == []
    world.stripe.failures.clear()
    assert status(world, paid["id"])["tenantStatus"] == "ACTIVE"


def test_a_later_state_in_the_table_is_not_undone(world: World, paid: Object) -> None:
    status(world, paid["id"])
    world.table.write([replace(only_subscription(world), status="canceled")])
    status(world, paid["id"])
    assert only_subscription(world).status == "canceled"
