"""Runs a few histories. `make torture N=…` runs as many as you like."""

import shutil

import pytest

from tests.torture import quarter
from tests.torture.faults import figures
from tests.torture.run import torture

HISTORIES = 40
SEEDS = (20261123, 20261125)  # the same histories in every run; `make torture` looks for new ones

pytestmark = [
    pytest.mark.filterwarnings("ignore::hypothesis.errors.NonInteractiveExampleWarning"),
    pytest.mark.skipif(
        not (shutil.which("java") and shutil.which("npm")),
        reason="DynamoDB Local needs java (17) and npm: the torture tests do not run",
    ),
]


def test_a_quarter_with_half_of_all_webhooks_lost() -> None:
    reached, wrong = quarter.run(tenants=6, seed=1)
    assert wrong == []
    for name in ("lost", "missed", "announcements", "differences before"):
        assert reached[name], f"no {name}: the quarter tested nothing"


@pytest.mark.parametrize("seed", SEEDS)
def test_histories_end_well(seed: int) -> None:
    figures.clear()
    torture(HISTORIES, seed)
    assert figures["histories"] >= HISTORIES
    # What exactly happens depends on what else Hypothesis has seen in this process, and so not only on the seed.
    for name in ("crashes", "races", "fetches", "DynamoDB: ", "Stripe: "):
        happened = sum(count for figure, count in figures.items() if figure.startswith(name))
        assert happened, f"no {name}: the adversary did nothing"
