"""Checks which of the platform's own invoices an admin may create."""

from typing import Any

import pytest

from billing.adapters.table.store import Table
from billing.errors import RevisionConflict
from tests.integration.support import refused
from tests.world import TENANT, Answer, World


def create(world: World, *, admin: bool = True, **body: Any) -> Answer:
    request = {"amount": 25000, "currency": "usd", **body}
    return world.api("POST", f"/tenants/{TENANT}/invoices", admin=admin, json=request)


def test_an_invoice_of_the_platforms_own(world: World) -> None:
    answer = create(world, invoiceId="inv-7", dueDate="2030-01-31", description="Set-up")
    assert answer.status == 201
    assert answer.body == {
        "invoiceId": "inv-7",
        "tenantId": TENANT,
        "status": "PENDING",
        "amountDue": 25000,
        "amountPaid": 0,
        "amountRemaining": 25000,
        "currency": "usd",
        "dueDate": "2030-01-31T23:59:59Z",
        "description": "Set-up",
    }


def test_the_same_request_twice_creates_one_invoice(world: World) -> None:
    first = create(world, invoiceId="inv-7")
    again = create(world, invoiceId="inv-7")
    assert (first.status, again.status) == (201, 200)
    assert first.body == again.body
    refused(create(world, invoiceId="inv-7", amount=1), 409, "already-exists")


def test_an_id_is_taken_across_tenants(world: World) -> None:
    create(world, invoiceId="inv-7")
    body = {"invoiceId": "inv-7", "amount": 25000, "currency": "usd"}
    refused(world.api("POST", "/tenants/other/invoices", admin=True, json=body), 409, "already-exists")


def test_an_invoice_without_an_id_gets_one(world: World) -> None:
    ids = {create(world).body["invoiceId"] for _ in range(2)}
    assert len(ids) == 2


@pytest.mark.parametrize(
    "body",
    [
        {"amount": 0},
        {"amount": -1},
        {"amount": 1.5},
        {"amount": "100"},
        {"amount": True},
        {"amount": 100_000_000},
        {"amount": None},
        {"currency": "us"},
        {"currency": "zzz"},
        {"currency": "dollar"},
        {"dueDate": "tomorrow"},
        {"dueDate": "2030-02-30"},
        {"dueDate": "2030-01-31T12:00:00"},
        {"dueDate": "0001-01-01T00:00:00+01:00"},
        {"description": ""},
        {"invoiceId": "in_123"},
        {"invoiceId": "a/b"},
        {"description": "x" * 501},
        {"status": "PAID"},
    ],
)
def test_bad_invoices(world: World, body: dict[str, Any]) -> None:
    refused(create(world, **body), 400, "bad-request")


def test_times_are_kept_in_utc(world: World) -> None:
    assert create(world, dueDate="2030-01-31T12:00:00+02:00").body["dueDate"] == "2030-01-31T10:00:00Z"


def test_codes_are_kept_in_lower_case(world: World) -> None:
    assert create(world, currency="EUR").body["currency"] == "eur"


def test_an_idempotency_key_makes_one_invoice(world: World) -> None:
    """Without an id, a request whose answer was lost can be sent again."""

    def send(key: str, amount: int = 900, tenant: str = TENANT) -> Answer:
        body = {"amount": amount, "currency": "usd"}
        headers = {"Idempotency-Key": key}
        return world.api("POST", f"/tenants/{tenant}/invoices", admin=True, json=body, headers=headers)

    first, again = send("key-1"), send("key-1")
    assert (first.status, again.status) == (201, 200)
    assert first.body == again.body
    assert send("key-2").body["invoiceId"] != first.body["invoiceId"]
    assert send("key-1", tenant="other").body["invoiceId"] != first.body["invoiceId"]
    refused(send("key-1", amount=901), 409, "already-exists")
    refused(send("k" * 256), 400, "bad-request")


def test_a_race_that_was_lost_is_no_other_invoice(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """DynamoDB refuses one of two transactions at once, and perhaps neither of them is written."""
    write = Table.write

    def collides(*_: object) -> None:
        monkeypatch.setattr(Table, "write", write)
        raise RevisionConflict

    monkeypatch.setattr(Table, "write", collides)
    assert create(world, invoiceId="inv-7").status == 201
