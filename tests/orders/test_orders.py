"""All orders of the shorter histories. `make orders` goes through those of all of them."""

from collections.abc import Iterator

import pytest

from tests.orders.explore import Exploration, Wrong
from tests.orders.graph import Graph
from tests.orders.histories import HISTORIES
from tests.orders.life import Gaps
from tests.orders.stage import Stage, staged
from tests.orders.walk import walk
from tests.torture.mutants import MUTANTS

QUICK = (
    "checkout by card",
    "upgrade and downgrade",
    "cancel and take back",
    "void after failure",
    "part paid, then paid",
    "refund and dispute",
    "refund that fails",
    "inquiry that is escalated",
    "pause and resume",
    "own invoice paid twice",
    "downgrade, old and new shapes",
)
# A guard, a history in which it is needed, and what is wrong without it. See tests/torture/mutants.py.
NEEDED = (
    ("the rule of final states", "one-off invoice", (60,), "a final state was left"),
    (
        "the rule of one second",
        "upgrade and downgrade",
        (0,),
        "planId is plan-big in the table and plan-small at Stripe",
    ),
    (
        "the order by Stripe's time",
        "cancel and take back",
        (60,),
        "cancelAtPeriodEnd is True in the table and False at Stripe",
    ),
    ("the disputes decide", "refund and dispute", (0,), "disputeStatus is None in the table"),
    ("a refund may fail", "refund that fails", (0,), "a refund disappeared"),
    ("a voided pause gives nothing", "pause and resume", (0,), "the tenant's status does not follow"),
    ("a checkout waits for its money", "debit that fails", (0,), "the tenant is ACTIVE, and Stripe never had a reason"),
    ("parts paid otherwise count", "part paid, then paid", (0,), "amountPaid is 0 in the table and 1000 at Stripe"),
)


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with staged() as stage:
        yield stage


@pytest.mark.parametrize("name", QUICK)
def test_all_orders_end_in_one_table(stage: Stage, name: str) -> None:
    graph = Graph(stage, HISTORIES[name], (0,))
    report = Exploration(graph).run()
    assert report.orders > report.events
    assert sum(walk(graph, seed) for seed in range(3)), "no event came twice"


@pytest.mark.parametrize("gaps", [(1,), (60,), (0, 1)])
@pytest.mark.parametrize("name", ["upgrade and downgrade", "pause and resume"])
def test_seconds_apart(stage: Stage, name: str, gaps: Gaps) -> None:
    Exploration(Graph(stage, HISTORIES[name], gaps)).run()


@pytest.mark.parametrize(("guard", "name", "gaps", "found"), NEEDED)
def test_a_guard_that_is_taken_away_is_missed(stage: Stage, guard: str, name: str, gaps: Gaps, found: str) -> None:
    with MUTANTS[guard](), pytest.raises(Wrong, match=found):
        Exploration(Graph(stage, HISTORIES[name], gaps)).run()
