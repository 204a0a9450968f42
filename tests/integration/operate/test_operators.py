"""Checks the endpoints of operators: lists of events, one event, its replay, and the history of a tenant."""

import base64
import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from billing.adapters.table import keys
from billing.adapters.table.items import Item
from billing.adapters.table.pages import Pages, failed_events, tenant_events
from billing.announce import changes as history
from billing.domain.caller import Caller
from billing.domain.records import Record, RecordStatus
from billing.edge.parameters.operate import GetTenantHistory, ListStripeEvents
from billing.errors import AwsUnavailable
from billing.operate.event_records import EventRecords
from billing.operate.history import History
from local.stripe.engine.store import Object
from tests.aws_calls import intercept
from tests.integration.support import refused
from tests.world import CUSTOMER, TENANT, Answer, World

ROUTES = {
    "list_stripe_events": ("GET", "/stripe/events"),
    "get_stripe_event": ("GET", "/stripe/events/{eventId}"),
    "replay_stripe_event": ("POST", "/stripe/events/{eventId}/replay"),
    "get_tenant_history": ("GET", "/tenants/{tenantId}/history"),
}


def listed(world: World, **query: Any) -> Answer:
    return world.api("GET", "/stripe/events", tenant=None, admin=True, query_string=query)


def seen(world: World, event_id: str) -> Answer:
    return world.api("GET", f"/stripe/events/{event_id}", tenant=None, admin=True)


def replayed(world: World, event_id: str) -> Answer:
    return world.api("POST", f"/stripe/events/{event_id}/replay", tenant=None, admin=True)


def tenant_history(
    world: World, tenant_id: str = TENANT, *, tenant: str | None = TENANT, admin: bool = False, **q: Any
) -> Answer:
    return world.api("GET", f"/tenants/{tenant_id}/history", tenant=tenant, admin=admin, query_string=q)


@pytest.fixture
def kept(world: World) -> list[Object]:
    """Returns the events of a subscription by card in Stripe's order.

    None of them is delivered yet, and Stripe still keeps them.
    """
    world.plan()
    world.subscribe()
    return [copy.deepcopy(event) for event in reversed(world.stripe.store.all("event"))]


@pytest.fixture
def created(kept: list[Object]) -> Object:
    return next(e for e in kept if e["type"] == "customer.subscription.created")


@pytest.fixture
def completed(kept: list[Object]) -> Object:
    return next(e for e in kept if e["type"] == "checkout.session.completed")


def fail(world: World, event: Object) -> None:
    """Delivers the event while Stripe is down, so its record becomes FAILED."""
    world.stripe.fail(500, count=2, path="/v1/subscriptions")
    assert world.deliver(event).status == 503


# -- failed events


def test_a_failed_event_is_listed_until_it_is_applied(world: World, completed: Object) -> None:
    fail(world, completed)
    answer = listed(world, status="FAILED")
    assert answer.status == 200
    [event] = answer.body["events"]
    session = completed["data"]["object"]
    assert event["error"].startswith("StripeFailed")
    assert event["receivedAt"] <= event["lastSeenAt"]
    times = {"receivedAt", "lastSeenAt", "stripeCreatedAt", "error"}
    assert {name: value for name, value in event.items() if name not in times} == {
        "eventId": completed["id"],
        "eventType": "checkout.session.completed",
        "status": "FAILED",
        "attempts": 1,
        "objectId": session["id"],
        "tenantId": TENANT,
        "apiVersion": completed["api_version"],
        "livemode": False,
    }
    assert replayed(world, completed["id"]).body["status"] == "PROCESSED"
    assert listed(world, status="FAILED").body == {"events": []}


def test_one_event(world: World, created: Object) -> None:
    refused(seen(world, created["id"]), 404, "event-not-found")
    world.deliver(created)
    answer = seen(world, created["id"])
    assert (answer.status, answer.body["status"], answer.body["tenantId"]) == (200, "PROCESSED", TENANT)
    assert answer.body["processedAt"]
    assert not answer.body.keys() & {"PK", "SK", "expiresAt", "error", "reason", "tenantEvents"}


@pytest.mark.parametrize("event_id", ["sub_1", "evt_", "evt_a-b", "evt_1%0A", "evt_" + "a" * 251, "EVT_1"])
def test_an_invalid_event_id_is_refused(world: World, event_id: str) -> None:
    refused(seen(world, event_id), 400, "bad-request")
    refused(replayed(world, event_id), 400, "bad-request")
    assert world.stripe.calls == []


