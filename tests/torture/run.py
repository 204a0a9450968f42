"""Runs histories in this process, one after the other."""

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.torture.faults import counted_races
from tests.torture.harness import running
from tests.torture.machine import Life

STEPS = 14


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
    )
    with running() as Life.harness, counted_races():
        run_state_machine_as_test(seed(number)(Life), settings=chosen)
