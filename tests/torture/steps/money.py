"""Money that does not follow a subscription's periods: one-off invoices, holds, refunds, disputes, own invoices."""

from hypothesis import strategies as st

from local.stripe.engine import collecting, invoices, lines, payments
from local.stripe.engine.store import HOUR, Object
from tests.torture.steps.base import Steps, cards, exists, gaps, step, which


class Money(Steps):
    @step(
        "money",
        when=(lambda self: self.buyer,),
        gap=gaps,
        amount=st.integers(50, 9000),
        ready=st.booleans(),
        card=cards,
    )
    def a_one_off_invoice_is_made(self, gap: int, amount: int, ready: bool, card: str) -> None:
        """Finalized and charged at once, or by Stripe after about an hour.

        https://docs.stripe.com/invoicing/integration/automatic-advancement-collection
        """
        assert self.buyer
        lines.pend(self.store, self.buyer, amount, "usd")
        moment = None if ready else self.store.now() + HOUR
        known: Object = {"auto_advance": True, "automatically_finalizes_at": moment}
        invoice = invoices.create_draft(self.store, self.buyer, "manual", None, "none", **known)
        if ready:
            self.act_on(
                [invoices.finalize(self.store, invoice)], 0, gap, lambda i: collecting.pay_invoice(self.store, i, card)
            )

    @step("money", when=(lambda self: self.opened,), weight=2, gap=gaps, n=which, amount=st.integers(1, 9000))
    def a_part_is_paid_outside_stripe(self, gap: int, n: int, amount: int) -> None:
        self.act_on(self.opened, n, gap, lambda i: collecting.pay_part(self.store, i, amount))

    @step("money", when=(lambda self: self.opened,), gap=gaps, n=which)
    def an_invoice_is_paid_outside_stripe(self, gap: int, n: int) -> None:
        self.act_on(self.opened, n, gap, lambda i: collecting.pay_out_of_band(self.store, i))

    @step(when=(lambda self: self.waiting,), weight=3, gap=gaps, n=which, paid=st.booleans())
    def the_customer_answers_its_bank(self, gap: int, n: int, paid: bool) -> None:
        """Of a renewal, a one-off invoice, an own invoice, or a first payment outside its session."""
        self.act_on(self.waiting, n, gap, lambda i: collecting.answer_intent(self.store, i, paid=paid))

    @property
    def waiting(self) -> list[Object]:
        return self.store.all("payment_intent", status="requires_action")

    # -- holds

    @step("money", gap=gaps)
    def a_hold_is_placed(self, gap: int) -> None:
        """https://docs.stripe.com/payments/place-a-hold-on-a-payment-method"""
        self.wait(gap)
        known: Object = {"customer": self.buyer, "metadata": {"tenantId": self.tenant}, "capture_method": "manual"}
        intent = payments.create_intent(self.store, 5000, "usd", **known)
        collecting.confirm_intent(self.store, intent, "pm_card_visa")

    @step(
        "money",
        when=(exists("payment_intent", status="requires_capture"),),
        gap=gaps,
        n=which,
        amount=st.one_of(st.none(), st.integers(1, 5000)),
    )
    def a_hold_is_captured(self, gap: int, n: int, amount: int | None) -> None:
        held = self.store.all("payment_intent", status="requires_capture")
        self.act_on(held, n, gap, lambda i: payments.capture(self.store, i, amount))

    @step("money", when=(exists("payment_intent", status="requires_capture"),), gap=gaps, n=which)
    def a_hold_is_released(self, gap: int, n: int) -> None:
        """Stripe counts all of it as refunded, although no money was taken.

        https://docs.stripe.com/api/payment_intents/cancel
        """

        def release(intent: Object) -> None:
            charge = self.store.get("charge", intent["latest_charge"])
            charge |= {"amount_refunded": charge["amount"], "refunded": True}
            self.store.emit("charge.refunded", charge)
            intent |= {"status": "canceled", "canceled_at": self.store.now(), "amount_capturable": 0}
            self.store.emit("payment_intent.canceled", intent)

        self.act_on(self.store.all("payment_intent", status="requires_capture"), n, gap, release)

    # -- refunds and disputes

    @step(
        "money",
        "renewing",
        when=(exists("charge", captured=True),),
        gap=gaps,
        n=which,
        amount=st.integers(1, 9000),
        how=st.sampled_from(["refund", "dispute", "inquiry"]),
    )
    def money_goes_back(self, gap: int, n: int, amount: int, how: str) -> None:
        def back(charge: Object) -> None:
            if how == "refund":
                payments.refund(self.store, charge, amount)
            else:
                payments.dispute(self.store, charge, inquiry=how == "inquiry")

        self.act_on(self.store.all("charge", captured=True), n, gap, back)

    @step(when=(exists("refund", status="succeeded"),), weight=2, gap=gaps, n=which)
    def a_refund_comes_back(self, gap: int, n: int) -> None:
        self.act_on(self.store.all("refund", status="succeeded"), n, gap, lambda r: payments.fail_refund(self.store, r))

    @step(when=(exists("dispute"),), gap=gaps, n=which, how=st.sampled_from(["won", "lost", "escalate", "review"]))
    def the_bank_decides(self, gap: int, n: int, how: str) -> None:
        def decide(dispute: Object) -> None:
            match how:
                case "escalate":
                    payments.escalate_inquiry(self.store, dispute)
                case "review":
                    payments.review_dispute(self.store, dispute)
                case _:
                    payments.close_dispute(self.store, dispute, won=how == "won")

        self.act("dispute", n, gap, decide)

    # -- the platform's own invoices

    @step("money", when=(lambda self: self.payable_by_card,), weight=2, gap=gaps, n=which, card=cards)
    def the_tenant_pays_by_card(self, gap: int, n: int, card: str) -> None:
        self.act_on(self.payable_by_card, n, gap, lambda i: collecting.confirm_intent(self.store, i, card))

    @property
    def payable_by_card(self) -> list[Object]:
        """The PaymentIntents of own invoices. Other rules pay the invoices of Stripe."""
        mine = [i for i in self.store.all("payment_intent") if "invoiceId" in i["metadata"]]
        return [i for i in mine if i["status"] in payments.CONFIRMABLE]
