"""What happens to a subscription while it lives: periods, changes of its items, plans for later, pauses, its end."""

from contextlib import suppress

from hypothesis import strategies as st

from local.stripe.engine import collecting, invoices, periods, schedules, subscriptions, timetravel
from local.stripe.engine.store import DAY, HOUR, Object
from local.stripe.errors import ApiError
from tests.torture.harness import ADD_ONS, PLANS
from tests.torture.steps.base import Steps, cards, exists, gaps, prices, step, which

FAR = 40 * DAY  # more than a period: then nothing is due for very long


class Living(Steps):
    @step("renewing", "pauses", when=(lambda self: self.living,), gap=gaps, n=which, card=cards)
    def a_period_ends(self, gap: int, n: int, card: str) -> None:
        self.act_on(self.living, n, gap, lambda s: periods.renew(self.store, s, card))

    # -- time

    @step(hours=st.sampled_from([1, 1, 23, 3 * 24, 8 * 24]))
    def time_passes(self, hours: int) -> None:
        """With all that becomes due: drafts are finalized, charges retried, sessions expire, trials end."""
        timetravel.advance(self.store, self.harness.clock, hours * HOUR)

    @step(when=(lambda self: self.is_something_due(),), times=st.integers(1, 3))
    def what_is_due_next_happens(self, times: int) -> None:
        """Time passes exactly to the next moments at which something is due, however far they are."""
        for _ in range(times):
            moment = timetravel.next_due(self.store)
            if moment is None or moment - self.harness.time > FAR:
                return
            timetravel.advance(self.store, self.harness.clock, max(0, moment - self.harness.time))

    def is_something_due(self) -> bool:
        moment = timetravel.next_due(self.store)
        return moment is not None and moment - self.harness.time <= FAR

    # -- changes

    @step(
        when=(lambda self: self.living,),
        gap=gaps,
        n=which,
        quantity=st.integers(1, 9),
        price=prices,
        ends=st.sampled_from([True, False, None]),
        billing=st.sampled_from(["create_prorations", "always_invoice", "none"]),
    )
    def the_portal_changes_it(
        self, gap: int, n: int, quantity: int, price: str, ends: bool | None, billing: str
    ) -> None:
        def change(subscription: Object) -> None:
            item = {"id": _of_plan(subscription)["id"], "price": price, "quantity": quantity}
            form: Object = {"items": [item], "proration_behavior": billing}
            if ends is not None:
                form["cancel_at_period_end"] = ends
            periods.update_subscription(self.store, subscription, form)

        self.act_on(self.living, n, gap, change)

    @step("changing", when=(lambda self: self.living,), gap=gaps, n=which, days=st.sampled_from([0, 1, 20]))
    def the_portal_cancels_it(self, gap: int, n: int, days: int) -> None:
        """The portal sets `cancel_at` to a moment, and `cancel_at_period_end` stays false. 0: this is taken back.

        Seen by users: https://github.com/stripe/stripe-node/issues/2470
        """
        moment = days and self.store.now() + days * DAY
        self.act_on(self.living, n, gap, lambda s: periods.update_subscription(self.store, s, {"cancel_at": moment}))

    @step("changing", when=(lambda self: self.living,), gap=gaps, n=which, price=prices)
    def the_portal_plans_a_change(self, gap: int, n: int, price: str) -> None:
        """For the end of the period, by a schedule. https://docs.stripe.com/customer-management/configure-portal"""
        live = [s for s in self.living if not s["cancel_at"]]
        self.act_on(live, n, gap, lambda s: schedules.schedule(self.store, s, self.store.get("price", price)))

    @step("changing", when=(exists("subscription_schedule", status="active"),), weight=2, gap=gaps, n=which)
    def a_planned_change_is_taken_back(self, gap: int, n: int) -> None:
        planned = [s for s in self.living if s["schedule"]]
        self.act_on(planned, n, gap, lambda s: schedules.release(self.store, s))

    @step(
        "changing",
        when=(lambda self: self.living,),
        gap=gaps,
        n=which,
        price=st.sampled_from(ADD_ONS),
        quantity=st.integers(1, 9),
    )
    def an_add_on_is_bought(self, gap: int, n: int, price: str, quantity: int) -> None:
        """https://docs.stripe.com/billing/subscriptions/quantities: a price occurs once in a subscription."""

        def buy(subscription: Object) -> None:
            items = subscription["items"]["data"]
            if all(item["price"]["id"] != price for item in items):
                end = items[0]["current_period_end"]
                subscriptions.add_item(self.store, subscription, self.store.get("price", price), quantity, end)
                self.store.emit("customer.subscription.updated", subscription)

        self.act_on(self.living, n, gap, buy)

    @step("changing", when=(lambda self: self.with_add_ons,), gap=gaps, n=which, k=which, quantity=st.integers(1, 9))
    def a_quantity_changes(self, gap: int, n: int, k: int, quantity: int) -> None:
        def change(subscription: Object) -> None:
            items = subscription["items"]["data"]
            form = {"items": [{"id": items[k % len(items)]["id"], "quantity": quantity}]}
            periods.update_subscription(self.store, subscription, form)

        self.act_on(self.with_add_ons, n, gap, change)

    @step("changing", when=(lambda self: self.with_add_ons,), gap=gaps, n=which, k=which)
    def an_add_on_is_removed(self, gap: int, n: int, k: int) -> None:
        def remove(subscription: Object) -> None:
            items = subscription["items"]["data"]
            add_ons = [item for item in items if item is not _of_plan(subscription)]
            items.remove(add_ons[k % len(add_ons)])
            self.store.emit("customer.subscription.updated", subscription)

        self.act_on(self.with_add_ons, n, gap, remove)

    @step("changing", when=(lambda self: self.with_add_ons,), gap=gaps, n=which)
    def the_items_come_in_another_order(self, gap: int, n: int) -> None:
        """Stripe promises no order of the items. https://docs.stripe.com/api/subscriptions/object#subscription_object-items"""

        def turn(subscription: Object) -> None:
            subscription["items"]["data"].reverse()
            self.store.emit("customer.subscription.updated", subscription)

        self.act_on(self.with_add_ons, n, gap, turn)

    @property
    def living(self) -> list[Object]:
        return [s for s in self.store.all("subscription") if s["status"] not in (*subscriptions.ENDED, "incomplete")]

    @property
    def with_add_ons(self) -> list[Object]:
        return [s for s in self.living if len(s["items"]["data"]) > 1]

    # -- pauses, dunning and the end

    @step(
        "renewing",
        "pauses",
        when=(lambda self: self.living,),
        gap=gaps,
        n=which,
        status=st.sampled_from(["unpaid", "paused", "active", "past_due"]),
    )
    def dunning_moves_it(self, gap: int, n: int, status: str) -> None:
        """Only its first payment moves an incomplete one on."""
        self.act_on(self.living, n, gap, lambda s: subscriptions.set_status(self.store, s, status))

    @step(
        "pauses",
        when=(lambda self: self.living,),
        weight=2,
        gap=gaps,
        n=which,
        behavior=st.sampled_from(["void", "keep_as_draft", "mark_uncollectible", None]),
        hours=st.sampled_from([None, 1, 50, 31 * 24]),
    )
    def its_collection_is_paused(self, gap: int, n: int, behavior: str | None, hours: int | None) -> None:
        def pause(subscription: Object) -> None:
            resumes = hours and self.store.now() + hours * HOUR
            form = {"behavior": behavior, "resumes_at": resumes} if behavior else None
            subscriptions.pause_collection(self.store, subscription, form)

        self.act_on(self.living, n, gap, pause)

    @step(when=(lambda self: self.living,), gap=gaps, n=which)
    def it_is_canceled(self, gap: int, n: int) -> None:
        self.act_on(self.living, n, gap, lambda s: subscriptions.cancel_subscription(self.store, s))

    # -- its invoices

    @step(when=(lambda self: self.opened,), gap=gaps, n=which, tried=st.lists(cards, min_size=1, max_size=3))
    def an_invoice_is_tried_again(self, gap: int, n: int, tried: list[str]) -> None:
        """Tries one or more times with the same PaymentIntent, which may fail first and succeed later."""
        opened = self.opened
        invoice = opened[n % len(opened)]
        for card in tried:
            self.wait(gap)
            with suppress(ApiError):
                collecting.pay_invoice(self.store, invoice, card)

    @step(
        "renewing",
        "money",
        when=(lambda self: self.opened,),
        gap=gaps,
        n=which,
        status=st.sampled_from(["void", "uncollectible"]),
    )
    def an_invoice_is_closed(self, gap: int, n: int, status: str) -> None:
        self.act_on(self.opened, n, gap, lambda i: invoices.close_invoice(self.store, i, status))

    @step(
        "renewing",
        "pauses",
        "money",
        when=(exists("invoice", status="draft"),),
        weight=2,
        gap=gaps,
        n=which,
        card=cards,
    )
    def a_draft_is_finalized(self, gap: int, n: int, card: str) -> None:
        def finalize(invoice: Object) -> None:
            invoices.finalize(self.store, invoice)
            if not periods.close_if_paused(self.store, invoice):
                collecting.pay_invoice(self.store, invoice, card, automatic=True)

        self.act_on(self.store.all("invoice", status="draft"), n, gap, finalize)


def _of_plan(subscription: Object) -> Object:
    items: list[Object] = subscription["items"]["data"]
    return next(item for item in items if item["price"]["id"] in PLANS)
