"""What all rules share: the state of one history, what is drawn, and when a rule may be chosen."""

import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from inspect import getmembers
from itertools import accumulate
from typing import Any, ClassVar, Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from billing.adapters.table import keys
from local.stripe.engine import checkout
from local.stripe.engine.cards import BANK
from local.stripe.engine.store import HOUR, Object, Store
from local.stripe.errors import ApiError
from tests.torture import coverage
from tests.torture.faults import figures
from tests.torture.harness import PLANS, Harness, View
from tests.torture.money import Own
from tests.torture.scheduler import Fault, Task

SUBSCRIPTIONS: Final = 3

# Rules of one theme need each other to reach depth: a trial must begin, be noticed and end. With all rules at every
# step, fourteen steps reach none of that. So a history has one to three themes, and the rules without a theme. Tests
# that leave features out find more than those that always have all of them ("swarm testing", Groce and others, 2012,
# https://doi.org/10.1145/2338965.2336763).
THEMES: Final = ("buying", "renewing", "changing", "trials", "pauses", "money", "customers", "operators")

gaps = st.sampled_from([0, 0, 0, 1, 2, 60])
which = st.integers(0, 30)
accepted = st.sampled_from(["pm_card_visa", BANK])
declined = ["pm_card_chargeDeclined", "pm_card_threeDSecure2Required"]
methods = st.one_of(accepted, st.sampled_from(declined))
later = ["pm_card_createDispute", "pm_card_createDisputeInquiry", "pm_card_refundFail"]  # something comes later
answered = ["pm_card_visa", "pm_card_visa", "pm_card_chargeDeclined", "pm_card_authenticationRequired", *later]
cards = st.sampled_from([*answered, BANK])
chances = st.integers(0, 2**32).map(random.Random)
prices = st.sampled_from(sorted(PLANS))
plans = st.sampled_from(sorted(PLANS.values()))


def _planned(first: int, more: list[tuple[int, Fault]]) -> dict[int, Fault]:
    """The first fault falls on the call with that number. Each pair says how many calls later the next one falls."""
    numbers = accumulate((gap for gap, _ in more[1:]), initial=first)
    return dict(zip(numbers, (fault for _, fault in more), strict=False))


# Most invocations make less than ten calls, a reconciliation makes hundreds. A fault often follows another one at once,
# while the function deals with it.
_positions = st.one_of(st.integers(1, 8), st.integers(1, 8), st.integers(1, 60))
_faults = st.lists(st.tuples(st.sampled_from([1, 1, 1, 2, 5, 20]), st.sampled_from(Fault)), max_size=3)
faults = st.builds(_planned, _positions, _faults)

type When = Callable[[Any], object]


def exists(kind: str, **fields: Any) -> When:
    """Stripe has such an object. Without it, the step would do nothing."""
    return lambda machine: machine.store.all(kind, **fields)


def has_room(machine: "Steps") -> bool:
    """Another subscription may begin: more of them make histories slow, and show nothing new."""
    return bool(machine.buyer) and few_subscriptions(machine)


def few_subscriptions(machine: "Steps") -> bool:
    return len(machine.store.all("subscription")) < SUBSCRIPTIONS


