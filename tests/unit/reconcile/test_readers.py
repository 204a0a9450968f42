"""Checks the pace of the calls of Stripe, and how a list is cut into spans."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.domain.progress import Span
from billing.reconcile.readers import CALLS_PER_SECOND, Pace

STRIPES_LIMIT = 25  # calls of one endpoint in a second: https://docs.stripe.com/rate-limits


def began(monkeypatch: pytest.MonkeyPatch, calls: int, pause: float) -> list[float]:
    """When so many calls begin, if whoever makes them needs so many seconds between two."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    pace, found = Pace(), []
    for _ in range(calls):
        pace.wait()
        found.append(now[0])
        now[0] += pause
    return found


@pytest.mark.parametrize("pause", [0.0, 0.01, 0.2])
def test_in_no_second_stripe_is_asked_too_often(monkeypatch: pytest.MonkeyPatch, pause: float) -> None:
    calls = began(monkeypatch, 200, pause)
    assert max(sum(at <= other < at + 1 for other in calls) for at in calls) <= STRIPES_LIMIT


def test_the_pace_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = began(monkeypatch, 200, 0)
    assert calls[-1] - calls[0] == pytest.approx((200 - 2) / CALLS_PER_SECOND, abs=0.1)


@given(
    since=st.integers(0, 50),
    length=st.one_of(st.none(), st.integers(-1, 50)),
    cursor=st.sampled_from(["", "x"]),
    seconds=st.integers(0, 60),
)
def test_a_span_that_is_cut_has_each_of_its_seconds_once(
    since: int, length: int | None, cursor: str, seconds: int
) -> None:
    """The newest objects come first in a list, so the cursor stays with the newer part."""
    span = Span(since=since, until=None if length is None else since + length, cursor=cursor)
    newer, *older = span.cut(seconds)
    assert newer.cursor == cursor
    assert (newer.until, (older or [newer])[0].since) == (span.until, span.since)
    if older:
        assert (older[0].until, older[0].cursor) == (newer.since - 1, "")
        assert newer.until
        assert newer.until - newer.since + 1 == seconds
    else:
        assert length is None or not 0 < seconds < length, "there is nothing to cut"
