"""Simulates a tenant at Stripe, and an adversary between Stripe and the platform.

Hypothesis decides what happens at Stripe. It decides when each event arrives, which events arrive twice or at the same
time, and how their calls interleave. It also decides which calls die, which calls fail, and which calls take effect
although the caller sees a failure. At the end, Stripe delivers every event until the platform accepts it. Then the
table must agree with Stripe, and the stream must show each change once.
"""

import copy
import itertools
import random
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar
from unittest.mock import patch

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from billing.domain.entities import Tenant
from billing.domain.writes import Pointer, StripeId
from billing.errors import AwsUnavailable
from billing.replica.effects import EFFECTS
from local.stripe.api import checkout as api_checkout
from local.stripe.api import lists
from local.stripe.engine import checkout, collecting, invoices, payments, periods, subscriptions
from local.stripe.engine.cards import BANK
from local.stripe.engine.store import Object, Store
from local.stripe.errors import ApiError
from tests.torture import judge, model
from tests.torture.faults import figures
from tests.torture.harness import ADD_ON, PLANS, Harness
from tests.torture.scheduler import Fault, Task, run
from tests.world import Answer

AT_ONCE = 8
ROUNDS = 5
INVOICE = "inv-own"
DUE = 9000
SUBSCRIPTIONS = 3
NEVER_KEPT = -1  # in days
FAULTS = {"AwsUnavailable", "Contention", "StripeUnavailable", "StripeFailed"}

gaps = st.sampled_from([0, 0, 0, 1, 2, 60])
which = st.integers(0, 30)
accepted = st.sampled_from(["pm_card_visa", BANK])
methods = st.one_of(accepted, st.sampled_from(["pm_card_chargeDeclined", "pm_card_threeDSecure2Required"]))
CONFIRM = "pm_card_authenticationRequired"
cards = st.sampled_from(["pm_card_visa", "pm_card_chargeDeclined", CONFIRM])
chances = st.integers(0, 2**32).map(random.Random)
faults = st.dictionaries(st.integers(1, 10), st.sampled_from(Fault), max_size=2)

faults_of_many_calls = st.dictionaries(st.integers(1, 60), st.sampled_from(Fault), max_size=3)

_numbers = itertools.count(1)


def exists[F: Callable[..., Any]](kind: str, **fields: Any) -> Callable[[F], F]:
    """Allows the rule only when Stripe has such an object. Without an object, the step would do nothing."""
    decorate: Callable[[F], F] = precondition(lambda self: bool(self.store.all(kind, **fields)))
    return decorate


