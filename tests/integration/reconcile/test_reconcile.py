"""Checks that the reconciliation compares the table with Stripe and repairs it.

Events may be lost, items may be changed by hand, and Stripe may fail.
"""

import copy
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import cache
from typing import Any, cast

import boto3
import pytest
from botocore.stub import Stubber
from pydantic import ValidationError

from billing import bootstrap, deadline
from billing.adapters import stripe_api
from billing.adapters.background import Background
from billing.adapters.table import items as table_items
from billing.adapters.table import keys
from billing.adapters.table.store import Table
from billing.domain import tenancy
from billing.domain.progress import Phase, Progress, Span
from billing.domain.records import RecordStatus
from billing.domain.statuses import CheckoutPayment, InvoiceStatus, PaymentStatus, TenantStatus
from billing.errors import AwsUnavailable
from billing.inbox.inbox import Inbox, Receipt
from billing.reconcile import phases, readers
from billing.reconcile import run as run_module
from billing.reconcile.run import MAX_CHAIN, Reconciliation, Start
from billing.replica import sync
from billing.replica.effects import EFFECTS
from billing.replica.stripe_event import Event
from local.aws.worker import Context, load
from local.stripe.engine import collecting, payments, periods, subscriptions
from local.stripe.engine.store import Object
from local.stripe.errors import ApiError
from local.template import ROOT
from tests.aws_calls import intercept
from tests.inline import Inline
from tests.integration.support import at, first_subscription, only_subscription, own_invoice, refused, state
from tests.world import TENANT, World

DAY = 24 * 3600


def run(
    world: World, *, dry_run: bool = False, seconds: float = 300, continued: int = 0, start: Start | None = None
) -> dict[str, Any]:
    with time_left(seconds):
        reconciliation = Reconciliation(world.table, bootstrap.stripe(), bootstrap.inbox(), start or started_again)
        return reconciliation.run(dry_run=dry_run, continued=continued)


def started_again(event: Mapping[str, Any]) -> None:
    raise AssertionError(f"no run may start another one: {event}")


def items(world: World) -> list[Any]:
    found = world.dynamodb.scan(TableName=world.table.name)["Items"]
    return sorted(found, key=lambda item: (item["PK"]["S"], item["SK"]["S"]))


def without_progress(world: World) -> list[Any]:
    return [item for item in items(world) if item["PK"]["S"] != keys.progress().PK]


def progress(world: World) -> Progress | None:
    return world.table.get(Progress, keys.progress())


def handled(world: World) -> list[Object]:
    return [event for event in world.stripe.store.all("event") if event["type"] in EFFECTS]


def record(world: World, event: Object) -> Any:
    return world.table.record(event["id"])


def time_left(seconds: float) -> AbstractContextManager[None]:
    """Sets a deadline, as Lambda does for an invocation."""
    return deadline.of(Context("request-1", "reconcile", 512, time.time() + seconds))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)


@pytest.fixture
def lost(world: World) -> World:
    """Returns a world with a first subscription. None of its events has arrived."""
    world.plan()
    world.subscribe()
    return world


@pytest.fixture
def true(lost: World) -> World:
    """Returns the same world after a reconciliation, so its table agrees with Stripe."""
    assert run(lost)["complete"]
    return lost


def drift(world: World, **values: Any) -> None:
    world.table.write([replace(only_subscription(world), **values)])


# -- events


def test_lost_webhooks_are_found_and_applied(lost: World) -> None:
    report = run(lost)
    events = handled(lost)
    assert (report["seen"], report["missed"], report["late"]) == (len(events), len(events), 0)
    assert (report["complete"], report["unresolved"], report["differing"]) == (True, [], {})
    assert {record(lost, event).done for event in events} == {True}
    tenant = lost.tenant()
    assert tenant
    assert tenant.status is TenantStatus.ACTIVE
    [invoice] = lost.stripe.store.all("invoice")
    recorded = lost.invoice(invoice["id"])
    assert recorded
    assert recorded.status is InvoiceStatus.PAID


def test_the_result_is_the_same_as_with_the_webhook(world: World, bought: list[Object]) -> None:
    before = items(world)
    for event in bought:
        world.deliver(event)
    delivered = state(world)
    for item in items(world):
        world.dynamodb.delete_item(TableName=world.table.name, Key={n: item[n] for n in ("PK", "SK")})
    for item in before:
        world.dynamodb.put_item(TableName=world.table.name, Item=item)
    for event in bought:
        world.stripe.store.objects.setdefault("event", {})[event["id"]] = event
    run(world)
    assert state(world) == delivered


def test_a_second_run_changes_nothing(true: World) -> None:
    before = without_progress(true)
    report = run(true)
    assert without_progress(true) == before
    assert (report["missed"], report["repaired"], report["differing"]) == (0, 0, {})
    assert report["complete"]


