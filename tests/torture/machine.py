"""Simulates a tenant at Stripe, and an adversary between Stripe and the platform.

Hypothesis decides what happens at Stripe. It decides when each event arrives, which events arrive twice or at the same
time, and how their calls interleave. It also decides which calls die, which calls fail, and which calls take effect
although the caller sees a failure. At the end, Stripe delivers every event until the platform accepts it. Then the
table must agree with Stripe, and the stream must show each change once.
"""

import itertools
import random
from collections import Counter
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize

from billing.adapters.table import keys
from billing.announce import publisher as publish
from billing.domain.entities import Tenant
from billing.domain.writes import Pointer, StripeId
from local.stripe.engine.store import Object, Store
from tests.torture import coverage, model
from tests.torture.faults import figures
from tests.torture.harness import PLANS
from tests.torture.steps.base import THEMES
from tests.torture.steps.buying import Buying
from tests.torture.steps.callers import Callers
from tests.torture.steps.customers import Customers
from tests.torture.steps.living import Living
from tests.torture.steps.money import Money

ROUNDS = 5

_numbers = itertools.count(1)


class Life(Buying, Living, Money, Customers, Callers):
    @initialize(
        themes=st.sets(st.sampled_from(THEMES), min_size=1, max_size=3),
        known=st.booleans(),
        dunning=st.sampled_from(["canceled", "unpaid", "past_due"]),
    )
    def begin(self, themes: set[str], known: bool, dunning: str) -> None:
        """With the theme `customers`, the tenant may have no customer and no record yet."""
        number = next(_numbers)
        self.tenant = f"t{number}"
        self.store: Store = self.harness.new_history(number)
        self.store.dunning_ends = dunning
        self.themes = themes
        self.linked, self.elsewhere = set(), set()
        self.seen = 0
        self.undelivered, self.delivered, self.answers = [], [], []
        self.ignored = set()
        self.used = Counter()
        self.own = {}
        self.orders = coverage.Orders()
        figures["histories"] += 1
        for theme in themes:
            figures[f"histories with the theme {theme}"] += 1
        if known or "customers" not in themes:
            self._link_first()

    def _link_first(self) -> None:
        customer = f"cus_{self.tenant}"
        self.linked = {customer}
        self.store.create("customer", id=customer, metadata={"tenantId": self.tenant})
        pointer = Pointer(StripeId(customer), tenant_id=self.tenant)
        self.harness.world.table.write([Tenant(tenant_id=self.tenant, stripe_customer_id=customer)], [pointer])

    # -- the end

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        self.collect()
        chance = random.Random(len(self.undelivered))
        for _ in range(ROUNDS):
            waiting = [*self.undelivered]
            chance.shuffle(waiting)
            for event in waiting:
                answer = self.deliver(event)
                assert answer.status == 200, (event["type"], answer)
        assert not self.undelivered
        for event in chance.sample(self.delivered, min(3, len(self.delivered))):
            assert self.deliver(event).status == 200
        self.deliver_failed()
        while (report := self.sweep())["due"]:
            assert (report["failed"], report["complete"]) == (0, True), report
        self.check_table()
        self.check_reconciled()
        self._check_records()
        self._check_stream()

    def check_table(self) -> None:
        account = self.harness.account(self.tenant)
        expected = model.expected(self.view, self.tenant, PLANS, self.own)
        if self.tenant not in account and expected[self.tenant]["currentSubscriptionId"] is None:
            del expected[self.tenant]  # nothing has happened yet that needs a record of the tenant
        assert set(account) == set(expected), (sorted(account), sorted(expected))
        for key, fields in expected.items():
            for name, value in fields.items():
                if not name.startswith("_"):
                    assert account[key].get(name) == value, (key, name, account[key].get(name), value)

    def _never_paid(self) -> bool:
        """Whether the tenant had nothing but checkouts of ours whose money never came."""
        made = self.view.all("subscription")
        return bool(made) and all(_is_unpaid(self.store, one) for one in made)

    def _check_records(self) -> None:
        found = self.harness.world.table.read(keys.event(event["id"]) for event in self.delivered)
        statuses = {item["eventId"]: item["status"] for item in found.values()}
        for event in self.delivered:
            assert statuses[event["id"]] in ("PROCESSED", "STALE", "IGNORED"), (event["type"], statuses[event["id"]])

    def _check_stream(self) -> None:
        """Checks the history of each item in the stream.

        Each record begins with the state in which the record before it ended. Every write adds one to the revision.
        """
        last: dict[str, dict[str, Any]] = {}
        announced: Counter[str] = Counter()
        once: Counter[tuple[str, str]] = Counter()
        for before, after in self.harness.streams.read():
            item = after or before
            if item["PK"] != f"TENANT#{self.tenant}":
                continue
            assert after, "an item was deleted"
            assert before == last.get(item["SK"], {}), "the stream repeats or omits a change"
            assert after["revision"] == before.get("revision", 0) + 1
            assert not (_final(before) and after["status"] != before["status"]), (before["status"], after["status"])
            assert after.get("amountPaid", 0) >= before.get("amountPaid", 0)
            last[item["SK"]] = after
            for announcement in publish.announcements_of(before, after):
                announced[announcement.id] += 1
                once[announcement.type, announcement.entity.id] += 1
        assert not [key for key, count in announced.items() if count > 1], "two announcements have the same id"
        if self._never_paid():
            assert not once["tenant.activated", self.tenant], "an unpaid checkout gave access"
        for sort_key, item in last.items():
            for kind, happened in announced_once(sort_key, item).items():
                assert once[kind, sort_key.split("#")[-1]] == happened, (kind, sort_key, once)


def _is_unpaid(store: Store, subscription: Object) -> bool:
    """Whether a checkout of ours made it, and its money never came."""
    return model.waiting(store, subscription) and "checkoutAttempt" in subscription["metadata"]


def announced_once(sort_key: str, item: dict[str, Any]) -> dict[str, bool]:
    """Takes an item in its last state. Tells for each announcement whether it was due once (True) or never (False)."""
    match sort_key.split("#", maxsplit=1)[0]:
        case "SUBSCRIPTION":
            ended = item["status"] in ("canceled", "incomplete_expired")
            return {"subscription.created": True, "subscription.canceled": ended}
        case "INVOICE":
            return {"invoice.paid": item["status"] == "PAID", "invoice.voided": item["status"] == "VOID"}
        case "PAYMENT":
            return {"payment.succeeded": item["status"] == "SUCCEEDED"}
    return {}


def _final(item: dict[str, Any]) -> bool:
    kind = item.get("SK", "").split("#")[0]
    final = {"SUBSCRIPTION": {"canceled", "incomplete_expired"}, "INVOICE": {"PAID", "VOID"}, "PAYMENT": {"SUCCEEDED"}}
    return item.get("status") in final.get(kind, set())
