"""Checks how often work is retried, and when the retries end."""

import time
from typing import Any

import pytest

from billing import deadline, retry
from local.aws.worker import Context


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Records the sleeps in seconds, without waiting."""
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    return slept


def context(seconds: float) -> Any:
    return Context("request-1", "function", 512, time.time() + seconds)


def test_the_waits_grow() -> None:
    assert retry.growing(0.5, tries=4) == (0, 0.5, 1, 1.5)


def test_each_round_comes_after_its_wait(waits: list[float]) -> None:
    assert list(retry.rounds((0, 1, 2))) == [0, 1, 2]
    assert waits == [1, 2]


def test_with_jitter_no_wait_is_longer_than_it_may_be(waits: list[float]) -> None:
    for _ in range(50):
        list(retry.rounds((0, 1, 2), jitter=True))
    assert all(0 <= wait <= longest for wait, longest in zip(waits, (1, 2) * 50, strict=True))
    assert len(set(waits)) > 50


def test_the_first_round_comes_also_without_time(waits: list[float]) -> None:
    with deadline.of(context(0)):
        assert list(retry.rounds((0, 0, 0), reserve=6)) == [0]


def test_no_round_begins_that_the_invocation_could_not_end(waits: list[float]) -> None:
    with deadline.of(context(10)):
        assert list(retry.rounds((0, 2, 3, 100, 0), reserve=6)) == [0, 1, 2]
        assert list(retry.rounds((0, 2, 5, 0), reserve=6)) == [0, 1]


def test_a_deadline_ends_with_its_invocation() -> None:
    with deadline.of(context(5)):
        assert deadline.is_near()
        with deadline.of(context(60)):
            assert not deadline.is_near()
        assert deadline.is_near()
    assert deadline.remaining() == float("inf")
