"""One tenant's life at Stripe, recorded: every event, and how Stripe was after each of them.

A history (`histories.py`) is a generator. What it does before its first `yield` is the beginning: all of it has reached
the platform. Each later `yield` ends a happening and names it.
"""

import copy
import json
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any, Final

from billing.domain.entities import Plan, Tenant
from billing.domain.writes import Pointer, StripeId
from billing.replica.effects import EFFECTS
from local.stripe.api.catalogue import recurring
from local.stripe.engine import store as ids
from local.stripe.engine.store import Object, Store
from tests.orders import shapes
from tests.orders.stage import START, Moment, Stage, frozen
from tests.torture.harness import ADD_ONS, PLANS, Ids
from tests.torture.money import Own

TENANT: Final = "t1"
CUSTOMER: Final = "cus_t1"
TRIAL: Final = "price_trial"
SOLD: Final = {**PLANS, TRIAL: "plan-trial"}
LATER: Final = 60  # seconds
_DAYS: Final = {TRIAL: 7}

type History = Callable[["Life"], Iterator[str]]
type Gaps = tuple[int, ...]  # the seconds before each happening, from the first on again if there are more


class Life:
    """`events` are those that the platform handles. `acts` are calls that anybody may make of the platform at any time
    of the history, by their names.
    `customers`: of the tenant; none: those whose metadata name it. None: nothing says yet who is the tenant's.
    `both_shapes`: each event may also come in the shape of an older API version, which is in `older`.
    """

    def __init__(self, stage: Stage, history: History, gaps: Gaps) -> None:
        ids.chance = Ids(1)
        self.stage = stage
        self.at = START
        self.events: list[Object] = []
        self.moments: list[Moment] = []
        self.own: dict[str, Own] = {}
        self.acts: dict[str, Callable[[], Any]] = {}
        self.customers: Collection[str] | None = ()
        self.both_shapes = False
        self.older: list[Object | None] = []  # for each event
        self.store = Store(self._emitted, lambda: self.at)
        stage.account.replace_store(self.store)
        stage.moment = None
        stage.memory.begin({})
        self._catalogue()
        self._live(history(self), gaps)

    def _catalogue(self) -> None:
        for price, plan in SOLD.items():
            made = Plan(
                plan_id=plan,
                stripe_price_id=price,
                name=plan,
                amount=4900,
                currency="usd",
                interval="month",
                trial_days=_DAYS.get(price, 0),
            )
            self.stage.world.table.write([made], [Pointer(StripeId(price), plan_id=plan)])
        for price in (*SOLD, *ADD_ONS):
            values = {"recurring": recurring(), "type": "recurring", "active": True, "currency": "usd"}
            self.store.create("price", id=price, product="prod_1", unit_amount=4900, **values)

    def _live(self, history: Iterator[str], gaps: Gaps) -> None:
        begun = next(history)
        for event in self.events:
            answer = self.stage.world.deliver(event)
            assert answer.status == 200, (event["type"], answer)
        self.begun, self.begun_by = {**self.stage.memory.items}, [*self.stage.memory.writes]
        self.events.clear()
        self.older.clear()
        self.moments.clear()
        self._note(begun)
        number = 0
        while True:
            gap = gaps[number % len(gaps)]
            if gap:
                self.at += gap
                self._note(f"{gap} s pass")
            happened = next(history, None)
            if happened is None:
                break
            self._note(happened)
            number += 1
        self.at += LATER
        self._note(f"{LATER} s pass")

    def _emitted(self, event: Object) -> None:
        if event["type"] in EFFECTS:
            self.events.append(copy.deepcopy(event))
            self.older.append(shapes.before_basil(self.store, event) if self.both_shapes else None)
            self._note(f"makes event {len(self.events)}, {event['type']}", rest=False)

    def _note(self, label: str, *, rest: bool = True) -> None:
        self.moments.append(Moment(label, frozen(self.store, self.at), len(self.events), rest, self.customers))

    # -- what a history may do at Stripe

    def post(self, path: str, *, fails: bool = False, **form: Any) -> Object:
        """One request of Stripe's API, or of the stand-in's controls. `__` in a name begins a part in brackets."""
        names = {name: _bracketed(name) for name in form}
        answer = self.stage.call("POST", path, {names[name]: value for name, value in form.items()})
        assert fails or answer[1] == 200, answer
        body: Object = json.loads(answer[0])
        return body

    def delete(self, path: str) -> None:
        answer = self.stage.call("DELETE", path)
        assert answer[1] == 200, answer

    def api(self, method: str, path: str, status: int, **request: Any) -> None:
        """One request of the platform's own API."""
        answer = self.stage.world.api(method, path, **request)
        assert answer.status == status, answer

    def one(self, kind: str, **fields: Any) -> Object:
        """The newest object of the kind, as Stripe holds it."""
        return self.store.all(kind, **fields)[0]

    # -- how a history may begin

    def customer(self, customer_id: str = CUSTOMER) -> None:
        """The tenant has a customer at Stripe, and the table knows it."""
        self.store.create("customer", id=customer_id, metadata={"tenantId": TENANT})
        tenant = Tenant(tenant_id=TENANT, stripe_customer_id=customer_id)
        self.stage.world.table.write([tenant], [Pointer(StripeId(customer_id), tenant_id=TENANT)])

    def checkout(self, price: str = "price_small") -> Object:
        """The tenant starts a checkout. Returns the open session."""
        answer = self.stage.world.checkout(TENANT, SOLD[price])
        assert answer.status == 200, answer
        return self.one("checkout.session", status="open")

    def buyer_comes_back_from(self, session: Object) -> None:
        """At any time, which may be before or after any event."""
        path = f"/stripe/checkout/{session['id']}"
        self.acts["the buyer comes back"] = partial(self.stage.world.api, "GET", path, tenant=TENANT)

    def subscribed(self, price: str = "price_small") -> Object:
        """The tenant has subscribed by a checkout and a card. Returns the subscription."""
        session = self.checkout(price)
        self.post(f"/_control/checkout_sessions/{session['id']}/complete")
        return self.one("subscription")


def _bracketed(name: str) -> str:
    first, *rest = name.split("__")
    return first + "".join(f"[{part}]" for part in rest)
