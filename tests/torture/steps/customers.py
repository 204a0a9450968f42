"""Customers of whom the platform does not know whose they are, or learns it late; and deleted ones."""

import random

from hypothesis import strategies as st

from local.stripe.api import catalogue
from local.stripe.api import checkout as api_checkout
from local.stripe.engine import checkout, periods, subscriptions
from local.stripe.engine.store import Object
from tests.torture.scheduler import Fault, Task
from tests.torture.steps.base import (
    chances,
    exists,
    faults,
    few_subscriptions,
    gaps,
    methods,
    plans,
    prices,
    step,
    which,
)
from tests.torture.steps.platform import Platform

MADE_ELSEWHERE = 2


def _few_strangers(machine: "Customers") -> bool:
    return few_subscriptions(machine) and len(machine.elsewhere) < MADE_ELSEWHERE


class Customers(Platform):
    @step(
        "customers",
        when=(_few_strangers,),
        gap=gaps,
        price=prices,
        paid=st.booleans(),
        named=st.sampled_from(["nowhere", "customer", "subscription"]),
    )
    def somebody_makes_a_customer(self, gap: int, price: str, paid: bool, named: str) -> None:
        """In the dashboard, with a subscription. If the subscription names the tenant, its event tells whose it is."""
        self.wait(gap)
        names = {"tenantId": self.tenant}
        customer = self.store.create("customer", metadata=names if named == "customer" else {})
        self.elsewhere.add(customer["id"])
        self.store.emit("customer.created", customer)
        metadata = names if named == "subscription" else {}
        sold = self.store.get("price", price)
        made = subscriptions.create_subscription(self.store, customer["id"], sold, metadata)
        periods.begin(self.store, made, "pm_card_visa" if paid else None)

    @step(
        "customers",
        "buying",
        when=(_few_strangers,),
        gap=gaps,
        price=prices,
        method=methods,
        named=st.sampled_from(["nowhere", "session", "subscription", "payment"]),
    )
    def a_payment_link_is_used(self, gap: int, price: str, method: str, named: str) -> None:
        """Its session is not ours, and Stripe makes the customer. The link's metadata is copied to the session.

        https://docs.stripe.com/api/payment-link/object#payment_link_object-metadata and
        https://docs.stripe.com/api/payment-link/object#payment_link_object-subscription_data-metadata
        """
        self.wait(gap)
        names = {"metadata": {"tenantId": self.tenant}}
        line: Object = {"price": price}
        if named == "payment":
            line = {"price_data": {"currency": "usd", "unit_amount": 2500, "product_data": {"name": "Once"}}}
        form: Object = {"mode": "payment" if named == "payment" else "subscription", "line_items": [line]}
        form |= {"customer_email": "buyer@example.com"} | (names if named == "session" else {})
        form |= {"subscription_data": names} if named == "subscription" else {}
        form |= {"payment_intent_data": names} if named == "payment" else {}
        session = api_checkout.create_session(self.store, form, "")
        self.elsewhere.add(session["id"])  # its customer does not exist yet
        self.act_on([session], 0, 0, lambda s: checkout.complete_checkout(self.store, s, method))

    @step("customers", when=(exists("customer"),), gap=gaps, n=which)
    def a_customer_is_deleted(self, gap: int, n: int) -> None:
        """https://docs.stripe.com/api/customers/delete"""

        def delete(customer: Object) -> None:
            if customer["id"] in self.customers:
                self.linked.add(customer["id"])
            catalogue._delete_customer(self.store, {}, customer["id"])

        self.act("customer", n, gap, delete)

    @step(
        "customers",
        when=(lambda self: self.strangers,),
        chance=chances,
        n=which,
        admin=st.booleans(),
        plan=plans,
        broken=st.lists(faults, max_size=2),
    )
    def a_customer_is_linked(
        self, chance: random.Random, n: int, admin: bool, plan: str, broken: list[dict[int, Fault]]
    ) -> None:
        """By a checkout that names the customer: with the tenant's token if the customer's metadata names the tenant,
        or by an admin.
        """
        strangers = self.strangers
        customer = strangers[n % len(strangers)]
        query = {"customerId": customer["id"]}

        def link() -> None:
            self.answers.append(self.harness.world.checkout(self.tenant, plan, admin=admin, extra=query))

        self.collect()
        self.together([Task(link, one) for one in broken], chance, deliveries=2)
        known = self.harness.world.tenant(self.tenant)
        before = self.owner_of(customer["id"])
        link()
        answer = self.answers[-1]
        owner = self.owner_of(customer["id"])
        assert owner in (None, self.tenant)
        if not admin and before is None and ((known and known.stripe_customer_id) or not self._names_me(customer)):
            assert (answer.status in (403, 409), owner) == (True, None), answer
        assert answer.status != 200 or owner == self.tenant, answer
        assert answer.status in (200, 403, 409), answer
        if owner:
            self.linked.add(customer["id"])
