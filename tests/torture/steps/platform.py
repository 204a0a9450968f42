"""Calls to the platform: deliveries, frontends, operators, and what runs by itself."""

import copy
import random
from contextlib import suppress
from functools import partial
from typing import Any
from unittest.mock import patch

from hypothesis import strategies as st

from billing.adapters import stripe_api
from billing.adapters.table import keys
from billing.errors import AwsUnavailable
from billing.replica.effects import EFFECTS
from local.stripe.api import lists
from local.stripe.engine.store import DAY, Object
from tests.torture import judge, model, money
from tests.torture.faults import figures
from tests.torture.harness import PLANS
from tests.torture.scheduler import Fault, Task, run
from tests.torture.steps.base import Steps, chances, exists, faults, step, which
from tests.world import Answer

AT_ONCE = 8
RUNS = 50
SHORT_PAGE = 2
NEVER_KEPT = -1  # in days
FAULTS = {"AwsUnavailable", "Contention", "StripeUnavailable", "StripeFailed"}
TOLERATED = {"invoice.nextAttempt"}  # no event that we get tells of the next attempt's end (see docs/consistency.md)

type Broken = list[dict[int, Fault]]


class Platform(Steps):
    answers: list[Answer]
    ignored: set[str]

    # -- deliveries

    @step(
        when=(exists("event"),),
        weight=2,
        lasting=True,
        chance=chances,
        number=st.integers(1, AT_ONCE),
        broken=st.lists(faults, max_size=AT_ONCE),
    )
    def stripe_delivers(self, chance: random.Random, number: int, broken: Broken) -> None:
        self.collect()
        tasks = self._deliveries(chance, number, broken)
        run(tasks, chance)
        self.count(tasks)

    @step(when=(exists("event"),), chance=chances, broken=st.lists(faults, min_size=AT_ONCE, max_size=AT_ONCE))
    def stripe_delivers_all_at_once(self, chance: random.Random, broken: Broken) -> None:
        self.collect()
        tasks = self._deliveries(chance, AT_ONCE, broken)
        run(tasks, chance)
        self.count(tasks)

    @step("operators", when=(exists("event", type="customer.subscription.created"),), n=which)
    def a_connected_account_names_our_tenant(self, n: int) -> None:
        """Its objects are not ours, whatever its metadata says."""
        events = self.store.all("event", type="customer.subscription.created")
        event = copy.deepcopy(events[n % len(events)])
        event |= {"id": f"{event['id']}x{n}", "account": "acct_other"}
        event["data"]["object"] |= {"id": f"sub_foreign{n}", "status": "active"}
        answer = self.harness.world.deliver(event)
        assert (answer.status, answer.body["status"]) == (200, "IGNORED"), answer

    # -- what runs by itself

    @step(
        chance=chances,
        number=st.integers(0, AT_ONCE - 2),
        broken=st.lists(faults, min_size=1, max_size=2),
        way=st.sampled_from(["events", "objects", "cut off"]),
        cut=st.integers(1, 60),
        ends=st.booleans(),
        page=st.sampled_from([stripe_api.PAGE, SHORT_PAGE]),
        when=(exists("event"),),
    )
    def it_is_reconciled(
        self, chance: random.Random, number: int, broken: Broken, way: str, cut: int, ends: bool, page: int
    ) -> None:
        """Runs one or two reconciliations at once, while events arrive.

        A run may die, or its time may be over. A later run continues it, or no run does. The run uses the events that
        Stripe keeps, or only the objects, as if all events were too old. With short pages, lists are cut into spans. If
        it ends, and Stripe still has all events, the table agrees with Stripe, whatever was delivered.
        """
        if way == "cut off":
            broken = [{**broken[0], cut: Fault.TIME_OVER}, *broken[1:]]
        with (
            patch.object(lists, "KEPT_DAYS", NEVER_KEPT if way == "objects" else lists.KEPT_DAYS),
            patch.multiple(stripe_api, PAGE=page, EXPANDED_PAGE=min(page, stripe_api.EXPANDED_PAGE)),
        ):
            self.collect()
            self.together([Task(self._reconcile, one) for one in broken], chance, deliveries=number)
        if way == "objects":  # a later run takes what is older for seen
            self.listed_since = self.store.now()
        kept = max(self.store.now() - lists.KEPT_DAYS * DAY, self.listed_since)
        if ends and way != "objects" and all(event["created"] >= kept for event in self.undelivered):
            self._reconcile_to_the_end()  # it may have begun before the last events
            self._reconcile_to_the_end()
            self.sweep_to_the_end()
            self.check_reconciled()

    @step(
        chance=chances,
        number=st.integers(0, 3),
        broken=st.lists(faults, min_size=1, max_size=2),
        when=(exists("event"),),
    )
    def what_is_due_is_swept(self, chance: random.Random, number: int, broken: Broken) -> None:
        self.collect()
        self.together([Task(self.sweep, one) for one in broken], chance, deliveries=number)

    # -- how it is done

    def ask(
        self,
        chance: random.Random,
        broken: Broken,
        method: str,
        path: str,
        *,
        expected: tuple[int, ...],
        **request: Any,
    ) -> Answer:
        """Calls with faults, and deliveries at the same time. Then calls once more, without faults."""

        def call() -> Answer:
            return self.harness.world.api(method, path, **request)

        self.together([Task(call, one) for one in broken], chance, deliveries=2)
        answer = call()
        assert answer.status in expected, answer
        return answer

    def together(self, tasks: list[Task], chance: random.Random, *, deliveries: int) -> None:
        run([*tasks, *self._deliveries(chance, deliveries, [])], chance)
        self.count(tasks)

    def _deliveries(self, chance: random.Random, number: int, broken: Broken) -> list[Task]:
        """Chooses any events. Some were accepted before, and some are delivered twice at the same time."""
        known = self.undelivered * 3 + self.delivered
        if not known:
            return []
        chosen = [chance.choice(known) for _ in range(number)]
        padded = [*broken, *({} for _ in chosen)]
        return [Task(partial(self.deliver, event), one) for event, one in zip(chosen, padded, strict=False)]

    def deliver(self, event: Object) -> Answer:
        figures["deliveries"] += 1
        answer = self.harness.world.deliver(event)
        if answer.status == 200 and event in self.undelivered:
            self.undelivered.remove(event)
            self.delivered.append(event)
            self.orders.accepted(event)
        if answer.status == 200 and answer.body["status"] == "IGNORED":
            self.ignored.add(event["id"])
        return answer

    def deliver_failed(self) -> None:
        """Delivers once more what was ignored for want of an owner, and failed when it was tried again.

        Whoever tries such an event again in vain (a second delivery, a replay, a reconciliation) marks its record as
        FAILED. Operators see it then, and the next reconciliation tries it again.
        """
        before = [event for event in self.delivered if event["id"] in self.ignored]
        found = self.harness.world.table.read(keys.event(event["id"]) for event in before).values()
        failed = {item["eventId"] for item in found if item["status"] == "FAILED"}
        for event in before:
            if event["id"] in failed:
                assert self.deliver(event).status == 200

    def sweep(self) -> Object:
        with suppress(AwsUnavailable):
            report = self.harness.world.run("sweep_due_items", {})
            figures["imported"] += report["imported"]
            return report
        return {"complete": False}

    def sweep_to_the_end(self) -> None:
        """Until nothing is left to be done. What is due in this very second is not overdue yet."""
        done = 1
        while done:
            report = self.sweep()
            assert (report["failed"], report["complete"]) == (0, True), report
            done = report["overdue"] + report["imported"]

    def _reconcile(self) -> None:
        figures["reconciliations"] += 1
        with suppress(AwsUnavailable):
            self._report(self.harness.world.run("reconcile_stripe", {}))

    def _reconcile_to_the_end(self) -> None:
        reports = (self._report(self.harness.world.run("reconcile_stripe", {})) for _ in range(RUNS))
        assert any(report["complete"] for report in reports)

    def _report(self, report: Object) -> Object:
        """Checks that only a fault prevented the run from doing a part of its work."""
        figures["repaired"] += report["repaired"]
        figures["found"] += report["missed"]
        for failed in report["unresolved"]:
            assert failed["reason"].split(":")[0] in FAULTS, failed
        return report

    def collect(self) -> None:
        events = self.store.all("event")[::-1]
        self.undelivered += [event for event in events[self.seen :] if event["type"] in EFFECTS]
        self.seen = len(events)

    def check_reconciled(self) -> None:
        """A dry run finds nothing, and the table is as it must be."""
        report = self.harness.world.run("reconcile_stripe", {"dryRun": True})
        begun = any(money.began_untold(self.store, invoice) for invoice in self.store.all("invoice"))
        differing = report["differing"].keys() - TOLERATED - {f"invoice.{name}" for name in money.BEGUN if begun}
        assert (report["missed"], differing, report["unresolved"]) == (0, set(), []), report
        self.check_table()

    def check_table(self) -> None:
        account = self.harness.account(self.tenant)
        expected = model.expected(self.view, self.tenant, PLANS, self.own, self.customers or {"none"})
        if self.tenant not in account and expected[self.tenant]["currentSubscriptionId"] is None:
            del expected[self.tenant]  # nothing has happened yet that needs a record of the tenant
        judge.judge_table(self.harness, self.tenant, expected)