def test_only_what_did_not_arrive_is_applied(lost: World) -> None:
    events = handled(lost)
    for event in events[1:]:
        assert lost.deliver(event).status == 200
    assert run(lost)["missed"] == 1
    assert record(lost, events[0]).done


def test_a_webhook_that_arrives_later_is_a_duplicate(true: World) -> None:
    before = without_progress(true)
    for event in handled(true):
        answer = true.deliver(event)
        assert (answer.status, answer.body["duplicate"]) == (200, True)
    assert without_progress(true) == before


def test_an_event_that_failed_is_tried_again(lost: World) -> None:
    created = next(e for e in handled(lost) if e["type"] == "checkout.session.completed")
    lost.stripe.fail(status=404, count=1, path="/v1/subscriptions/")
    assert lost.deliver(created).status == 503
    assert record(lost, created).status is RecordStatus.FAILED
    run(lost)
    assert record(lost, created).status is RecordStatus.PROCESSED


def test_old_missed_events_are_reported_as_late(lost: World) -> None:
    for event in handled(lost)[:2]:
        event["created"] -= 3600
    assert run(lost)["late"] == 2


def test_the_next_run_sees_what_is_new_and_two_hours_before(true: World) -> None:
    for event in true.stripe.store.all("event"):
        event["created"] -= 3 * 3600
    subscriptions.set_status(true.stripe.store, first_subscription(true), "past_due")
    report = run(true)
    assert (report["seen"], report["missed"]) == (1, 1)
    assert only_subscription(true).status == "past_due"