class Life(RuleBasedStateMachine):
    harness: ClassVar[Harness]

    @initialize()
    def begin(self) -> None:
        number = next(_numbers)
        self.tenant = f"t{number}"
        self.customer = f"cus_{self.tenant}"
        self.store: Store = self.harness.new_history(number)
        self.store.create("customer", id=self.customer, metadata={"tenantId": self.tenant})
        pointer = Pointer(StripeId(self.customer), tenant_id=self.tenant)
        table = self.harness.world.table
        table.write([Tenant(tenant_id=self.tenant, stripe_customer_id=self.customer)], [pointer])
        self.seen = 0
        self.undelivered: list[Object] = []
        self.delivered: list[Object] = []
        self.own: dict[str, int] = {}
        figures["histories"] += 1

    # -- changes at Stripe

    @rule(gap=gaps, price=st.sampled_from(sorted(PLANS)), paid=st.booleans(), add_on=st.booleans())
    def someone_subscribes_by_hand(self, gap: int, price: str, paid: bool, add_on: bool) -> None:
        if len(self.store.all("subscription")) >= SUBSCRIPTIONS:
            return
        self._pass(gap)
        metadata = {"tenantId": self.tenant, "planId": "plan-small"}
        made = subscriptions.create_subscription(self.store, self.customer, self.store.get("price", price), metadata)
        if add_on:
            end = made["items"]["data"][0]["current_period_end"]
            subscriptions.add_item(self.store, made, self.store.get("price", ADD_ON), 7, end)
            made["items"]["data"].reverse()
        periods.begin(self.store, made, "pm_card_visa" if paid else None)

    @exists("checkout.session")
    @rule(gap=gaps, method=accepted)
    def a_second_checkout_is_completed(self, gap: int, method: str) -> None:
        """Somebody creates this checkout at Stripe, because our endpoint opens no second one."""
        if len(self.store.all("subscription")) >= SUBSCRIPTIONS:
            return
        self._pass(gap)
        metadata = {"tenantId": self.tenant, "planId": "plan-small"}
        form: Object = {"mode": "subscription", "customer": self.customer, "line_items": [{"price": "price_small"}]}
        form |= {"metadata": metadata, "subscription_data": {"metadata": metadata}}
        checkout.complete_checkout(self.store, api_checkout.create_session(self.store, form, ""), method)

    @exists("checkout.session", status="open")
    @rule(gap=gaps, n=which, method=methods)
    def a_checkout_is_completed(self, gap: int, n: int, method: str) -> None:
        self._with("checkout.session", n, gap, lambda s: checkout.complete_checkout(self.store, s, method))

    @exists("subscription", status="incomplete")
    @rule(n=which)
    def a_first_payment_does_not_come(self, n: int) -> None:
        waiting = self.store.all("subscription", status="incomplete")
        self._pass(23 * 3600)
        periods.expire(self.store, waiting[n % len(waiting)])

    @exists("checkout.session", payment_status="unpaid", status="complete")
    @rule(gap=gaps, n=which, paid=st.booleans())
    def a_bank_answers(self, gap: int, n: int, paid: bool) -> None:
        self._with("checkout.session", n, gap, lambda s: checkout.settle_checkout(self.store, s, paid=paid))

    @exists("checkout.session", status="open")
    @rule(gap=gaps, n=which)
    def a_checkout_expires(self, gap: int, n: int) -> None:
        self._with("checkout.session", n, gap, lambda s: checkout.expire_checkout(self.store, s))

    @exists("subscription")
    @rule(gap=gaps, n=which, card=cards)
    def a_period_ends(self, gap: int, n: int, card: str) -> None:
        self._with("subscription", n, gap, lambda s: periods.renew(self.store, s, card))

    @exists("subscription")
    @rule(gap=gaps, n=which, quantity=st.integers(1, 9), price=st.sampled_from(sorted(PLANS)), ends=st.booleans())
    def the_portal_changes_it(self, gap: int, n: int, quantity: int, price: str, ends: bool) -> None:
        def change(subscription: Object) -> Object:
            item = {"id": subscription["items"]["data"][-1]["id"], "price": price, "quantity": quantity}
            form = {"items": [item], "cancel_at_period_end": ends}
            return periods.update_subscription(self.store, subscription, form)

        self._with("subscription", n, gap, change)

    @exists("subscription")
    @rule(gap=gaps, n=which, status=st.sampled_from(["unpaid", "paused", "active", "past_due"]))
    def dunning_moves_it(self, gap: int, n: int, status: str) -> None:
        def move(subscription: Object) -> Object:
            if subscription["status"] == "incomplete":
                raise ApiError(400, "", "only its first payment moves it on")
            return subscriptions.set_status(self.store, subscription, status)

        self._with("subscription", n, gap, move)

    @exists("subscription")
    @rule(gap=gaps, n=which, behavior=st.sampled_from(["void", "keep_as_draft", None]))
    def its_collection_is_paused(self, gap: int, n: int, behavior: str | None) -> None:
        pause = {"behavior": behavior} if behavior else None
        self._with("subscription", n, gap, lambda s: subscriptions.pause_collection(self.store, s, pause))

    @exists("subscription")
    @rule(gap=gaps, n=which)
    def it_is_canceled(self, gap: int, n: int) -> None:
        self._with("subscription", n, gap, lambda s: subscriptions.cancel_subscription(self.store, s))

    @exists("invoice", status="open")
    @rule(gap=gaps, n=which, cards=st.lists(cards, min_size=1, max_size=3))
    def an_invoice_is_tried_again(self, gap: int, n: int, cards: list[str]) -> None:
        """Tries one or more times with the same PaymentIntent, which may fail first and succeed later."""
        waiting = self.store.all("invoice", status="open")
        invoice = waiting[n % len(waiting)]
        for card in cards:
            self._pass(gap)
            with suppress(ApiError):
                collecting.pay_invoice(self.store, invoice, card)

    @exists("invoice", status="open")
    @rule(gap=gaps, n=which, status=st.sampled_from(["void", "uncollectible"]))
    def an_invoice_is_closed(self, gap: int, n: int, status: str) -> None:
        self._with("invoice", n, gap, lambda i: invoices.close_invoice(self.store, i, status))

    @exists("invoice", status="open")
    @rule(gap=gaps, n=which, amount=st.integers(1, 9000))
    def a_part_is_paid_outside_stripe(self, gap: int, n: int, amount: int) -> None:
        self._with("invoice", n, gap, lambda i: collecting.pay_part(self.store, i, amount))

    @exists("payment_intent", status="requires_action")
    @rule(gap=gaps, n=which, paid=st.booleans())
    def the_customer_answers_its_bank(self, gap: int, n: int, paid: bool) -> None:
        waiting = self.store.all("payment_intent", status="requires_action")
        self._pass(gap)
        collecting.answer_intent(self.store, waiting[n % len(waiting)], paid=paid)

    @rule(gap=gaps, amount=st.integers(1, 5000))
    def a_hold_is_captured_in_part(self, gap: int, amount: int) -> None:
        self._pass(gap)
        known: Object = {"customer": self.customer, "metadata": {"tenantId": self.tenant}, "capture_method": "manual"}
        intent = payments.create_intent(self.store, 5000, "usd", **known)
        collecting.confirm_intent(self.store, intent, "pm_card_visa")
        payments.capture(self.store, intent, amount)

    @precondition(lambda self: bool(self.own))
    @rule(gap=gaps, n=which, card=cards)
    def the_tenant_pays_by_card(self, gap: int, n: int, card: str) -> None:
        def pay(intent: Object) -> Object:
            if "invoiceId" not in intent["metadata"]:
                raise ApiError(400, "", "another rule pays the invoices of Stripe")
            return collecting.confirm_intent(self.store, intent, card)

        self._with("payment_intent", n, gap, pay)

    @exists("charge")
    @rule(gap=gaps, n=which, amount=st.integers(1, 9000), how=st.sampled_from(["refund", "dispute", "inquiry"]))
    def money_goes_back(self, gap: int, n: int, amount: int, how: str) -> None:
        def back(charge: Object) -> Object:
            if how == "refund":
                return payments.refund(self.store, charge, amount)
            return payments.dispute(self.store, charge, inquiry=how == "inquiry")

        self._with("charge", n, gap, back)

    @exists("refund")
    @rule(gap=gaps, n=which)
    def a_refund_comes_back(self, gap: int, n: int) -> None:
        self._with("refund", n, gap, lambda r: payments.fail_refund(self.store, r))

    @exists("dispute")
    @rule(gap=gaps, n=which, how=st.sampled_from(["won", "lost", "escalate"]))
    def the_bank_decides(self, gap: int, n: int, how: str) -> None:
        def decide(dispute: Object) -> Object:
            if how == "escalate":
                return payments.escalate_inquiry(self.store, dispute)
            return payments.close_dispute(self.store, dispute, won=how == "won")

        self._with("dispute", n, gap, decide)

    def _with(self, kind: str, n: int, gap: int, act: Any) -> None:
        objects = self.store.all(kind)
        if not objects:
            return
        self._pass(gap)
        try:
            act(objects[n % len(objects)])
        except (ApiError, checkout.NeedsAction):
            return  # Stripe refuses the request, declines the card, or the bank wants a confirmation

    def _pass(self, seconds: int) -> None:
        self.harness.time += seconds

    # -- calls to the platform

    @rule(chance=chances, plan=st.sampled_from(sorted(PLANS.values())), broken=st.lists(faults, min_size=1, max_size=3))
    def the_frontend_asks_for_checkouts(self, chance: random.Random, plan: str, broken: list[dict[int, Fault]]) -> None:
        """Starts several checkouts at once, and some of them die. Then starts one without faults."""
        self._collect()
        tasks = [Task(lambda: self._checkout(plan), one) for one in broken]
        run([*tasks, *self._deliveries(chance, 2, [])], chance)
        self._count(tasks)
        before = {session["id"] for session in self.store.all("checkout.session")}
        subscribed = any(s["status"] in model.CHARGING for s in self.store.all("subscription"))
        answer = self._checkout(plan)
        assert answer.status in (200, 409), answer
        new = {session["id"] for session in self.store.all("checkout.session")} - before
        assert not (subscribed and new), "a second subscription is on sale"
        opened = self.store.all("checkout.session", status="open")
        assert len(opened) <= 1, opened
        assert answer.status == 409 or answer.body["sessionUrl"] == opened[0]["url"]
        assert len(self.store.all("customer")) == 1

    @rule(chance=chances, broken=st.lists(faults, min_size=1, max_size=3))
    def the_frontend_pays_the_own_invoice(self, chance: random.Random, broken: list[dict[int, Fault]]) -> None:
        if not self.own:
            body = {"invoiceId": f"{INVOICE}-{self.tenant}", "amount": DUE, "currency": "usd"}
            path = f"/tenants/{self.tenant}/invoices"
            assert self.harness.world.api("POST", path, tenant=None, admin=True, json=body).status == 201
            self.own = {body["invoiceId"]: DUE}  # type: ignore[dict-item]
        tasks = [Task(self._pay, one) for one in broken]
        run(tasks, chance)
        self._count(tasks)
        answer = self._pay()
        assert answer.status in (200, 409), answer
        ended = ("succeeded", "canceled")
        intents = self.store.all("payment_intent")
        payable = [i for i in intents if "invoiceId" in i["metadata"] and i["status"] not in ended]
        assert len(payable) <= 1, payable

    @exists("event")
    @rule(chance=chances, number=st.integers(1, AT_ONCE), broken=st.lists(faults, max_size=AT_ONCE))
    def stripe_delivers(self, chance: random.Random, number: int, broken: list[dict[int, Fault]]) -> None:
        self._collect()
        tasks = self._deliveries(chance, number, broken)
        run(tasks, chance)
        self._count(tasks)

    @exists("event", type="customer.subscription.created")
    @rule(n=which)
    def a_connected_account_names_our_tenant(self, n: int) -> None:
        """Its objects are not ours, whatever its metadata says."""
        events = self.store.all("event", type="customer.subscription.created")
        event = copy.deepcopy(events[n % len(events)])
        event |= {"id": f"{event['id']}x{n}", "account": "acct_other"}
        event["data"]["object"] |= {"id": f"sub_foreign{n}", "status": "active"}
        answer = self.harness.world.deliver(event)
        assert (answer.status, answer.body["status"]) == (200, "IGNORED"), answer

    @exists("event")
    @rule(chance=chances, broken=st.lists(faults, min_size=AT_ONCE, max_size=AT_ONCE))
    def stripe_delivers_all_at_once(self, chance: random.Random, broken: list[dict[int, Fault]]) -> None:
        self.stripe_delivers(chance, AT_ONCE, broken)

    @exists("event")
    @rule(
        chance=chances,
        number=st.integers(0, AT_ONCE - 2),
        broken=st.lists(faults_of_many_calls, min_size=1, max_size=2),
        kept_days=st.sampled_from([lists.KEPT_DAYS, NEVER_KEPT]),
    )
    def it_is_reconciled(
        self, chance: random.Random, number: int, broken: list[dict[int, Fault]], kept_days: int
    ) -> None:
        """Runs one or two reconciliations at once, while events arrive.

        A run may die. A later run continues it, or no run does. The run uses the events that Stripe keeps, or only the
        objects, as if all events were too old.
        """
        self._collect()
        tasks = [Task(self._reconcile, one) for one in broken]
        with patch.object(lists, "KEPT_DAYS", kept_days):
            run([*tasks, *self._deliveries(chance, number, [])], chance)
        self._count(tasks)

    def _deliveries(self, chance: random.Random, number: int, broken: list[dict[int, Fault]]) -> list[Task]:
        """Chooses any events. Some were accepted before, and some are delivered twice at the same time."""
        known = self.undelivered * 3 + self.delivered
        if not known:
            return []
        chosen = [chance.choice(known) for _ in range(number)]
        padded = [*broken, *({} for _ in chosen)]
        return [Task(partial(self._deliver, event), one) for event, one in zip(chosen, padded, strict=False)]

    def _deliver(self, event: Object) -> Answer:
        figures["deliveries"] += 1
        answer = self.harness.world.deliver(event)
        if answer.status == 200 and event in self.undelivered:
            self.undelivered.remove(event)
            self.delivered.append(event)
        return answer

    def _reconcile(self) -> None:
        figures["reconciliations"] += 1
        with suppress(AwsUnavailable):
            self._report(self.harness.world.run("reconcile_stripe", {}))

    def _report(self, report: Object) -> None:
        """Checks that only a fault prevented the run from doing a part of its work."""
        figures["repaired"] += report["repaired"]
        figures["found"] += report["missed"]
        for failed in report["unresolved"]:
            assert failed["reason"].split(":")[0] in FAULTS, failed

    def _checkout(self, plan: str) -> Answer:
        figures["checkouts"] += 1
        return self.harness.world.checkout(self.tenant, plan)

    def _pay(self) -> Answer:
        figures["payment intents"] += 1
        [invoice] = self.own
        return self.harness.world.api("POST", f"/invoices/{invoice}/payment-intent", tenant=self.tenant)

    def _collect(self) -> None:
        events = self.store.all("event")[::-1]
        self.undelivered += [event for event in events[self.seen :] if event["type"] in EFFECTS]
        self.seen = len(events)

    def _count(self, tasks: list[Task]) -> None:
        figures["crashes"] += sum(task.killed for task in tasks)

    # -- the end

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        self._collect()
        chance = random.Random(len(self.undelivered))
        for _ in range(ROUNDS):
            waiting = [*self.undelivered]
            chance.shuffle(waiting)
            for event in waiting:
                answer = self._deliver(event)
                assert answer.status == 200, (event["type"], answer)
        assert not self.undelivered
        for event in chance.sample(self.delivered, min(3, len(self.delivered))):
            assert self._deliver(event).status == 200
        expected = model.expected(self.store, self.tenant, PLANS, self.own)
        judge.judge_table(self.harness, self.tenant, expected)
        report = self.harness.world.run("reconcile_stripe", {"dryRun": True})
        assert (report["missed"], report["differing"], report["unresolved"]) == (0, {}, []), report
        judge.judge_records(self.harness, self.delivered)
        judge.judge_stream(self.harness.streams.read(), self.store, [self.tenant])