@dataclass(frozen=True)
class Step:
    """`weight`: how often it is chosen. It is chosen less often the more often it was, unless it is `lasting`."""

    act: Callable[..., None]
    themes: frozenset[str]
    when: tuple[When, ...]
    arguments: st.SearchStrategy[dict[str, Any]]
    weight: int
    lasting: bool

    @property
    def name(self) -> str:
        return self.act.__name__

    def is_allowed(self, machine: "Steps") -> bool:
        return (not self.themes or bool(self.themes & machine.themes)) and all(holds(machine) for holds in self.when)

    def tickets(self, used: int) -> int:
        return max(1, 8 * self.weight // (1 if self.lasting else 1 + 2 * used))


def step[F: Callable[..., None]](
    *themes: str, when: tuple[When, ...] = (), weight: int = 1, lasting: bool = False, **drawn: st.SearchStrategy[Any]
) -> Callable[[F], F]:
    """A rule for histories of these themes (without any: for all). It may be chosen if all of `when` hold."""
    assert set(themes) <= set(THEMES), themes

    def decorate(act: F) -> F:
        act.step = Step(act, frozenset(themes), when, st.fixed_dictionaries(drawn), weight, lasting)  # type: ignore[attr-defined]
        return act

    return decorate


class Steps(RuleBasedStateMachine):
    """`linked`: customers of the tenant that were linked to it, or deleted. `elsewhere`: customers that others than the
    platform made. `own`: the platform's own invoices, by id.
    """

    harness: ClassVar[Harness]
    tenant: str
    store: Store
    themes: set[str]
    linked: set[str]
    elsewhere: set[str]
    seen: int
    listed_since: int  # Stripe's time: what is older, no run lists any more
    undelivered: list[Object]
    delivered: list[Object]
    own: dict[str, Own]
    orders: coverage.Orders
    used: Counter[str]

    @classmethod
    def steps(cls) -> list[Step]:
        """All rules, by name."""
        return [member.step for _, member in getmembers(cls) if hasattr(member, "step")]

    @rule(data=st.data())
    def next(self, data: st.DataObject) -> None:
        """Chooses among the steps that would do something now. New possibilities come first.

        Hypothesis itself would choose among all rules, and turn a random set of them off. Then half of all histories
        soon have no rule left, and rules that need much before are hardly ever reached.
        """
        allowed = {one.name: one for one in self.steps() if one.is_allowed(self)}
        tickets = [name for name, one in allowed.items() for _ in range(one.tickets(self.used[name]))]
        drawn = allowed[data.draw(st.sampled_from(tickets))]
        arguments = data.draw(drawn.arguments, label=drawn.name)
        self.used[drawn.name] += 1
        before = self.trace
        coverage.count("rule", drawn.name)
        drawn.act(self, **arguments)
        if self.trace != before:
            coverage.count("acted", drawn.name)

    @property
    def trace(self) -> tuple[int, ...]:
        """Changes when something happens at Stripe, or when a function runs."""
        objects = self.store.objects.values()
        return figures["invocations"], int(self.harness.time) // HOUR, *(len(kind) for kind in objects)

    # -- whose it is

    @property
    def customers(self) -> set[str]:
        """The tenant's customers at Stripe: linked ones, those that the platform made, and those with a subscription or
        a complete checkout that names the tenant.
        """
        made = {c["id"] for c in self.store.all("customer") if self._names_me(c)} - self.elsewhere
        subscribed = {s["customer"] for s in self.store.all("subscription") if self._names_me(s)}
        sessions = self.store.all("checkout.session", mode="subscription", status="complete")
        return self.linked | made | subscribed | {s["customer"] for s in sessions if self._names_me(s)}

    def _names_me(self, stripe_object: Object) -> bool:
        return (stripe_object.get("metadata") or {}).get("tenantId") == self.tenant

    @property
    def buyer(self) -> str | None:
        """The tenant's newest customer at Stripe. None: it has none yet, or it was deleted."""
        mine = self.customers
        return next((one["id"] for one in self.store.all("customer") if one["id"] in mine), None)

    @property
    def strangers(self) -> list[Object]:
        mine = self.customers
        return [one for one in self.store.all("customer") if one["id"] not in mine]

    @property
    def view(self) -> Any:
        """The objects of the tenant: those of its customers, and those that name the tenant themselves."""
        mine = self.customers
        return View(self.store, lambda one: one.get("customer", one["id"]) in mine or self._names_me(one))

    def owner_of(self, customer: str) -> str | None:
        """The tenant that the table has for a customer."""
        key = keys.stripe_pointer(customer)
        owner: str | None = self.harness.world.table.read([key]).get(key, {}).get("tenantId")
        return owner

    @property
    def unconfirmed(self) -> list[Object]:
        """The open sessions whose first payment was not accepted yet."""
        opened = self.store.all("checkout.session", status="open")
        begun = [(session, self.store.find(session.get("_begun", [""])[-1])) for session in opened]
        return [session for session, made in begun if made and made["status"] == "incomplete"]

    @property
    def opened(self) -> list[Object]:
        """The open invoices. Perhaps an open session waits for one, and it is paid elsewhere: on its own page."""
        return self.store.all("invoice", status="open")

    def act_on(self, objects: list[Object], n: int, gap: int, act: Callable[[Object], object]) -> None:
        if not objects:
            return
        self.wait(gap)
        with suppress(ApiError, checkout.NeedsAction):
            # Stripe refuses the request, declines the card, or the bank wants a confirmation.
            act(objects[n % len(objects)])

    def act(self, kind: str, n: int, gap: int, act: Callable[[Object], object]) -> None:
        self.act_on(self.store.all(kind), n, gap, act)

    def wait(self, seconds: int) -> None:
        self.harness.time += seconds

    def count(self, tasks: list[Task]) -> None:
        figures["crashes"] += sum(task.killed for task in tasks)