@pytest.mark.parametrize(("method", "path"), [ROUTES[name] for name in list(ROUTES)[:3]])
def test_events_are_for_admins(world: World, created: Object, method: str, path: str) -> None:
    world.deliver(created)
    query = {"tenantId": TENANT} if path == "/stripe/events" else {}
    answer = world.api(method, path.replace("{eventId}", created["id"]), tenant=TENANT, query_string=query)
    refused(answer, 403, "admin-only")


# -- events of a tenant


def test_the_events_of_a_tenant_newest_first(world: World, kept: list[Object], monkeypatch: pytest.MonkeyPatch) -> None:
    applied = []
    for second, event in enumerate(kept):
        monkeypatch.setattr("billing.clock.now", lambda second=second: f"2026-11-23T12:00:{second:02}Z")
        if world.deliver(event).body["status"] in ("PROCESSED", "STALE"):
            applied.append(event["id"])
    assert [e["eventId"] for e in listed(world, tenantId=TENANT).body["events"]] == applied[::-1]
    assert listed(world, tenantId="another").body == {"events": []}


def test_the_events_of_a_tenant_with_one_status(world: World, created: Object, completed: Object) -> None:
    fail(world, completed)
    world.deliver(created)
    for status, event in (("FAILED", completed), ("PROCESSED", created)):
        found = listed(world, tenantId=TENANT, status=status).body["events"]
        assert [e["eventId"] for e in found] == [event["id"]]
    assert listed(world, tenantId=TENANT, status="STALE").body == {"events": []}


def test_an_event_without_a_tenant_is_in_no_tenants_list(world: World, created: Object) -> None:
    created["data"]["object"] |= {"customer": "cus_elsewhere", "metadata": {}}
    assert world.deliver(created).body["status"] == "IGNORED"
    assert listed(world, tenantId=TENANT).body == {"events": []}


@pytest.mark.parametrize(
    "query",
    [
        {},
        *({"status": status} for status in ("PROCESSED", "RECEIVED", "IGNORED", "STALE")),
        {"status": "failed"},
        {"status": "GONE", "tenantId": TENANT},
        {"status": "FAILED", "colour": "red"},
        {"tenantId": "a b"},
        {"tenantId": ""},
        *({"status": "FAILED", "limit": limit} for limit in ("0", "101", "-1", "1.5", "x", "", "٣", "9" * 5000)),
    ],
)
def test_an_invalid_query_is_refused(world: World, query: dict[str, str]) -> None:
    refused(listed(world, **query), 400, "bad-request")


def test_the_detail_names_a_valid_query(world: World) -> None:
    assert "status=FAILED" in listed(world, status="PROCESSED").body["detail"]


# -- pages


