"""Runs histories in this process, one after the other."""

from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider
from hypothesis.stateful import run_state_machine_as_test

from tests.torture.faults import counted_races
from tests.torture.harness import running
from tests.torture.machine import Life

STEPS = 14


class Afresh(HypothesisProvider):
    """Draws every history afresh. Hypothesis itself begins with small ones, and then repeats parts of earlier ones.

    It also mixes in numbers that it finds in the source of all modules that are imported. Without that, what is drawn
    depends on the seed alone. https://hypothesis.readthedocs.io/en/latest/extensions.html#alternative-backends
    """

    def _maybe_draw_constant(self, *_: Any, **__: Any) -> None:
        return None


AVAILABLE_PROVIDERS["afresh"] = Afresh


def torture(histories: int, number: int, *, shrink: bool = True) -> None:
    """Raises the error of the first history that fails. With `shrink`, first looks for the shortest such history."""
    chosen = settings(
        max_examples=histories,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
        suppress_health_check=list(HealthCheck),
        print_blob=True,
        report_multiple_bugs=False,
        backend="afresh",
    )
    with running() as Life.harness, counted_races():
        run_state_machine_as_test(seed(number)(Life), settings=chosen)
