"""`make quarter` simulates three months of many tenants.

Half of all webhooks are lost. The others arrive late and out of order, and some arrive twice. Then one reconciliation
runs. After it, the table must agree with Stripe, and each change must be announced once.
"""

import argparse
import random
import sys
import time
from collections import Counter
from typing import Final

from billing.replica.effects import EFFECTS
from local.stripe.api import checkout as api_checkout
from local.stripe.engine import checkout, collecting, payments, periods, subscriptions, timetravel
from local.stripe.engine.cards import BANK
from local.stripe.engine.store import Object
from local.stripe.errors import ApiError
from tests.torture import judge, model
from tests.torture.harness import PLANS, Harness, running
from tests.torture.money import Own

DAYS: Final = 90
LOST: Final = 0.5
TWICE: Final = 0.3
LATE_DAYS: Final = 3
DAY: Final = 24 * 3600


class Quarter:
    def __init__(self, harness: Harness, tenants: int, seed: int) -> None:
        self.harness = harness
        self.chance = random.Random(seed)
        self.store = harness.new_history(1)
        self.clock = harness.clock
        self.tenants = [f"q{n}" for n in range(tenants)]
        self.own: dict[str, dict[str, Own]] = {tenant: {} for tenant in self.tenants}
        self.on_the_way: list[tuple[int, Object]] = []
        self.seen = 0
        self.figures: Counter[str] = Counter(tenants=tenants)

    def live(self) -> None:
        for day in range(DAYS):
            for tenant in self.tenants:
                self._happen(tenant)
            timetravel.advance(self.store, self.clock, DAY)
            self._send(day)
            self._deliver(day)
        self._deliver(DAYS + LATE_DAYS)

    def reconcile(self) -> None:
        """Runs the reconciliation until it is complete. One run may not be enough, because its time is limited."""
        for _ in range(100):
            report = self.harness.world.run("reconcile_stripe", {})
            self.figures["runs"] += 1
            for name in ("seen", "missed", "repaired", "unresolvedCount"):
                self.figures[name] += report[name]
            if report["complete"]:
                return
        raise AssertionError("the reconciliation did not complete in 100 runs")

    # -- changes at Stripe

    def _happen(self, tenant: str) -> None:
        mine = [s for s in self.store.all("subscription") if s["metadata"].get("tenantId") == tenant]
        live = [s for s in mine if s["status"] not in subscriptions.ENDED]
        try:
            if not live and self.chance.random() < 0.3:
                self._subscribe(tenant)
            elif live and self.chance.random() < 0.06:
                self._change(tenant, self.chance.choice(live))
        except ApiError:
            pass  # Stripe refuses some requests and declines some cards; both are part of the simulation

    def _subscribe(self, tenant: str) -> None:
        answer = self.harness.world.checkout(tenant, self.chance.choice(sorted(PLANS.values())))
        if answer.status != 200:
            return
        session = self.store.get("checkout.session", answer.body["sessionUrl"].rsplit("/", 1)[1])
        cards = ["pm_card_visa", "pm_card_visa", BANK, "pm_sepaDebit_failure", "pm_card_chargeDeclined"]
        checkout.complete_checkout(self.store, session, self.chance.choice(cards))

    def _change(self, tenant: str, subscription: Object) -> None:
        store, customer = self.store, subscription["customer"]
        item = {"id": subscription["items"]["data"][0]["id"], "price": self.chance.choice(sorted(PLANS)), "quantity": 2}
        match self.chance.randrange(8):
            case 0 | 1:
                periods.update_subscription(store, subscription, {"items": [item]})
            case 2 | 3:
                card = self.chance.choice(["pm_card_chargeCustomerFail", "pm_card_visa"])
                periods.update_subscription(store, subscription, {"default_payment_method": card})
            case 4:
                periods.update_subscription(store, subscription, {"cancel_at_period_end": self.chance.random() < 0.5})
            case 5:
                charges = store.all("charge", customer=customer)
                payments.refund(store, self.chance.choice(charges), 100) if charges else None
            case 6:
                self._second_checkout(tenant, customer)
            case 7:
                self._own_invoice(tenant)

    def _second_checkout(self, tenant: str, customer: str) -> None:
        """Somebody creates a second checkout at Stripe, which makes a duplicate subscription."""
        metadata = {"tenantId": tenant, "planId": "plan-small"}
        form: Object = {"mode": "subscription", "customer": customer, "line_items": [{"price": "price_small"}]}
        form |= {"metadata": metadata, "subscription_data": {"metadata": metadata}}
        checkout.complete_checkout(self.store, api_checkout.create_session(self.store, form, ""), "pm_card_visa")

    def _own_invoice(self, tenant: str) -> None:
        body: Object = {"invoiceId": f"inv-{tenant}-{len(self.own[tenant])}", "amount": 5000, "currency": "usd"}
        world = self.harness.world
        made = world.api("POST", f"/tenants/{tenant}/invoices", tenant=None, admin=True, json=body)
        assert made.status == 201, made
        self.own[tenant][body["invoiceId"]] = Own(5000)
        answer = world.api("POST", f"/invoices/{body['invoiceId']}/payment-intent", tenant=tenant)
        intent = self.store.get("payment_intent", answer.body["clientSecret"].split("_secret_")[0])
        collecting.confirm_intent(self.store, intent, "pm_card_visa")

    # -- deliveries to the platform

    def _send(self, day: int) -> None:
        events = self.store.all("event")[::-1]
        for event in events[self.seen :]:
            if event["type"] in EFFECTS:
                self.figures["events"] += 1
                self._send_one(event, day)
        self.seen = len(events)

    def _send_one(self, event: Object, day: int) -> None:
        if self.chance.random() < LOST:
            self.figures["lost"] += 1
            return
        for _ in range(2 if self.chance.random() < TWICE else 1):
            self.on_the_way.append((day + self.chance.randrange(LATE_DAYS), event))

    def _deliver(self, day: int) -> None:
        due = [event for when, event in self.on_the_way if when <= day]
        self.on_the_way = [entry for entry in self.on_the_way if entry[0] > day]
        self.chance.shuffle(due)
        for event in due:
            self.figures["deliveries"] += 1
            answer = self.harness.world.deliver(event)
            assert answer.status == 200, (event["type"], answer)

    # -- checks at the end

    def differences(self) -> list[str]:
        """Compares the table with the model, which uses Stripe's objects alone."""
        return [line for tenant in self.tenants for line in self._differences(tenant)]

    def _differences(self, tenant: str) -> list[str]:
        expected = model.expected(self.store, tenant, PLANS, self.own[tenant])
        for fields in expected.values():
            if fields.get("checkoutPayment") == "failed":
                del fields["checkoutPayment"]  # its event may be lost, and no object shows the refusal
        account = self.harness.account(tenant)
        if not account and list(expected) == [tenant] and expected[tenant]["currentSubscriptionId"] is None:
            return []  # this tenant never started a checkout
        return [f"{tenant}: {line}" for line in judge.differences(account, expected)]

    def announcements(self) -> list[str]:
        """Lists what the judge finds in the stream's records.

        It makes the announcements of each record twice, because the stream may repeat a record.
        """
        try:
            judges = judge.judge_stream(self.harness.streams.read(), self.store, self.tenants)
        except AssertionError as error:
            return [str(error)]
        types = {kind for one in judges.values() for kind, _ in one.types}
        self.figures["announcements"] = sum(len(one.told) for one in judges.values())
        self.figures["announced types"] = len(types)
        return []


def run(tenants: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Returns the figures, and a list of what is wrong at the end."""
    with running() as harness:
        quarter = Quarter(harness, tenants, seed)
        quarter.live()
        quarter.figures["differences before"] = len(quarter.differences())
        quarter.reconcile()
        wrong = quarter.differences() + quarter.announcements()
        quarter.figures["differences after"] = len(wrong)
        return quarter.figures, wrong


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Simulates three months with half of all webhooks lost, and one reconciliation."
    )
    parser.add_argument("tenants", type=int, nargs="?", default=50)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    began = time.monotonic()
    figures, wrong = run(asked.tenants, asked.seed)
    for name, count in figures.items():
        print(f"  {count:9,} {name}")
    print(f"  {time.monotonic() - began:9,.0f} seconds")
    print("\n".join(wrong[:20]) or "The table agrees with Stripe, and each change was announced once.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
