"""Simulates a tenant at Stripe, and an adversary between Stripe and the platform.

Hypothesis decides what happens at Stripe. It decides when each event arrives, which events arrive twice or at the same
time, and how their calls interleave. It also decides which calls die, which calls fail, and which calls take effect
although the caller sees a failure. At the end, Stripe delivers every event until the platform accepts it. Then the
table must agree with Stripe, and the stream must show each change once.
"""

import itertools
import random
from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import initialize

from billing.domain.entities import Tenant
from billing.domain.writes import Pointer, StripeId
from local.stripe.engine.store import Store
from tests.torture import coverage, judge
from tests.torture.faults import figures
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
        self.listed_since = 0
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
        self.sweep_to_the_end()
        self.check_table()
        self.check_reconciled()
        judge.judge_records(self.harness, self.delivered)
        judge.judge_stream(self.harness.streams.read(), self.store, [self.tenant])
