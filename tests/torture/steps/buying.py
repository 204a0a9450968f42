"""Subscriptions begin: by Checkout, by hand, as a trial."""

from hypothesis import strategies as st

from local.stripe.api import checkout as api_checkout
from local.stripe.engine import checkout, payments, periods, subscriptions
from local.stripe.engine.store import HOUR, Object
from tests.torture.harness import ADD_ONS
from tests.torture.steps.base import Steps, accepted, exists, gaps, has_room, methods, prices, step, which


class Buying(Steps):
    @step(when=(has_room,), gap=gaps, price=prices, paid=st.booleans(), add_on=st.booleans())
    def someone_subscribes_by_hand(self, gap: int, price: str, paid: bool, add_on: bool) -> None:
        self.wait(gap)
        metadata = {"tenantId": self.tenant, "planId": "plan-small"}
        assert self.buyer
        made = subscriptions.create_subscription(self.store, self.buyer, self.store.get("price", price), metadata)
        if add_on:
            end = made["items"]["data"][0]["current_period_end"]
            subscriptions.add_item(self.store, made, self.store.get("price", ADD_ONS[0]), 7, end)
            made["items"]["data"].reverse()
        periods.begin(self.store, made, "pm_card_visa" if paid else None)

    @step("buying", when=(exists("checkout.session"), has_room), gap=gaps, method=accepted)
    def a_second_checkout_is_completed(self, gap: int, method: str) -> None:
        """Somebody creates this checkout at Stripe, because our endpoint opens no second one."""
        self.wait(gap)
        metadata = {"tenantId": self.tenant, "planId": "plan-small"}
        form: Object = {"mode": "subscription", "customer": self.buyer, "line_items": [{"price": "price_small"}]}
        form |= {"metadata": metadata, "subscription_data": {"metadata": metadata}}
        checkout.complete_checkout(self.store, api_checkout.create_session(self.store, form, ""), method)

    @step(when=(exists("checkout.session", status="open"),), gap=gaps, n=which, method=methods)
    def a_checkout_is_completed(self, gap: int, n: int, method: str) -> None:
        self.act_on(self._payable(), n, gap, lambda s: checkout.complete_checkout(self.store, s, method))

    def _payable(self) -> list[Object]:
        """The sessions whose customer was not deleted. What becomes of the others at Stripe is not documented."""
        opened = self.store.all("checkout.session", status="open")
        return [s for s in opened if not s["customer"] or self.store.find(s["customer"])]

    @step("buying", when=(lambda self: self.unconfirmed,), gap=gaps, n=which, paid=st.booleans())
    def a_buyer_answers_its_bank(self, gap: int, n: int, paid: bool) -> None:
        """The first payment needed 3-D Secure. With the confirmation the session is complete; without, it stays open.

        https://docs.stripe.com/payments/3d-secure/authentication-flow
        """

        def answer(session: Object) -> None:
            if paid:
                checkout.complete_checkout(self.store, session, "pm_card_threeDSecure2Required", confirmed=True)
            else:
                checkout.refuse_checkout(self.store, session)

        self.act_on(self.unconfirmed, n, gap, answer)

    @step("buying", "renewing", when=(exists("subscription", status="incomplete"),), n=which)
    def a_first_payment_does_not_come(self, n: int) -> None:
        waiting = self.store.all("subscription", status="incomplete")
        self.wait(23 * HOUR)
        periods.expire(self.store, waiting[n % len(waiting)])

    @step(
        when=(exists("checkout.session", payment_status="unpaid", status="complete"),),
        gap=gaps,
        n=which,
        paid=st.booleans(),
    )
    def a_bank_answers(self, gap: int, n: int, paid: bool) -> None:
        unpaid = self.store.all("checkout.session", payment_status="unpaid", status="complete")
        self.act_on(unpaid, n, gap, lambda s: checkout.settle_checkout(self.store, s, paid=paid))

    @step("buying", when=(exists("checkout.session", status="open"),), gap=gaps, n=which)
    def a_checkout_expires(self, gap: int, n: int) -> None:
        self.act_on(
            self.store.all("checkout.session", status="open"), n, gap, lambda s: checkout.expire_checkout(self.store, s)
        )

    # -- trials

    @step(
        "trials",
        when=(has_room,),
        gap=gaps,
        price=prices,
        days=st.sampled_from([1, 3, 4, 14]),
        saved=st.booleans(),
        ends=st.sampled_from(["create_invoice", "pause", "cancel"]),
    )
    def a_trial_begins(self, gap: int, price: str, days: int, saved: bool, ends: str) -> None:
        """https://docs.stripe.com/billing/subscriptions/trials (without a payment method: `trial_settings`)"""
        self.wait(gap)
        metadata = {"tenantId": self.tenant, "planId": "plan-small"}
        assert self.buyer
        sold = self.store.get("price", price)
        made = subscriptions.create_subscription(self.store, self.buyer, sold, metadata, trial_days=days)
        made["trial_settings"] = {"end_behavior": {"missing_payment_method": ends}}
        if saved:
            made["default_payment_method"] = payments.payment_method(self.store, "pm_card_visa", self.buyer)["id"]
        periods.begin(self.store, made)

    @step("trials", when=(exists("subscription", status="trialing"),), gap=gaps, n=which)
    def a_trial_is_ended_now(self, gap: int, n: int) -> None:
        trials = self.store.all("subscription", status="trialing")
        self.act_on(trials, n, gap, lambda s: periods.update_subscription(self.store, s, {"trial_end": "now"}))

    @property
    def unnoticed(self) -> list[Object]:
        return [s for s in self.store.all("subscription", status="trialing") if not s.get("_trial_noticed")]

    @step("trials", when=(lambda self: self.unnoticed,), weight=2, gap=gaps, n=which)
    def a_trial_is_noticed(self, gap: int, n: int) -> None:

        def notice(subscription: Object) -> None:
            self.harness.clock.move_to(subscription["trial_end"] - subscriptions.TRIAL_NOTICE)
            subscriptions.notice_trial(self.store, subscription)

        self.act_on(self.unnoticed, n, gap, notice)

    @step("trials", when=(exists("subscription", status="paused"),), weight=3, gap=gaps, n=which, method=accepted)
    def a_paused_one_is_resumed(self, gap: int, n: int, method: str) -> None:
        """Also after a trial that ended without a payment method."""
        paused = self.store.all("subscription", status="paused")

        def resume(subscription: Object) -> None:
            customer = subscription["customer"]
            subscription["default_payment_method"] = payments.payment_method(self.store, method, customer)["id"]
            subscriptions.set_status(self.store, subscription, "active")

        self.act_on(paused, n, gap, resume)
