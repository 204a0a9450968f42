"""Which events the console shows, and what it asks for that."""

from types import SimpleNamespace
from typing import cast

import pytest

from local.console import events
from local.console.view import Filter, Held
from local.desk import Desk
from local.stripe.account import Account

MANY = 50


@pytest.fixture
def account() -> Account:
    made = Account("sk_test_local")
    for number in range(MANY):
        customer = made.store.create("customer", metadata={"tenantId": f"tenant-{number}"})
        made.store.emit("customer.created", customer)
    return made


def look(account: Account, *asked: str) -> events.Timeline:
    desk = cast("Desk", SimpleNamespace(stripe=account))
    return events.timeline(desk, Held([], {}, {}), Filter(*asked))


def test_the_pages_have_every_event_once(account: Account) -> None:
    seen: list[str] = []
    before = ""
    while not seen or before:
        page = look(account, "", "", "", before)
        assert page.begin == len(seen)
        seen += [row.id for row in page.rows]
        before = page.last
    assert len(seen) == len(set(seen)) == page.found == MANY
    newest = look(account).rows[0].id
    assert look(account, "", "", "", "evt_unknown").rows[0].id == newest, "after a reset it begins with the newest"


def test_a_page_of_older_events_stays_when_new_ones_come(account: Account) -> None:
    before = look(account).last
    page = [row.id for row in look(account, "", "", "", before).rows]
    account.store.emit("customer.created", account.store.create("customer"))
    assert [row.id for row in look(account, "", "", "", before).rows] == page


def test_the_owner_is_looked_for_only_where_it_is_shown(account: Account) -> None:
    page = look(account)
    assert [row for row in page.rows if "tenant" in vars(row)] == []
    assert page.rows[0].tenant == f"tenant-{MANY - 1}"
    [found] = look(account, "tenant-7").rows
    assert found.tenant == "tenant-7"
