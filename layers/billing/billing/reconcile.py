"""The table is compared with Stripe, and repaired: events that never came, then subscriptions, payments and invoices.

Stripe keeps events for 30 days. What they cannot tell, as no run was complete for longer, its objects tell: then all
of them are compared, and otherwise the recent ones.

Nothing here is locked, and everything may be done twice: events go through the webhook's inbox, objects are written on
the revisions that were read. A run goes on where the last one was cut off (`table/progress.py`), as it stops before the
function's time is over, when Stripe stays away, and when another run goes on in its place.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import batched
from typing import Any, Final

from billing import clock, deadline, sync
from billing.errors import RevisionConflict, StripeRateLimited, StripeRejected, StripeUnavailable
from billing.reconcile_report import Report, Stop
from billing.stripe_api import WORST_CASE_SECONDS, Page, StripeApi
from billing.table import keys
from billing.table.progress import Progress
from billing.table.records import RecordStatus
from billing.table.store import Table
from billing.webhook.effects import EFFECTS
from billing.webhook.inbox import Inbox
from billing.webhook.payloads import parse_event

type Object = dict[str, Any]

OVERLAP_SECONDS: Final = 2 * 3600  # clocks differ, and an event may be listed after one that is younger
KEPT_SECONDS: Final = 30 * 24 * 3600  # what Stripe keeps of its events: https://docs.stripe.com/api/events
HOLD_SECONDS: Final = 3 * 24 * 3600  # an event that fails is tried again for as long as Stripe would try
RECENT_SECONDS: Final = 35 * 24 * 3600  # of objects: as far back as the table can be restored to, point in time
MAX_TYPES: Final = 20  # that one list of events takes

_EVENTS: Final = "events"
_TYPES: Final = tuple(batched(sorted(EFFECTS), MAX_TYPES, strict=False))
_NOT_APPLIED: Final = frozenset({RecordStatus.RECEIVED, RecordStatus.FAILED})
_WAITS: Final = (1.0, 2.0, 4.0)  # seconds before Stripe is asked again that refused or failed
_NEEDED_SECONDS: Final = (
    WORST_CASE_SECONDS * 2 + deadline.RESERVE_SECONDS
)  # one object: two calls of Stripe and a write


def run(table: Table, stripe: StripeApi, *, livemode: bool, dry_run: bool = False) -> Object:
    """Goes on with the run that was cut off, or begins one. The report: see `Report.shown`; it is logged, too.

    `livemode` is the mode of our API key. A dry run begins anew, writes nothing and remembers nothing. What fails of
    one event or object is in the report; raises what fails of the table's progress, and `StripeRejected` of a list.
    """
    report = Report(dry_run)
    walk = _Walk(table, stripe, Inbox(table, stripe.fetch, livemode=livemode), report)
    try:
        walk.go()
        report.complete = True
    except (Stop, StripeRateLimited, StripeUnavailable) as stopped:
        report.stopped = str(stopped)
    finally:
        report.tell()
    return report.shown()


class _Walk:
    def __init__(self, table: Table, stripe: StripeApi, inbox: Inbox, report: Report) -> None:
        self._table = table
        self._stripe = stripe
        self._inbox = inbox
        self._report = report
        self._span: int | None = None  # seconds of events that were a page or less

    def go(self) -> None:
        stored = self._table.get(Progress, keys.progress()) or Progress()
        goes_on = stored.phase in _PHASES[:-1] and not self._report.dry_run
        progress = _resumed(stored) if goes_on else _begun(stored)
        while progress.phase:
            _check_time()
            after = self._events(progress) if progress.phase == _EVENTS else self._objects(progress)
            progress = self._saved(after if after.phase else _finished(after))

    def _saved(self, progress: Progress) -> Progress:
        if self._report.dry_run:
            return progress
        try:
            self._table.write([progress])
        except RevisionConflict as error:
            raise Stop("Another run goes on in its place.") from error
        return replace(progress, revision=progress.revision + 1)

    # -- events

    def _events(self, progress: Progress) -> Progress:
        """One slice of time: as many events as one list holds, the oldest first."""
        since = int(progress.cursor)
        events, until = self._slice(since, progress.began_at)
        seen = {key.PK for key, item in self._records(events).items() if item["status"] not in _NOT_APPLIED}
        for event in sorted(events, key=lambda e: e["created"]):
            self._report.seen += 1
            if keys.event(event["id"]).PK not in seen:
                self._miss(event)
        held = min(filter(None, [progress.held_at, self._report.oldest_failed]), default=None)
        progress = replace(progress, held_at=held)
        return _next(progress) if until is None else replace(progress, cursor=str(until + 1))

    def _records(self, events: list[Object]) -> Mapping[keys.Key, Object]:
        return self._table.read([keys.event(event["id"]) for event in events])

    def _slice(self, since: int, now: int) -> tuple[list[Object], int | None]:
        """The events of `since` and the seconds after it, up to the second returned; None: up to the present.

        Stripe lists the newest first. So that the oldest come first, and no more are held than are worked on, the time
        is cut until it has no more of them than one page.
        """
        until = since + self._span if self._span and since + self._span < now else None
        while True:
            lists = [self._list_events(types, since, until) for types in _TYPES]
            events = [event for page, _ in lists for event in reversed(page)]
            if until == since or not any(more for _, more in lists):
                break
            newest = max(event["created"] for event in events)
            until = since + (min(newest, until or newest) - since) // 2
        self._span = (until - since + 1) * 2 if until is not None else None
        return events, until

    def _list_events(self, types: tuple[str, ...], since: int, until: int | None) -> Page:
        """One page; all of them where it is a single second, which cannot be cut."""
        created = {"gte": since} | ({} if until is None else {"lte": until})
        ask = partial(self._stripe.list_events, types, created=created)
        events, more = self._patiently(ask)
        while more and until == since:
            page, more = self._patiently(partial(ask, starting_after=events[-1]["id"]))
            events += page
        return events, more

    def _miss(self, event: Object) -> None:
        self._report.miss(event["created"])
        if self._report.dry_run:
            return
        with self._report.trying(event["id"], event["type"], event["created"]):
            received = parse_event(json.dumps(event).encode())
            self._patiently(lambda: self._inbox.receive(received))

    # -- objects

    def _objects(self, progress: Progress) -> Progress:
        """One page of a list."""
        try:
            things, more = self._page(progress)
        except StripeRejected:
            if not progress.cursor:
                raise
            return replace(progress, cursor="")  # the object after which the list went on is not in it any more
        for thing in things:
            if _CONCERNS[progress.phase](thing):
                self._compare(thing)
        progress = replace(progress, objects_failed=progress.objects_failed or self._report.objects_failed)
        return replace(progress, cursor=things[-1]["id"]) if more else _next(progress)

    def _page(self, progress: Progress) -> Page:
        after = {"starting_after": progress.cursor} if progress.cursor else {}
        created = {"gte": progress.objects_since}
        lists: dict[str, Callable[[], Page]] = {
            "subscriptions": lambda: self._stripe.list_subscriptions(**after),
            "payments": lambda: self._stripe.list_payment_intents(created=created, **after),
            "open-invoices": lambda: self._stripe.list_invoices(status="open", **after),
            "invoices": lambda: self._stripe.list_invoices(created=created, **after),
        }
        return self._patiently(lists[progress.phase])

    def _compare(self, thing: Object) -> None:
        fetch, dry_run = self._stripe.fetch, self._report.dry_run
        with self._report.trying(thing["id"], thing["object"]):
            found = self._patiently(lambda: sync.with_stripe(self._table, fetch, thing, dry_run=dry_run))
            self._report.found(found)

    # -- Stripe

    def _patiently[T](self, ask: Callable[[], T]) -> T:
        """What `ask` returns, asked again after a wait when Stripe refuses or fails for now.

        Raises `Stop`, and what it raises in the end: a failure of one object alone is for `Report.trying` to note.
        """
        for wait in _WAITS:
            _check_time(wait)
            try:
                return ask()
            except (StripeRateLimited, StripeUnavailable):
                time.sleep(wait)
        _check_time()
        return ask()


def _check_time(wait: float = 0) -> None:
    if deadline.remaining() < _NEEDED_SECONDS + wait:
        raise Stop("The time of this run is over.")


# -- the way of a run


def _has_failed(intent: Object) -> bool:
    return intent["status"] == "requires_payment_method" and intent["last_payment_error"] is not None


# Which of a phase's objects it compares: what was not tried yet is on no record, drafts neither, and open invoices have
# a phase of their own. Payments come before the invoices, which tie them.
_CONCERNS: Final[Mapping[str, Callable[[Object], bool]]] = {
    "subscriptions": lambda _: True,
    "payments": lambda intent: intent["status"] in ("succeeded", "canceled") or _has_failed(intent),
    "open-invoices": lambda _: True,
    "invoices": lambda invoice: invoice["status"] not in ("draft", "open"),
}
_PHASES: Final = (_EVENTS, *_CONCERNS, "")


def _begun(stored: Progress) -> Progress:
    now = clock.seconds()
    kept = now - KEPT_SECONDS
    since = (stored.events_since or 0) - OVERLAP_SECONDS
    objects_since = now - RECENT_SECONDS if since >= kept else 0
    if stored.objects_failed:
        objects_since = min(objects_since, stored.objects_since)
    return replace(
        stored,
        phase=_EVENTS,
        cursor=str(max(since, kept)),
        began_at=now,
        objects_since=objects_since,
        objects_failed=False,
        resume_phase="",
        resume_cursor="",
        held_at=None,
    )


def _resumed(stored: Progress) -> Progress:
    """The run that was cut off. The events of meanwhile come first: objects may take long, or keep failing."""
    now = clock.seconds()
    if stored.phase == _EVENTS:
        return stored
    if stored.began_at < now - KEPT_SECONDS:
        return _begun(stored)
    waiting = replace(stored, resume_phase=stored.phase, resume_cursor=stored.cursor)
    return replace(waiting, phase=_EVENTS, cursor=str(stored.began_at), began_at=now)


def _next(progress: Progress) -> Progress:
    if progress.phase == _EVENTS and progress.resume_phase in _CONCERNS:
        resumed = replace(progress, phase=progress.resume_phase, cursor=progress.resume_cursor)
        return replace(resumed, resume_phase="", resume_cursor="")
    return replace(progress, phase=_PHASES[_PHASES.index(progress.phase) + 1], cursor="")


def _finished(progress: Progress) -> Progress:
    """The next run begins with the events of now, or with the oldest that failed."""
    held = max(progress.held_at or progress.began_at, progress.began_at - HOLD_SECONDS)
    return replace(progress, events_since=min(held, progress.began_at), completed_at=clock.now())
