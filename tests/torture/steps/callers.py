"""Calls of frontends and operators. Each is made with faults first, and then once more without."""

import random
from typing import Any

from hypothesis import strategies as st

from billing.adapters.table import keys
from local.stripe.api import lists
from local.stripe.engine.store import DAY, Object
from tests.torture import model
from tests.torture.faults import figures
from tests.torture.harness import PLANS
from tests.torture.money import Own, iso
from tests.torture.scheduler import Task
from tests.torture.steps.base import chances, exists, faults, plans, step, which
from tests.torture.steps.platform import Broken, Platform
from tests.world import Answer

OWN_INVOICES = 2
DUE = 9000


class Callers(Platform):
    # -- frontends

    @step(chance=chances, plan=plans, broken=st.lists(faults, min_size=1, max_size=3))
    def the_frontend_asks_for_checkouts(self, chance: random.Random, plan: str, broken: Broken) -> None:
        """Starts several checkouts at once, and some of them die. Then starts one without faults."""
        self.collect()
        self.together([Task(lambda: self._checkout(plan), one) for one in broken], chance, deliveries=2)
        before = {session["id"] for session in self.store.all("checkout.session")}
        subscribed = any(
            s["status"] in model.CHARGING for s in self.store.all("subscription", customer=self._current())
        )
        answer = self._checkout(plan)
        assert answer.status in (200, 409), answer
        new = {session["id"] for session in self.store.all("checkout.session")} - before
        assert not (subscribed and new), "a second subscription is on sale"
        waiting = self.store.all("checkout.session", status="open", customer=self._current())
        opened = [session for session in waiting if "checkoutAttempt" in session["metadata"]]  # not a Payment Link's
        assert len(opened) <= 1, opened
        assert answer.status == 409 or answer.body["sessionUrl"] == opened[0]["url"]
        made = [c["id"] for c in self.store.all("customer", metadata={"tenantId": self.tenant})]
        assert len([one for one in made if one not in self.elsewhere]) <= 1, made

    def _current(self) -> str | None:
        """The customer that the table has for the tenant."""
        tenant = self.harness.world.tenant(self.tenant)
        return tenant.stripe_customer_id if tenant else None

    @step(
        "buying",
        when=(exists("checkout.session"),),
        chance=chances,
        n=which,
        broken=st.lists(faults, min_size=1, max_size=2),
    )
    def the_buyer_comes_back(self, chance: random.Random, n: int, broken: Broken) -> None:
        sessions = self.store.all("checkout.session")
        path = f"/stripe/checkout/{sessions[n % len(sessions)]['id']}"
        self.collect()
        self.ask(chance, broken, "GET", path, tenant=self.tenant, expected=(200, 404))

    @step("customers", when=(exists("customer"),), chance=chances, n=which, broken=st.lists(faults, max_size=1))
    def the_portal_is_opened(self, chance: random.Random, n: int, broken: Broken) -> None:
        customers = self.store.all("customer")
        query = {"customerId": customers[n % len(customers)]["id"]}
        self.ask(
            chance, broken, "POST", "/stripe/portal", tenant=self.tenant, query_string=query, expected=(200, 403, 404)
        )

    @step(
        "money", when=(lambda self: self.own,), chance=chances, n=which, broken=st.lists(faults, min_size=1, max_size=3)
    )
    def the_frontend_pays_the_own_invoice(self, chance: random.Random, n: int, broken: Broken) -> None:
        invoice = sorted(self.own)[n % len(self.own)]
        figures["payment intents"] += len(broken) + 1
        self.ask(chance, broken, "POST", f"/invoices/{invoice}/payment-intent", tenant=self.tenant, expected=(200, 409))
        ended = ("succeeded", "canceled")
        mine = [i for i in self.store.all("payment_intent") if i["metadata"].get("invoiceId") == invoice]
        assert len([i for i in mine if i["status"] not in ended]) <= 1, mine

    @step(
        "money",
        when=(exists("invoice", status="open"),),
        weight=2,
        chance=chances,
        n=which,
        broken=st.lists(faults, max_size=2),
    )
    def the_frontend_pays_stripes_invoice(self, chance: random.Random, n: int, broken: Broken) -> None:
        """The invoice is not there before its event has come."""
        opened = self.store.all("invoice", status="open")
        path = f"/invoices/{opened[n % len(opened)]['id']}/payment-intent"
        self.ask(chance, broken, "POST", path, tenant=self.tenant, expected=(200, 404, 409))

    # -- operators

    @step(
        "money",
        "operators",
        when=(lambda self: len(self.own) < OWN_INVOICES,),
        chance=chances,
        days=st.sampled_from([None, -1, 1, 30]),
        broken=st.lists(faults, max_size=2),
    )
    def an_operator_makes_an_invoice(self, chance: random.Random, days: int | None, broken: Broken) -> None:
        """`days`: until it is due. It may be overdue when it is made."""
        invoice = Own(DUE, None if days is None else self.store.now() + days * DAY)
        body: Object = {"invoiceId": f"inv-own{len(self.own)}-{self.tenant}", "amount": DUE, "currency": "usd"}
        body |= {"dueDate": iso(invoice.due_at)} if days else {}
        path = f"/tenants/{self.tenant}/invoices"
        self.ask(chance, broken, "POST", path, tenant=None, admin=True, json=body, expected=(200, 201))
        self.own[body["invoiceId"]] = invoice

    @step("operators", when=(lambda self: self.delivered,), limit=st.sampled_from([1, 2, 7, 100]))
    def an_operator_lists_the_events(self, limit: int) -> None:
        """All pages together have each event of the tenant once, but for those whose record is only begun."""
        listed: list[str] = []
        query: dict[str, Any] = {"tenantId": self.tenant, "limit": limit}
        while query.get("cursor", "first"):
            answer = self.harness.world.api("GET", "/stripe/events", tenant=None, admin=True, query_string=query)
            assert answer.status == 200, answer
            listed += [one["eventId"] for one in answer.body["events"]]
            query["cursor"] = answer.body.get("cursor")
        known = [keys.event(event["id"]) for event in self.store.all("event")]
        records = self.harness.world.table.read(known).values()
        known_owner = [record for record in records if record["status"] != "RECEIVED"]
        mine = [record["eventId"] for record in known_owner if record.get("tenantId") == self.tenant]
        assert sorted(listed) == sorted(mine), ({*listed} ^ {*mine}, len(listed))

    @step(
        "operators",
        when=(lambda self: self.undelivered or self.delivered,),
        chance=chances,
        n=which,
        broken=st.lists(faults, max_size=2),
    )
    def an_operator_replays(self, chance: random.Random, n: int, broken: Broken) -> None:
        """An event that came or did not come. Stripe delivers it too."""
        self.collect()
        known = self.undelivered + self.delivered
        event = known[n % len(known)]
        kept = event["created"] >= self.store.now() - lists.KEPT_DAYS * DAY
        path = f"/stripe/events/{event['id']}"
        self.ask(
            chance, broken, "POST", f"{path}/replay", tenant=None, admin=True, expected=(200,) if kept else (404, 409)
        )
        if kept:
            record = self.harness.world.api("GET", path, tenant=None, admin=True)
            assert record.body["status"] in ("PROCESSED", "STALE", "IGNORED"), record

    @step(
        "operators",
        "trials",
        chance=chances,
        price=st.sampled_from(sorted(PLANS)),
        days=st.sampled_from([0, 2, 14]),
        active=st.sampled_from([True, True, False]),
        broken=st.lists(faults, max_size=2),
    )
    def an_operator_changes_a_plan(
        self, chance: random.Random, price: str, days: int, active: bool, broken: Broken
    ) -> None:
        body = {"stripePriceId": price, "name": "Plan", "trialDays": days, "active": active}
        path = f"/plans/{PLANS[price]}"
        self.ask(chance, broken, "PUT", path, tenant=None, admin=True, json=body, expected=(200,))

    def _checkout(self, plan: str) -> Answer:
        figures["checkouts"] += 1
        return self.harness.world.checkout(self.tenant, plan)