def bring(world: World, event_id: str, at: str, tenant_id: str = TENANT, status: RecordStatus | None = None) -> None:
    """Stores a record that was received at that time. Without a status the record fails; otherwise it is closed."""
    record = Record(
        event_id=event_id,
        event_type="invoice.paid",
        status=RecordStatus.RECEIVED,
        livemode=False,
        stripe_created_at=at,
        received_at=at,
        tenant_id=tenant_id,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("billing.clock.now", lambda: at)
        world.table.open_record(record)
        if status is None:
            world.table.fail_record(record, "Contention: too many")
        else:
            world.table.close_record(Record(**{**vars(record), "status": status}))


def pages(world: World, **query: Any) -> Iterator[list[str]]:
    cursor: dict[str, str] = {}
    while True:
        body = EventRecords(world.table).search(ListStripeEvents.model_validate(query | cursor))
        yield [event["eventId"] for event in body["events"]]
        if "cursor" not in body:
            return
        cursor = {"cursor": body["cursor"]}


@pytest.mark.parametrize(
    "query", [{"status": "FAILED"}, {"tenantId": TENANT}, {"tenantId": TENANT, "status": "FAILED"}]
)
def test_pages_neither_lose_nor_repeat_an_event(world: World, query: dict[str, str]) -> None:
    """Five events have the same second. The ids decide their order."""
    for number in range(23):
        bring(world, f"evt_{number:02}", f"2026-11-23T12:00:{number // 5:02}Z")
    expected = [f"evt_{number:02}" for number in reversed(range(23))]
    for limit in (1, 2, 5, 7, 22, 23, 24, 100):
        got = list(pages(world, limit=limit, **query))
        assert [name for page in got for name in page] == expected, limit
        assert [len(page) for page in got[:-1]] == [limit] * (len(got) - 1)
        assert 0 < len(got[-1]) <= limit


def test_a_cursor_works_after_its_item_left_the_list(world: World) -> None:
    for number in range(4):
        bring(world, f"evt_{number}", f"2026-11-23T12:00:0{number}Z")
    body = listed(world, status="FAILED", limit=2).body
    record = world.table.record("evt_2")
    assert record
    world.table.close_record(Record(**{**vars(record), "status": RecordStatus.STALE}))
    rest = listed(world, status="FAILED", cursor=body["cursor"]).body
    assert [e["eventId"] for e in rest["events"]] == ["evt_1", "evt_0"]
    assert "cursor" not in rest


def test_a_rare_status_among_many_events(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits a read of DynamoDB to about two items instead of 1 MB.

    Some pages are short or empty, but together they hold all events.
    """
    for number in range(60):
        rare = number in (3, 30, 31, 59)
        bring(world, f"evt_{number:02}", f"2026-11-23T12:00:{number:02}Z", status=None if rare else RecordStatus.STALE)
    monkeypatch.setattr("moto.dynamodb.models.table.RESULT_SIZE_LIMIT", 1000)
    got = list(pages(world, tenantId=TENANT, status="FAILED", limit=2))
    assert [name for page in got for name in page] == ["evt_59", "evt_31", "evt_30", "evt_03"]
    assert [] in got
    assert all(len(page) <= 2 for page in got)


def packed(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def forged(past: Pages, *position: Any) -> str:
    """Makes a cursor with a correct check. Anyone who reads the source code can do this."""
    return packed([*position, past.check(list(position))])


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "a",
        "%%%",
        "a" * 1201,
        packed(None),
        packed([]),
        packed({}),
        packed("evt_1"),
        packed(["2026-11-23T12:00:00Z", "EVENT#evt_1", "EVENT"]),
        packed(["2026-11-23T12:00:00Z", "EVENT#evt_1", "EVENT", "0" * 16]),
        base64.urlsafe_b64encode(b"[" * 700).decode().rstrip("="),
        base64.urlsafe_b64encode(b"\xff\xfe").decode().rstrip("="),
        forged(failed_events()),
        forged(failed_events(), "2026-11-23T12:00:00Z"),
        forged(failed_events(), "2026-11-23T12:00:00Z", "EVENT#evt_1", ""),
        forged(failed_events(), "2026-11-23T12:00:00Z", "EVENT#evt_1", 1),
        forged(failed_events(), "2026-11-23T12:00:00Z", "EVENT#evt_1", "\ud800"),
        forged(failed_events(), "2026-11-23T12:00:00Z", {"S": "EVENT#evt_1"}, "EVENT"),
        forged(tenant_events(TENANT), "2026-11-23T12:00:00Z", "EVENT#evt_1", "EVENT"),
    ],
)
def test_a_hostile_cursor_is_refused(world: World, cursor: str) -> None:
    refused(listed(world, status="FAILED", cursor=cursor), 400, "bad-request")


def test_a_cursor_is_of_no_use_for_another_query(world: World) -> None:
    for number in range(3):
        bring(world, f"evt_{number}", f"2026-11-23T12:00:0{number}Z")
        bring(world, f"evt_other_{number}", f"2026-11-23T12:00:0{number}Z", tenant_id="other")
    queries = [
        {"status": "FAILED"},
        {"tenantId": TENANT},
        {"tenantId": TENANT, "status": "FAILED"},
        {"tenantId": "other"},
    ]
    for own in queries:
        cursor = listed(world, **own, limit=1).body["cursor"]
        assert listed(world, **own, cursor=cursor).status == 200
        for other in queries:
            if other != own:
                refused(listed(world, **other, cursor=cursor), 400, "bad-request")
        refused(tenant_history(world, admin=True, cursor=cursor), 400, "bad-request")
        changed = cursor[:-1] + ("A" if cursor[-1] != "A" else "B")
        refused(listed(world, **own, cursor=changed[:20] + changed[21:]), 400, "bad-request")


def test_an_invented_position_stays_in_its_partition(world: World) -> None:
    bring(world, "evt_mine", "2026-11-23T12:00:00Z")
    bring(world, "evt_theirs", "2026-11-23T12:00:01Z", tenant_id="other")
    cursor = forged(tenant_events(TENANT), "9999", "TENANT#other", "TENANT")
    found = listed(world, tenantId=TENANT, cursor=cursor).body["events"]
    assert [e["eventId"] for e in found] == ["evt_mine"]


# -- replays


def test_an_event_that_never_came_is_applied_by_a_replay(world: World, created: Object) -> None:
    answer = replayed(world, created["id"])
    assert answer.status == 200
    assert answer.body == {"eventId": created["id"], "status": "PROCESSED", "duplicate": False}
    assert len(world.subscriptions()) == 1
    assert ("GET", f"/v1/events/{created['id']}") in world.stripe.calls


def test_a_replay_counts_once_with_its_delivery(world: World, created: Object) -> None:
    world.deliver(created)
    before = (world.tenant(), world.subscriptions())
    assert replayed(world, created["id"]).body == {"eventId": created["id"], "status": "PROCESSED", "duplicate": True}
    assert (world.tenant(), world.subscriptions()) == before
    assert world.deliver(created).body["duplicate"] is True


def test_an_ignored_event_is_applied_when_its_reason_is_gone(world: World, created: Object) -> None:
    at_stripe = world.stripe.store.get("event", created["id"])
    at_stripe["data"]["object"] |= {"customer": CUSTOMER, "metadata": {}}
    answer = replayed(world, created["id"])
    assert answer.body == {
        "eventId": created["id"],
        "status": "IGNORED",
        "reason": "no tenant of ours",
        "duplicate": False,
    }
    world.customer("later", CUSTOMER)
    assert replayed(world, created["id"]).body["status"] == "PROCESSED"
    assert len(world.subscriptions("later")) == 1
    assert [e["eventId"] for e in listed(world, tenantId="later").body["events"]] == [created["id"]]


def test_an_event_of_a_type_that_is_not_ours(world: World, created: Object) -> None:
    world.stripe.store.get("event", created["id"])["type"] = "customer.discount.created"
    first = replayed(world, created["id"]).body
    assert (first["status"], first["reason"], first["duplicate"]) == ("IGNORED", "unhandled type", False)
    assert replayed(world, created["id"]).body["duplicate"] is True


def test_a_replay_that_fails_answers_as_the_webhook_does(world: World, completed: Object) -> None:
    for attempt in (1, 2):
        world.stripe.fail(500, count=2, path="/v1/subscriptions")
        answer = replayed(world, completed["id"])
        refused(answer, 503, "stripe-unavailable")
        stored = seen(world, completed["id"]).body
        assert (stored["status"], stored["attempts"]) == ("FAILED", attempt)
    assert [e["eventId"] for e in listed(world, status="FAILED").body["events"]] == [completed["id"]]


def test_a_bug_in_our_code_fails_the_replay(world: World, created: Object, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr("billing.adapters.table.store.Table.commit", broken)
        refused(replayed(world, created["id"]), 500, "internal")
    assert seen(world, created["id"]).body["error"] == "RuntimeError: a bug"
    assert replayed(world, created["id"]).body["status"] == "PROCESSED"


def test_stripe_is_down_before_the_event_is_there(world: World, created: Object) -> None:
    world.stripe.fail(500, count=2, path="/v1/events")
    refused(replayed(world, created["id"]), 503, "stripe-unavailable")
    assert world.table.record(created["id"]) is None


def test_an_event_that_stripe_does_not_have(world: World, created: Object) -> None:
    refused(replayed(world, "evt_never"), 404, "event-not-found")
    world.deliver(created)
    world.stripe.store.forget("event")
    answer = replayed(world, created["id"])
    refused(answer, 409, "event-expired")
    assert "reconciliation" in answer.body["detail"]


# -- the history


def remember(world: World, tenant_id: str = TENANT, count: int = 1) -> list[Item]:
    """Stores the changes of one invoice: `count` writes, five in each second."""
    image: Item = {}
    made = []
    for revision in range(1, count + 1):
        now = {"revision": revision, "updatedAt": f"2026-11-23T12:00:{revision // 5:02}Z", "amountPaid": revision}
        after = keys.invoice(tenant_id, "in_1")._asdict() | now | {"eventId": f"evt_{revision}"}
        item = history.change(image, after)
        assert item
        made.append(item)
        image = after
    world.table.remember(made)
    return made


def test_the_history_of_a_tenant(world: World) -> None:
    remember(world, count=2)
    remember(world, "other", count=5)
    assert tenant_history(world).body == {
        "history": [
            {
                "at": "2026-11-23T12:00:00Z",
                "entity": "INVOICE",
                "entityId": "in_1",
                "revision": 2,
                "changes": {"amountPaid": {"from": 1, "to": 2}},
                "eventId": "evt_2",
            },
            {
                "at": "2026-11-23T12:00:00Z",
                "entity": "INVOICE",
                "entityId": "in_1",
                "revision": 1,
                "changes": {"amountPaid": {"to": 1}},
                "eventId": "evt_1",
            },
        ]
    }


def test_the_history_is_the_tenants_own(world: World) -> None:
    remember(world)
    refused(tenant_history(world, tenant="other"), 403, "forbidden")
    refused(tenant_history(world, tenant=None), 403, "forbidden")
    assert len(tenant_history(world, tenant=None, admin=True).body["history"]) == 1
    assert tenant_history(world, "other", tenant="other").body == {"history": []}


def test_a_stolen_cursor_shows_nothing_of_another_tenant(world: World) -> None:
    remember(world, count=3)
    remember(world, "other", count=3)
    theirs = tenant_history(world, "other", tenant="other", limit=1).body["cursor"]
    refused(tenant_history(world, cursor=theirs), 400, "bad-request")


def test_the_history_holds_the_changes_as_written(world: World, kept: list[Object]) -> None:
    """Uses the images that the table really held before and after each delivery."""
    images = []
    for event in kept:
        before = entities(world)
        world.deliver(event)
        images += [(before.get(key, {}), after) for key, after in entities(world).items() if after != before.get(key)]
    world.table.remember(item for before, after in images if (item := history.change(before, after)))
    body = tenant_history(world, limit=100).body["history"]
    first = next(change for change in reversed(body) if change["entity"] == "SUBSCRIPTION")
    assert first["changes"]["status"] == {"to": "incomplete"}
    assert first["eventId"] in {event["id"] for event in kept}
    activated = [c for c in body if c["entity"] == "TENANT" and c["changes"].get("status", {}).get("to") == "ACTIVE"]
    assert [c["entityId"] for c in activated] == [TENANT]


def entities(world: World) -> dict[keys.Key, Item]:
    partition = world.dynamodb.query(
        TableName=world.table.name,
        KeyConditionExpression="PK = :pk",
        ExpressionAttributeValues={":pk": {"S": f"TENANT#{TENANT}"}},
        ProjectionExpression="PK, SK",
    )["Items"]
    return world.table.read(keys.Key(raw["PK"]["S"], raw["SK"]["S"]) for raw in partition)


def test_changes_can_be_put_several_times(world: World) -> None:
    made = remember(world, count=60)  # more than two batches
    world.table.remember([*made, *made])
    world.table.remember([])
    for limit in (1, 7, 25, 60, 61, 100):
        query: dict[str, Any] = {"tenantId": TENANT, "limit": limit}
        got: list[int] = []
        while True:
            body = History(world.table).page(Caller(TENANT), GetTenantHistory.model_validate(query))
            got += [change["revision"] for change in body["history"]]
            if "cursor" not in body:
                break
            query["cursor"] = body["cursor"]
        assert got == list(range(60, 0, -1)), limit


def test_items_that_a_throttled_table_leaves_out_are_put_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def throttled(_: str, operation: str, asked: Any, call: Callable[[], Any]) -> Any:
        if operation != "BatchWriteItem":
            return call()
        [(name, puts)] = asked["RequestItems"].items()
        calls.append(len(puts))
        taken, left = (puts[:10], puts[10:])
        asked["RequestItems"] = {name: taken}
        call()
        return {"UnprocessedItems": {name: left} if left else {}}

    monkeypatch.setattr("time.sleep", lambda _: None)
    with monkeypatch.context() as patch:
        intercept(patch, throttled)
        remember(world, count=30)
    assert calls == [25, 15, 5, 5]
    assert len(tenant_history(world, limit=100).body["history"]) == 30

    intercept(monkeypatch, lambda _, __, asked, ___: {"UnprocessedItems": asked["RequestItems"]})
    with pytest.raises(AwsUnavailable):
        remember(world, "other")


# -- what a caller can make us read and say


def test_a_long_body_is_refused(world: World) -> None:
    body = json.dumps({"x" * 40 + str(n): "y" * 40 for n in range(60_000)})
    refused(world.api("POST", "/stripe/checkout", data=body), 413, "body-too-large")
    names = json.dumps({f"{n:x}" * 8: 1 for n in range(400)})
    answer = world.api("POST", "/stripe/checkout", data=names)
    refused(answer, 400, "bad-request")
    assert len(answer.body["detail"]) < 1000


def test_the_webhook_has_a_limit_of_its_own(world: World) -> None:
    """Stripe's events are longer than what a frontend sends."""
    answer = world.deliver_raw(b'{"a": "' + b"x" * 100_000 + b'"}')
    refused(answer, 400, "invalid-event")
