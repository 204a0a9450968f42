"""Checks the function of the stream: what it announces, what it stores in the history, and what it retries."""

import json
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient

from billing import bootstrap, deadline
from billing.adapters.table import items, keys
from billing.domain.entities import Entity, Invoice, Tenant
from billing.domain.statuses import InvoiceStatus, TenantStatus
from tests.world import World

NOW = "2026-11-23T12:00:00Z"
BEFORE = Tenant(tenant_id="acme", revision=1, updated_at=NOW)
AFTER = replace(BEFORE, revision=2, status=TenantStatus.ACTIVE)
INVOICE = Invoice(
    tenant_id="acme",
    invoice_id="in_1",
    status=InvoiceStatus.PAID,
    currency="usd",
    amount_due=4900,
    revision=1,
    updated_at=NOW,
)


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Collects the announcements that the bus accepts. The bus refuses a type as often as `refusals` says."""
    taken: list[dict[str, Any]] = []
    call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def noted(self: BaseClient, operation: str, params: dict[str, Any]) -> Any:
        if operation != "PutEvents":
            return call(self, operation, params)
        answer = call(self, operation, params)
        for n, entry in enumerate(params["Entries"]):
            if refusals.get(entry["DetailType"], 0):
                refusals[entry["DetailType"]] -= 1
                answer["Entries"][n] = {"ErrorCode": "ThrottlingException", "ErrorMessage": "later"}
                answer["FailedEntryCount"] += 1
            else:
                taken.append(json.loads(entry["Detail"]))
        return answer

    refusals.clear()
    monkeypatch.setattr(BaseClient, "_make_api_call", noted)
    monkeypatch.setattr("time.sleep", lambda _: None)
    return taken


refusals: dict[str, int] = {}


def image(entity: Entity, **more: Any) -> dict[str, Any]:
    return dict(items.dump(items.attributes(entity) | keys.of(entity.identity)._asdict() | more))


def record(number: int, before: Entity | None, after: Entity, **more: Any) -> dict[str, Any]:
    change: dict[str, Any] = {"Keys": items.dump(keys.of(after.identity)._asdict()), "SequenceNumber": str(number)}
    change |= {"NewImage": image(after, **more)} | ({"OldImage": image(before)} if before else {})
    return {"eventID": str(number), "eventName": "MODIFY", "eventSource": "aws:dynamodb", "dynamodb": change}


def publish(world: World, *records: dict[str, Any]) -> list[str]:
    """Publishes the records. Returns the sequence numbers that the function reports as failed."""
    answer = world.run("publish_billing_events", {"Records": list(records)})
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def history(world: World) -> list[dict[str, Any]]:
    answer = world.api("GET", "/tenants/acme/history", tenant="acme")
    found: list[dict[str, Any]] = answer.body["history"]
    return found


def test_a_change_is_announced_and_remembered(world: World, bus: list[dict[str, Any]]) -> None:
    assert publish(world, record(1, BEFORE, AFTER, eventId="evt_1"), record(2, None, INVOICE)) == []
    assert [(one["type"], one["tenantId"]) for one in bus] == [
        ("tenant.activated", "acme"),
        ("invoice.created", "acme"),
        ("invoice.paid", "acme"),
    ]
    assert bus[0]["stripeEventId"] == "evt_1"
    assert (bus[0]["from"], bus[0]["to"]) == ({"status": "PENDING"}, {"status": "ACTIVE"})
    changes = {change["entity"]: change for change in history(world)}
    assert changes["TENANT"]["changes"]["status"] == {"from": "PENDING", "to": "ACTIVE"}
    assert changes["TENANT"]["eventId"] == "evt_1"
    assert changes["INVOICE"]["entityId"] == "in_1"


def test_a_record_that_comes_again_has_the_same_ids(world: World, bus: list[dict[str, Any]]) -> None:
    for _ in range(2):
        publish(world, record(1, BEFORE, AFTER))
    assert [one["id"] for one in bus] == [bus[0]["id"]] * 2
    assert len(history(world)) == 1


def test_an_entry_that_is_refused_is_sent_again_by_itself(world: World, bus: list[dict[str, Any]]) -> None:
    refusals["invoice.overdue"] = 2
    failed = replace(INVOICE, status=InvoiceStatus.OVERDUE, attempt_count=1)
    assert publish(world, record(1, None, failed)) == []
    assert sorted(one["type"] for one in bus) == [
        "invoice.created",
        "invoice.overdue",
        "invoice.payment_attempt_failed",
    ]


def test_a_record_that_fails_is_reported_and_does_not_stop_the_others(world: World, bus: list[dict[str, Any]]) -> None:
    refusals["tenant.activated"] = 99
    poison: dict[str, Any] = {"eventID": "2", "eventName": "MODIFY", "eventSource": "aws:dynamodb"}
    poison |= {"dynamodb": {"SequenceNumber": "2", "NewImage": {"PK": {"S": "TENANT#x"}, "SK": {"S": "INVOICE#y"}}}}
    assert publish(world, record(1, BEFORE, AFTER), poison, record(3, None, INVOICE)) == ["1", "2"]
    assert [one["type"] for one in bus] == ["invoice.created", "invoice.paid"]


def test_version_1_stays_for_those_who_rely_on_it(
    world: World, bus: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANNOUNCEMENT_VERSION", "1")
    bootstrap.reset()
    publish(world, record(1, None, INVOICE))
    assert [(one["version"], one["type"]) for one in bus] == [("1", "invoice.paid")]


def test_a_deletion_is_not_announced(world: World, bus: list[dict[str, Any]]) -> None:
    removed = record(1, AFTER, AFTER)
    removed["eventName"] = "REMOVE"
    del removed["dynamodb"]["NewImage"]
    assert publish(world, removed) == []
    assert bus == []


def test_announcements_go_to_the_configured_bus(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []
    call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def noted(self: BaseClient, operation: str, params: dict[str, Any]) -> Any:
        names.extend(entry["EventBusName"] for entry in params.get("Entries", []))
        return call(self, operation, params)

    monkeypatch.setattr(BaseClient, "_make_api_call", noted)
    publish(world, record(1, BEFORE, AFTER))
    assert names == [bus["Name"] for bus in boto3.client("events").list_event_buses()["EventBuses"]][-1:]


def test_a_batch_that_runs_out_of_time_is_reported_in_time(world: World, bus: list[dict[str, Any]]) -> None:
    world.timeout = deadline.RESERVE_SECONDS / 2
    assert publish(world, record(1, BEFORE, AFTER)) == ["1"]
    assert bus == []