def test_events_come_oldest_first_page_by_page(lost: World, monkeypatch: pytest.MonkeyPatch) -> None:
    events = handled(lost)
    for n, event in enumerate(events):  # two events in each second, newest first, over some weeks
        event["created"] = int(time.time()) - (n // 2) * 3 * DAY
    monkeypatch.setattr(stripe_api, "PAGE", 1)
    report = run(lost)
    assert (report["complete"], report["missed"]) == (True, len(events))
    received = [(event["created"], record(lost, event)) for event in events]
    assert all(stored.done for _, stored in received)
    assert all(a.received_at <= b.received_at for t, a in received for u, b in received if t < u)


def many_events(world: World, number: int, seconds: int) -> list[str]:
    """So many copies of an event that was applied, over so many seconds. Returns their ids."""
    [event] = [e for e in handled(world) if e["type"] == "invoice.paid"]
    for n in range(number):
        created = int(time.time()) - n * seconds // number
        copied = event | {"id": f"evt_{n}", "created": created}
        world.stripe.store.objects["event"][copied["id"]] = copied
    return [f"evt_{n}" for n in range(number)]


def test_600_events_need_few_calls_of_stripe(true: World) -> None:
    many_events(true, 600, 3600)
    true.stripe.calls.clear()
    assert run(true, dry_run=True)["seen"] == len(handled(true))
    assert true.stripe.calls.count(("GET", "/v1/events")) <= 15


def test_more_events_than_can_be_held_are_read_in_slices_of_time(true: World, monkeypatch: pytest.MonkeyPatch) -> None:
    missed = many_events(true, 120, 7200)
    monkeypatch.setattr(stripe_api, "PAGE", 5)
    monkeypatch.setattr(run_module, "MAX_EVENTS", 10)
    held: list[int] = []
    read = true.table.read

    def noted(these: Iterable[keys.Key]) -> Any:
        found = list(these)
        held.append(sum(key.SK == "EVENT" for key in found))
        return read(found)

    monkeypatch.setattr(true.table, "read", noted)
    true.stripe.calls.clear()
    report = run(true)
    events = handled(true)
    assert (report["seen"], report["missed"], report["complete"]) == (len(events), 120, True)
    assert max(held) <= 2 * 15, "of each of two lists, no more than a page above the limit"
    received = [(event["created"], record(true, event)) for event in events if event["id"] in missed]
    assert all(a.received_at <= b.received_at for t, a in received for u, b in received if t < u)
    assert true.stripe.calls.count(("GET", "/v1/events")) < 120, "few calls are made in vain"


def test_a_slice_that_is_cut_off_goes_on_at_its_event(true: World, monkeypatch: pytest.MonkeyPatch) -> None:
    many_events(true, 3, 300)
    monotonic, receive = time.monotonic, Inbox.receive

    def slowly(self: Inbox, event: Event) -> Receipt:
        patch.setattr(time, "monotonic", lambda: monotonic() + 290)
        return receive(self, event)

    started: list[Any] = []
    with monkeypatch.context() as patch:
        patch.setattr(Inbox, "receive", slowly)
        report = run(true, start=started.append)
    oldest, next_one, newest = (true.stripe.store.get("event", f"evt_{n}") for n in (2, 1, 0))
    assert (report["complete"], record(true, oldest).done, record(true, next_one)) == (False, True, None)
    stored = progress(true)
    assert stored
    assert (stored.phase, stored.cursor, started) == (Phase.EVENTS, str(next_one["created"]), [{"continued": 1}])
    assert run(true)["complete"]
    assert record(true, newest).done


def test_a_poisoned_event_is_unresolved_and_the_others_are_applied(lost: World) -> None:
    poisoned = next(e for e in handled(lost) if e["type"] == "checkout.session.completed")
    poisoned["data"]["object"]["subscription"] = "sub_gone"
    poisoned["data"]["object"]["metadata"] = {}
    report = run(lost)
    [unresolved] = report["unresolved"]
    assert (unresolved["id"], unresolved["type"]) == (poisoned["id"], "checkout.session.completed")
    assert unresolved["reason"].startswith("Unresolved: Stripe has no subscription sub_gone")
    assert {record(lost, e).done for e in handled(lost) if e is not poisoned} == {True}
    assert record(lost, poisoned).status is RecordStatus.FAILED
    assert report["complete"]
    held = progress(lost)
    assert held
    assert held.events_since == poisoned["created"]


def test_what_fails_is_tried_again_for_three_days(lost: World) -> None:
    poisoned = next(e for e in handled(lost) if e["type"] == "checkout.session.completed")
    poisoned["data"]["object"]["subscription"] = "sub_gone"
    poisoned["created"] -= DAY
    for _ in range(2):
        assert [u["id"] for u in run(lost)["unresolved"]] == [poisoned["id"]]
    poisoned["created"] -= 3 * DAY
    run(lost)
    assert run(lost)["unresolved"] == []


# -- differences between the table and Stripe


def test_what_was_changed_by_hand_is_repaired_and_reported(true: World) -> None:
    whole = state(true)
    drift(true, status="paused", quantity=7)
    [invoice] = true.stripe.store.all("invoice")
    recorded = true.invoice(invoice["id"])
    assert recorded
    true.table.write([replace(recorded, status=InvoiceStatus.OVERDUE, amount_paid=0)])
    report = run(true)
    assert report["differing"] == {
        "subscription.status": 1,
        "subscription.quantity": 1,
        "invoice.status": 1,
        "invoice.amountPaid": 1,
    }
    assert (report["repaired"], report["complete"]) == (2, True)
    assert {one["id"]: set(one["fields"]) for one in report["differed"]} == {
        first_subscription(true)["id"]: {"subscription.status", "subscription.quantity"},
        invoice["id"]: {"invoice.status", "invoice.amountPaid"},
    }
    assert state(true) == whole
    assert run(true)["differing"] == {}


def test_a_tenants_status_is_repaired(true: World) -> None:
    tenant = true.tenant()
    assert tenant
    true.table.write([replace(tenant, status=TenantStatus.SUSPENDED)])
    assert run(true)["differing"] == {"tenant.status": 1}
    repaired = true.tenant()
    assert repaired
    assert repaired.status is TenantStatus.ACTIVE


def test_a_change_whose_event_is_lost_for_good_is_repaired(true: World) -> None:
    periods.renew(true.stripe.store, first_subscription(true))
    true.stripe.store.forget("event")
    report = run(true)
    assert (report["missed"], report["repaired"]) == (0, 3)
    assert report["differing"] == {
        "subscription.currentPeriodStart": 1,
        "subscription.currentPeriodEnd": 1,
        "subscription.items": 1,
        "payment": 1,
        "invoice": 1,
        "payment.invoiceId": 1,
    }
    assert run(true)["differing"] == {}


def test_open_invoices_of_any_age_are_compared(true: World) -> None:
    invoice = periods.renew(true.stripe.store, first_subscription(true), "pm_card_chargeCustomerFail")
    invoice["created"] -= 100 * DAY
    true.stripe.store.forget("event")
    assert run(true)["differing"]["invoice"] == 1
    recorded = true.invoice(invoice["id"])
    assert recorded
    assert recorded.status is InvoiceStatus.OVERDUE


def test_a_payment_of_which_no_event_is_left(true: World) -> None:
    intent = own_invoice(true, 5000)
    collecting.confirm_intent(true.stripe.store, intent, "pm_card_visa")
    [charge] = true.stripe.store.all("charge", payment_intent=intent["id"])
    payments.refund(true.stripe.store, charge, 1000)
    true.stripe.store.forget("event")
    assert run(true)["differing"] == {"payment": 1, "invoice.status": 1, "invoice.amountPaid": 1} | {
        "invoice.amountRemaining": 1
    }
    payment, invoice = true.payment(intent["id"]), true.invoice("inv-001")
    assert payment
    assert invoice
    assert (payment.status, payment.amount_refunded, payment.invoice_id) == ("SUCCEEDED", 1000, "inv-001")
    assert (invoice.status, invoice.amount_paid) == (InvoiceStatus.PAID, 5000)
    payments.dispute(true.stripe.store, charge)
    true.stripe.store.forget("event")
    assert run(true)["differing"] == {"payment.disputed": 1, "payment.disputeStatus": 1}
    assert run(true)["differing"] == {}


def test_a_payment_without_an_attempt_is_not_recorded(true: World) -> None:
    intent = own_invoice(true, 5000)
    compared = run(true)["compared"]
    assert true.payment(intent["id"]) is None
    with pytest.raises(ApiError):
        collecting.confirm_intent(true.stripe.store, intent, "pm_card_chargeDeclined")
    true.stripe.store.forget("event")
    assert run(true)["compared"] == compared + 1
    failed = true.payment(intent["id"])
    assert failed
    assert failed.status is PaymentStatus.FAILED


@pytest.mark.parametrize(("days", "found"), [(29, 0), (31, 1), (None, 1)])
def test_objects_without_events_are_compared_from_the_beginning(true: World, days: int | None, found: int) -> None:
    """`days` tells how long ago the last complete run began (None: never). Stripe keeps events for 30 days."""
    invoice = periods.renew(true.stripe.store, first_subscription(true))
    [intent] = [i for i in true.stripe.store.all("payment_intent") if true.payment(i["id"]) is None]
    for old in (invoice, intent):
        old["created"] -= 100 * DAY
    true.stripe.store.forget("event")
    stored = progress(true)
    assert stored
    since = None if days is None else int(time.time()) - days * DAY
    true.table.write([replace(stored, events_since=since)])
    differing = run(true)["differing"]
    assert (differing.get("invoice", 0), differing.get("payment", 0)) == (found, found)


def test_a_wrong_final_state_is_reported_and_not_repaired(true: World) -> None:
    drift(true, status="canceled")
    report = run(true)
    [unresolved] = report["unresolved"]
    assert unresolved["id"] == only_subscription(true).stripe_subscription_id
    assert "final state" in unresolved["reason"]
    assert (report["repaired"], only_subscription(true).status) == (0, "canceled")


def test_objects_of_no_tenant_are_counted_as_foreign(true: World) -> None:
    theirs = copy.deepcopy(first_subscription(true)) | {"id": "sub_theirs", "customer": "cus_theirs", "metadata": {}}
    true.stripe.store.objects["subscription"]["sub_theirs"] = theirs
    before = without_progress(true)
    report = run(true)
    assert (report["foreign"], report["unresolved"], report["complete"]) == (1, [], True)
    assert without_progress(true) == before


def test_a_listed_object_that_is_older_than_the_table_does_no_harm(
    true: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event arrives after Stripe listed the object and before the run reads the account."""
    api = bootstrap.stripe()
    original = api.list_subscriptions

    def overtaken(**filters: Any) -> Any:
        listed = original(**filters)
        subscriptions.set_status(true.stripe.store, first_subscription(true), "past_due")
        assert true.deliver(handled(true)[0]).status == 200
        time_left(300)
        return listed

    monkeypatch.setattr(api, "list_subscriptions", overtaken)
    report = run(true)
    assert (report["differing"], only_subscription(true).status) == ({}, "past_due")


def test_a_payment_that_came_before_its_invoice_is_counted_when_they_are_tied(true: World) -> None:
    intent = own_invoice(true, 5000)
    collecting.confirm_intent(true.stripe.store, intent, "pm_card_visa")
    # The table now looks as if it came from an older backup.
    for key in (keys.invoice(TENANT, "inv-001"), keys.own_invoice_pointer("inv-001")):
        true.dynamodb.delete_item(TableName=true.table.name, Key=table_items.dump(key._asdict()))
    assert run(true)["complete"]
    body = {"invoiceId": "inv-001", "amount": 5000, "currency": "usd"}
    assert true.api("POST", f"/tenants/{TENANT}/invoices", admin=True, json=body).status == 201
    assert run(true)["differing"]["invoice.amountPaid"] == 1
    invoice = true.invoice("inv-001")
    assert invoice
    assert (invoice.status, invoice.amount_paid) == (InvoiceStatus.PAID, 5000)
    assert run(true)["differing"] == {}
    refused(true.api("POST", "/invoices/inv-001/payment-intent"), 409, "invoice-not-payable")


def test_what_failed_of_a_full_comparison_is_compared_again(lost: World) -> None:
    [intent] = lost.stripe.store.all("payment_intent")
    intent["created"] -= 100 * DAY
    lost.stripe.store.forget("event")
    lost.stripe.fail(status=500, count=1000, path=f"/v1/payment_intents/{intent['id']}")
    report = run(lost)
    assert (report["complete"], [one["id"] for one in report["unresolved"]]) == (True, [intent["id"]])
    lost.stripe.failures.clear()
    assert run(lost)["differing"]["payment"] == 1
    stored = progress(lost)
    assert stored
    assert (stored.objects_failed, stored.objects_since) == (False, 0)
    run(lost)
    stored = progress(lost)
    assert stored
    assert stored.objects_since > 0


def test_a_failing_list_does_not_block_the_events(true: World) -> None:
    true.stripe.fail(status=500, count=1000, path="/v1/payment_intents")
    assert not run(true)["complete"]
    subscriptions.set_status(true.stripe.store, first_subscription(true), "past_due")
    report = run(true)
    assert (report["missed"], report["complete"], only_subscription(true).status) == (1, False, "past_due")
    stored = progress(true)
    assert stored
    assert (stored.phase, stored.resume_phase) == ("payments", "")
    true.stripe.failures.clear()
    assert run(true)["complete"]


def test_a_run_that_was_cut_off_long_ago_begins_anew(true: World) -> None:
    stored = progress(true)
    assert stored
    long_ago = int(time.time()) - phases.KEPT_SECONDS - 60
    true.table.write([replace(stored, phase=Phase.INVOICES, began_at=long_ago, events_since=long_ago)])
    drift(true, quantity=7)
    assert run(true)["differing"] == {"subscription.quantity": 1}


def test_a_canceled_payment_is_found(true: World) -> None:
    intent = own_invoice(true, 5000)
    payments.cancel_intent(true.stripe.store, intent)
    true.stripe.store.forget("event")
    assert run(true)["differing"] == {"payment": 1}
    payment = true.payment(intent["id"])
    assert payment
    assert payment.status is PaymentStatus.CANCELED


# -- at a glance


def calls_of(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts the calls of DynamoDB."""
    counted: Counter[str] = Counter()

    def between(service: str, operation: str, _: Any, call: Callable[[], Any]) -> Any:
        counted[operation] += service == "dynamodb"
        return call()

    intercept(monkeypatch, between)
    return counted


def test_a_page_that_does_not_differ_needs_a_few_reads(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.plan()
    for n in range(12):
        world.subscribe(for_tenant=f"tenant{n}")
    assert run(world)["complete"]
    world.stripe.store.forget("event")
    world.stripe.calls.clear()
    counted = calls_of(monkeypatch)
    report = run(world)
    assert (report["complete"], report["compared"], report["differing"]) == (True, 4 * 12, {})
    assert counted["BatchGetItem"] <= 3 * 5, "at most three for each of five lists"
    assert counted["Query"] == 0
    assert len(world.stripe.calls) == 7, "a page of each list"


@pytest.mark.parametrize("status", ["active", "canceled"])
def test_a_tenant_whose_current_subscription_is_not_the_right_one(true: World, status: str) -> None:
    """Each of its subscriptions is as Stripe has it. That the other one is the current one, only both together show."""
    first = first_subscription(true)
    metadata = {"tenantId": TENANT}
    price = true.stripe.store.get("price", first["items"]["data"][0]["price"]["id"])
    second = subscriptions.create_subscription(true.stripe.store, first["customer"], price, metadata)
    second["created"] = first["created"] + 1
    subscriptions.set_status(true.stripe.store, second, status)
    assert run(true)["complete"]
    right = state(true)
    tenant, held = true.tenant(), {one.stripe_subscription_id: one for one in true.subscriptions()}
    assert tenant
    assert tenant.current_subscription_id == first["id"]
    given = tenancy.status_given_by(held[second["id"]])
    wrong: list[Any] = [replace(tenant, current_subscription_id=second["id"], status=given)]
    if status == "active":
        wrong += [replace(held[first["id"]], duplicate=True), replace(held[second["id"]], duplicate=False)]
    true.table.write(wrong)
    assert run(true)["differing"]["tenant.currentSubscriptionId"] == 1
    assert state(true) == right


def test_of_an_invoice_in_dunning_its_payment_tells_why(true: World) -> None:
    """No list shows the reason, so Stripe would have to be asked for each such invoice in each run."""
    store = true.stripe.store
    invoice = periods.renew(store, first_subscription(true), "pm_card_chargeCustomerFail")
    assert run(true)["complete"]
    store.forget("event")
    true.stripe.calls.clear()
    assert run(true)["differing"] == {}
    assert ("GET", f"/v1/invoices/{invoice['id']}") not in true.stripe.calls
    recorded = true.invoice(invoice["id"])
    assert recorded
    assert recorded.failure_code == "generic_decline"
    true.table.write([replace(recorded, failure_code="expired_card")])
    assert run(true)["differing"] == {"invoice.failureCode": 1}
    true.stripe.calls.clear()
    [payment] = store.all("invoice_payment", invoice=invoice["id"])
    intent = store.get("payment_intent", payment["payment"]["payment_intent"])
    intent["status"] = "processing"  # a bank debit after the failure: no event of the invoice tells of it
    run(true)
    assert ("GET", f"/v1/invoices/{invoice['id']}") in true.stripe.calls


def test_a_first_invoice_that_is_paid_settles_its_checkout_also_at_a_glance(true: World) -> None:
    """The invoice itself does not differ, and the checkout is too old to be compared."""
    [session] = true.stripe.store.all("checkout.session")
    session["created"] -= 100 * DAY
    true.stripe.store.forget("event")
    tenant = true.tenant()
    assert tenant
    waiting = replace(only_subscription(true), checkout_payment=CheckoutPayment.PENDING)
    true.table.write([waiting, replace(tenant, status=TenantStatus.PENDING)])
    assert run(true)["differing"] == {"subscription.checkoutPayment": 1, "tenant.status": 1}
    assert only_subscription(true).checkout_payment is CheckoutPayment.SETTLED


def test_an_object_that_cannot_be_read_does_not_disturb_the_others_of_its_page(true: World) -> None:
    drift(true, quantity=7)
    first = first_subscription(true)
    broken = copy.deepcopy(first) | {"id": "sub_broken", "metadata": {"tenantId": "\ud800"}}  # half a character
    true.stripe.store.objects["subscription"]["sub_broken"] = broken
    report = run(true)
    assert [(one["id"], one["reason"].split(":")[0]) for one in report["unresolved"]] == [("sub_broken", "Unreadable")]
    assert (report["differing"], report["complete"]) == ({"subscription.quantity": 1}, True)


def test_if_the_table_does_not_answer_at_a_glance_every_object_is_looked_at(
    true: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    drift(true, quantity=7)

    def unavailable(*_: Any) -> Any:
        raise AwsUnavailable("DynamoDB does not answer", retry_after=2)

    monkeypatch.setattr(sync, "glances", unavailable)
    report = run(true)
    assert (report["compared"], report["differing"], report["complete"]) == (4, {"subscription.quantity": 1}, True)


# -- a dry run


def test_a_dry_run_writes_nothing(lost: World) -> None:
    before = items(lost)
    report = run(lost, dry_run=True)
    assert items(lost) == before
    assert (report["dryRun"], report["complete"], report["missed"]) == (True, True, len(handled(lost)))
    # Nothing was written, so the subscription was compared as one whose checkout has not ended: the tenant's status
    # would not change.
    assert report["differing"] == {"subscription": 1, "payment": 1, "invoice": 1} | {
        "tenant.currentSubscriptionId": 1,
        "tenant.checkout": 1,
    }
    assert report["repaired"] == 0


# -- continued runs


@contextmanager
def out_of_time(method: str, call: int) -> Iterator[None]:
    """At this call of Stripe (1: the first) the invocation has time for this call only."""
    api, monotonic = bootstrap.stripe(), time.monotonic
    original = getattr(api, method)
    calls: list[Any] = []

    def slowly(*arguments: Any, **filters: Any) -> Any:
        calls.append(filters)
        if len(calls) == call:
            passed = deadline.remaining() - (stripe_api.WORST_CASE_SECONDS + deadline.RESERVE_SECONDS + 1)
            patch.setattr(time, "monotonic", lambda: monotonic() + passed)
        return original(*arguments, **filters)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, method, slowly)
        yield


def five_subscriptions(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four of them are not ours and newer. The oldest one differs from the table. Two are on one page."""
    first = first_subscription(world)
    for n in range(4):
        other = copy.deepcopy(first) | {"id": f"sub_{n}", "metadata": {}, "customer": "cus_theirs"}
        world.stripe.store.objects["subscription"][other["id"]] = other | {"created": first["created"] + n}
    drift(world, quantity=7)
    monkeypatch.setattr(stripe_api, "PAGE", 2)


def test_a_run_that_is_cut_off_goes_on_after_the_page_that_was_done(
    true: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    five_subscriptions(true, monkeypatch)
    monkeypatch.setattr(readers, "ThreadPoolExecutor", Inline)
    started: list[Any] = []
    with out_of_time("list_subscriptions", 2):
        report = run(true, start=started.append)
    assert (report["complete"], report["compared"]) == (False, 5)  # a checkout and four subscriptions
    assert (report["stopped"], report["goesOn"], report["continued"]) == ("The time of this run is over.", True, 0)
    assert started == [{"continued": 1}]
    stored = progress(true)
    assert stored
    assert (stored.phase, stored.spans[0].cursor) == ("subscriptions", "sub_0")
    report = run(true, continued=1)
    assert (report["complete"], report["compared"]) == (True, 3)  # a subscription, a payment and an invoice
    assert (report["missed"], report["differing"]) == (0, {"subscription.quantity": 1})
    assert (report["goesOn"], report["continued"]) == (False, 1)


def test_a_list_is_cut_into_spans_and_each_object_is_compared_once(
    true: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = first_subscription(true)
    ids = [f"sub_{n}" for n in range(60)]
    for n, name in enumerate(ids):  # some of them in one second, and most of them in one month
        created = int(time.time()) - (n // 3) ** 4 * 60
        other = copy.deepcopy(first) | {"id": name, "created": created, "metadata": {}, "customer": "cus_theirs"}
        true.stripe.store.objects["subscription"][name] = other
    monkeypatch.setattr(stripe_api, "PAGE", 2)
    looked_at: list[str] = []
    glance = sync.glance

    def noted(table: Table, listed: Sequence[Any]) -> Any:
        looked_at.extend(one["id"] for one in listed if one["object"] == "subscription")
        return glance(table, listed)

    monkeypatch.setattr(sync, "glance", noted)
    monkeypatch.setattr(run_module, "SPAN_PAGES", 2)
    report = run(true)
    assert (report["complete"], report["foreign"], report["differing"]) == (True, 60, {})
    assert sorted(looked_at) == sorted([*ids, first["id"]])


def test_a_run_without_progress_starts_no_other(true: World) -> None:
    """Neither if it had no time at all, nor if it came no further than to the place where it was cut off."""
    report = run(true, seconds=1)
    assert (report["stopped"], report["goesOn"]) == ("The time of this run is over.", False)
    stored = progress(true)
    assert stored
    left = (Span(cursor=first_subscription(true)["id"]),)
    cut_off = replace(stored, phase=Phase.SUBSCRIPTIONS, spans=left, began_at=int(time.time()))
    true.table.write([cut_off])
    with out_of_time("list_events", 2):
        assert run(true)["goesOn"] is False
    stored = progress(true)
    assert stored
    assert (stored.phase, stored.spans) == (Phase.SUBSCRIPTIONS, left), "the events were read, and what waits is kept"


def test_a_dry_run_and_the_last_of_a_chain_start_no_other(true: World) -> None:
    for options in ({"dry_run": True}, {"continued": MAX_CHAIN - 1}):
        with out_of_time("list_checkout_sessions", 1):
            report = run(true, **options)
        assert (report["stopped"], report["goesOn"]) == ("The time of this run is over.", False)


def test_if_the_next_run_cannot_be_started_the_hourly_one_goes_on(true: World) -> None:
    def unavailable(_: Mapping[str, Any]) -> None:
        raise AwsUnavailable("Lambda does not answer", retry_after=2)

    with out_of_time("list_checkout_sessions", 1):
        assert run(true, start=unavailable)["goesOn"] is False
    assert run(true)["complete"]


def test_a_cursor_that_is_gone_begins_its_span_again(true: World) -> None:
    stored = progress(true)
    assert stored
    gone = replace(stored, phase=Phase.INVOICES, spans=(Span(cursor="in_gone"),), began_at=int(time.time()))
    true.table.write([gone])
    report = run(true)
    assert (report["complete"], report["compared"]) == (True, 1)


def test_a_run_that_was_cut_off_by_another_version_begins_anew(true: World) -> None:
    stored = progress(true)
    assert stored
    true.table.write([replace(stored, phase=cast("Phase", "of-old"), cursor="in_1")])
    assert run(true)["complete"]


def test_only_one_of_two_runs_continues(lost: World, monkeypatch: pytest.MonkeyPatch) -> None:
    api = bootstrap.stripe()
    original = api.list_subscriptions
    inner: list[dict[str, Any]] = []

    def overtaken(**filters: Any) -> Any:
        if not inner:
            inner.append({})
            inner[0] = run(lost)
        return original(**filters)

    monkeypatch.setattr(api, "list_subscriptions", overtaken)
    outer = run(lost)
    assert (inner[0]["complete"], outer["complete"]) == (True, False)
    assert "Another run" in outer["stopped"]
    assert run(lost)["complete"]


# -- failures of Stripe


@pytest.mark.parametrize("path", ["/v1/events", "/v1/subscriptions", "/v1/invoices"])
def test_a_rate_limit_in_the_middle_is_waited_for(lost: World, path: str) -> None:
    lost.stripe.fail(status=429, count=1, path=path)
    report = run(lost)
    assert (report["complete"], report["unresolved"]) == (True, [])
    assert only_subscription(lost).status == "active"


def test_a_rate_limit_that_stays_ends_the_run_for_now(lost: World) -> None:
    lost.stripe.fail(status=429, count=100, path="/v1/subscriptions")
    report = run(lost)
    assert (report["complete"], report["unresolved"]) == (False, [])
    assert "rate limiting" in report["stopped"]
    lost.stripe.failures.clear()
    assert run(lost)["complete"]


def test_a_failing_stripe_ends_the_run_for_now(true: World) -> None:
    true.stripe.fail(status=500, count=100, path="/v1/invoices")
    report = run(true)
    assert (report["complete"], report["stopped"]) == (False, "Stripe failed; try again.")
    stored = progress(true)
    assert stored
    assert stored.phase == "open-invoices"
    true.stripe.failures.clear()
    report = run(true)
    assert (report["complete"], report["missed"]) == (True, 0)


def test_one_object_that_stripe_fails_on_does_not_stop_the_others(true: World) -> None:
    drift(true, quantity=7)
    [invoice] = true.stripe.store.all("invoice")
    recorded = true.invoice(invoice["id"])
    assert recorded
    true.table.write([replace(recorded, amount_paid=0)])
    true.stripe.fail(status=500, count=100, path="/v1/subscriptions/sub")
    report = run(true)
    assert [u["type"] for u in report["unresolved"]] == ["subscription"]
    assert report["differing"] == {"invoice.amountPaid": 1}
    assert report["complete"]


# -- the functions


def test_the_function_runs_and_writes_its_metrics(lost: World, capsys: pytest.CaptureFixture[str]) -> None:
    report = invoke(lost, {})
    assert (report["complete"], report["missed"]) == (True, len(handled(lost)))
    metrics = next(json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line)
    names = ("ReconciliationMissed", "ReconciliationDrift", "ReconciliationUnresolved", "ReconciliationComplete")
    assert [metrics[name] for name in names] == [[0.0], [0.0], [0.0], [1.0]]


def test_what_is_late_or_drifted_is_in_the_metrics_and_the_log(
    true: World, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    drift(true, quantity=7)
    late = at(true.stripe.store.emit("invoice.paid", true.stripe.store.all("invoice")[0]), 0)
    late |= {"id": "evt_late", "created": late["created"] - 3600}
    true.stripe.store.forget("event")
    true.stripe.store.objects["event"] = {"evt_late": late}
    capsys.readouterr()
    caplog.clear()
    report = invoke(true, {})
    metrics = next(json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line)
    assert (metrics["ReconciliationMissed"][-1], metrics["ReconciliationDrift"][-1]) == (1.0, 1.0)
    assert [vars(line)["report"] for line in caplog.records if line.message == "reconciled"] == [report]


def test_an_event_that_was_listed_late_is_still_seen(true: World) -> None:
    stored = progress(true)
    assert stored
    event = at(true.stripe.store.emit("invoice.paid", true.stripe.store.all("invoice")[0]), 0)
    event |= {"id": "evt_late", "created": stored.began_at - 3600}
    true.stripe.store.objects["event"] = {"evt_late": event}
    assert run(true)["missed"] == 1


def test_the_function_takes_a_dry_run(lost: World) -> None:
    before = items(lost)
    assert invoke(lost, {"dryRun": True})["dryRun"] is True
    assert items(lost) == before


@pytest.mark.parametrize("event", [{"dryrun": True}, {"dryRun": "perhaps"}])
def test_the_function_refuses_what_it_does_not_know(lost: World, event: dict[str, Any]) -> None:
    """A wrong spelling of `dryRun` must not start a real run."""
    before = items(lost)
    with pytest.raises(ValidationError):
        invoke(lost, event)
    assert items(lost) == before


def invoke(world: World, event: dict[str, Any]) -> dict[str, Any]:
    handler = load(ROOT / "functions" / "reconcile_stripe", "app.handler")
    report: dict[str, Any] = handler(event, Context("request-1", "reconcile", 512, time.time() + 300))
    return report


@pytest.mark.parametrize(
    ("sent", "dry_run"), [({}, False), ({"json": {"dryRun": True}}, True), ({"query_string": {"dryRun": "true"}}, True)]
)
def test_an_admin_starts_a_run(
    world: World, monkeypatch: pytest.MonkeyPatch, sent: dict[str, Any], *, dry_run: bool
) -> None:
    with lambda_client(monkeypatch) as stub:
        body = json.dumps({"dryRun": dry_run}).encode()
        expected = {"FunctionName": "billing-reconcile", "InvocationType": "Event", "Payload": body}
        stub.add_response("invoke", {"StatusCode": 202}, expected)
        answer = world.api("POST", "/stripe/reconcile", admin=True, **sent)
        assert (answer.status, answer.body) == (202, {"started": True, "dryRun": dry_run})
        stub.assert_no_pending_responses()


def test_nobody_else_starts_a_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with lambda_client(monkeypatch):
        refused(world.api("POST", "/stripe/reconcile"), 403, "admin-only")
        refused(world.api("POST", "/stripe/reconcile", admin=True, json={"dryRun": 1}), 400, "bad-request")


def lambda_client(monkeypatch: pytest.MonkeyPatch) -> Stubber:
    client = boto3.client("lambda")
    monkeypatch.setattr(bootstrap, "background", cache(lambda: Background(client, "billing-reconcile")))
    return Stubber(client)
