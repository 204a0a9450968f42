"""The order of a run: what follows what, where a run that was cut off continues, and where the next one begins."""

from dataclasses import replace
from typing import Final

from billing import clock
from billing.domain.progress import Phase, Progress, Span

OVERLAP_SECONDS: Final = 2 * 3600  # clocks differ, and Stripe may list an event after a younger one
KEPT_SECONDS: Final = 30 * 24 * 3600  # Stripe keeps events so long: https://docs.stripe.com/api/events
HOLD_SECONDS: Final = 3 * 24 * 3600  # an event that fails is tried again for as long as Stripe itself would try
RECENT_SECONDS: Final = 35 * 24 * 3600  # how old a compared PaymentIntent or invoice may be: the table's backup
# reaches as far back

_ORDER: Final = tuple(Phase)


def begun(stored: Progress) -> Progress:
    """A new run after the last complete one."""
    now = clock.seconds()
    kept = now - KEPT_SECONDS
    since = (stored.events_since or 0) - OVERLAP_SECONDS
    objects_since = now - RECENT_SECONDS if since >= kept else 0
    if stored.objects_failed:
        objects_since = min(objects_since, stored.objects_since)
    return replace(
        stored,
        phase=Phase.EVENTS,
        cursor=str(max(since, kept)),
        began_at=now,
        objects_since=objects_since,
        objects_failed=False,
        resume_phase=Phase.DONE,
        spans=(),
        held_at=None,
    )


def resumed(stored: Progress) -> Progress:
    """The run that was cut off. The newest events come first, because comparing objects may take long or fail."""
    now = clock.seconds()
    if stored.phase is Phase.EVENTS:
        return stored
    if stored.began_at < now - KEPT_SECONDS:
        return begun(stored)
    waiting = replace(stored, resume_phase=stored.phase)
    return replace(waiting, phase=Phase.EVENTS, cursor=str(stored.began_at), began_at=now)


def next_phase(progress: Progress) -> Progress:
    """The next phase, from its beginning. After the events of a resumed run, the place where the run was cut off."""
    if progress.phase is Phase.EVENTS and progress.resume_phase is not Phase.DONE:
        return replace(progress, phase=progress.resume_phase, resume_phase=Phase.DONE, cursor="")
    return replace(progress, phase=_ORDER[_ORDER.index(progress.phase) + 1], cursor="", spans=())


def whole(progress: Progress) -> Span:
    """All of the list that the phase compares. Subscriptions and open invoices are always all compared."""
    always_all = progress.phase in (Phase.SUBSCRIPTIONS, Phase.OPEN_INVOICES)
    return Span(since=0 if always_all else progress.objects_since)


def finished(progress: Progress) -> Progress:
    """The next run reads the events from the begin of this one on, or from the oldest event that failed."""
    held = max(progress.held_at or progress.began_at, progress.began_at - HOLD_SECONDS)
    return replace(progress, events_since=min(held, progress.began_at), completed_at=clock.now())
