"""Compares the table with Stripe and repairs it: first events that never came, then subscriptions, payments, invoices.

Stripe keeps events for 30 days. If the last complete run is older than that, events no longer say everything. Then all
PaymentIntents and invoices are compared, and otherwise only those of the last 35 days (more if some of them failed in
the last run). Subscriptions and open invoices are always all compared.

Nothing is locked, and everything may happen twice: events go through the webhook's inbox, and objects are written only
if the table still has the revisions that were read. A run stops before the function's time is over, when Stripe does
not answer, and when another run has gone on from the same progress. The next run continues where it stopped
(`domain/progress.py`).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import batched
from typing import Any, Final

from billing import retry
from billing.adapters.stripe_api import Page, StripeApi
from billing.adapters.table import keys
from billing.adapters.table.store import Table
from billing.domain.progress import Phase, Progress
from billing.domain.records import RecordStatus
from billing.errors import RevisionConflict, StripeRateLimited, StripeRejected, StripeUnavailable
from billing.inbox.inbox import Inbox
from billing.reconcile import phases
from billing.reconcile.report import Report, Stop
from billing.replica import sync
from billing.replica.decide import NO_OWNER
from billing.replica.effects import EFFECTS
from billing.replica.stripe_event import parse_event

type Object = dict[str, Any]

MAX_TYPES: Final = 20  # what one list of events takes
_TYPES: Final = tuple(batched(sorted(EFFECTS), MAX_TYPES, strict=False))
_WITHOUT_OWNER: Final = (NO_OWNER.status, NO_OWNER.reason)
_NOT_APPLIED: Final = frozenset({RecordStatus.RECEIVED, RecordStatus.FAILED})
_WAITS: Final = (0.0, 1.0, 2.0, 4.0)  # seconds before each try, while Stripe refuses or fails
_TIME_IS_OVER: Final = "The time of this run is over."


@dataclass(frozen=True)
class Reconciliation:
    table: Table
    stripe: StripeApi
    inbox: Inbox

    def run(self, *, dry_run: bool = False) -> Object:
        """Continues the run that was cut off, or begins one. Returns and logs the report: see `Report.shown`.

        A dry run begins anew, writes nothing and stores no progress. If one event or object fails, the report says so
        and the run continues. Raises what fails when the table reads event records, or reads or writes
        progress, and `StripeRejected` if Stripe rejects a list.
        """
        report = Report(dry_run)
        try:
            _Walk(self, report).go()
            report.complete = True
        except (Stop, StripeRateLimited, StripeUnavailable) as stopped:
            report.stopped = str(stopped)
        finally:
            report.tell()
        return report.shown()


class _Walk:
    """One run, from where the stored progress says."""

    def __init__(self, reconciliation: Reconciliation, report: Report) -> None:
        self._table = reconciliation.table
        self._stripe = reconciliation.stripe
        self._inbox = reconciliation.inbox
        self._report = report
        # The span in seconds to try next: twice the last one whose events fitted on one page.
        self._span: int | None = None

    def go(self) -> None:
        stored = self._table.get(Progress, keys.progress()) or Progress()
        continues = stored.phase is not Phase.DONE and not self._report.dry_run
        progress = phases.resumed(stored) if continues else phases.begun(stored)
        while progress.phase is not Phase.DONE:
            _check_time()
            after = self._events(progress) if progress.phase is Phase.EVENTS else self._objects(progress)
            progress = self._saved(phases.finished(after) if after.phase is Phase.DONE else after)

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
        records = {key.PK: item for key, item in self._records(events).items()}
        for event in sorted(events, key=lambda e: e["created"]):
            self._report.seen += 1
            record = records.get(keys.event(event["id"]).PK)
            if record is None or record["status"] in _NOT_APPLIED:
                self._take_in(event)
            elif (record["status"], record.get("reason")) == _WITHOUT_OWNER and not self._report.dry_run:
                self._try_again(event)
        held = min(filter(None, [progress.held_at, self._report.oldest_failed]), default=None)
        progress = replace(progress, held_at=held)
        return phases.next_phase(progress) if until is None else replace(progress, cursor=str(until + 1))

    def _records(self, events: list[Object]) -> Mapping[keys.Key, Object]:
        return self._table.read([keys.event(event["id"]) for event in events])

    def _slice(self, since: int, now: int) -> tuple[list[Object], int | None]:
        """The events from second `since` up to the second that is returned (None: up to the present).

        Stripe lists the newest events first. We need the oldest first, and not more than we can work on. So the span of
        time is cut until one page holds all of its events.
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
        """One page. If the span is one second, which cannot be cut, all pages of it."""
        created = {"gte": since} | ({} if until is None else {"lte": until})
        ask = partial(self._stripe.list_events, types, created=created)
        events, more = _patiently(ask)
        while more and until == since:
            page, more = _patiently(partial(ask, starting_after=events[-1]["id"]))
            events += page
        return events, more

    def _take_in(self, event: Object) -> None:
        """An event that was missed goes through the inbox, like a delivery."""
        self._report.miss(event["created"])
        if self._report.dry_run:
            return
        with self._report.trying(event["id"], event["type"], event["created"]):
            received = parse_event(json.dumps(event).encode())
            _patiently(lambda: self._inbox.receive(received))

    def _try_again(self, event: Object) -> None:
        """An event that had no owner. Its owner may be known by now."""
        with self._report.trying(event["id"], event["type"], event["created"]):
            received = parse_event(json.dumps(event).encode())
            if _patiently(lambda: self._inbox.receive(received)).record.status is not RecordStatus.IGNORED:
                self._report.miss(event["created"])

    # -- objects

    def _objects(self, progress: Progress) -> Progress:
        """One page of a list."""
        try:
            page, more = self._page(progress)
        except StripeRejected:
            if not progress.cursor:
                raise
            return replace(progress, cursor="")  # the last object compared is no longer in the list: begin it anew
        for stripe_object in page:
            if sync.is_compared(stripe_object) and (progress.phase, stripe_object.get("status")) != _COMPARED_BEFORE:
                self._compare(stripe_object)
        progress = replace(progress, objects_failed=progress.objects_failed or self._report.objects_failed)
        return replace(progress, cursor=page[-1]["id"]) if more else phases.next_phase(progress)

    def _page(self, progress: Progress) -> Page:
        after = {"starting_after": progress.cursor} if progress.cursor else {}
        created = {"gte": progress.objects_since}
        lists: dict[Phase, Callable[[], Page]] = {
            Phase.CHECKOUTS: lambda: self._stripe.list_checkout_sessions(created=created, **after),
            Phase.SUBSCRIPTIONS: lambda: self._stripe.list_subscriptions(**after),
            Phase.PAYMENTS: lambda: self._stripe.list_payment_intents(created=created, **after),
            Phase.OPEN_INVOICES: lambda: self._stripe.list_invoices(status="open", **after),
            Phase.INVOICES: lambda: self._stripe.list_invoices(created=created, **after),
        }
        return _patiently(lists[progress.phase])

    def _compare(self, stripe_object: Object) -> None:
        dry_run, decider = self._report.dry_run, self._inbox.decider
        with self._report.trying(stripe_object["id"], stripe_object["object"]):
            found = _patiently(lambda: sync.compare_and_repair(decider, stripe_object, dry_run=dry_run))
            self._report.found(stripe_object["id"], found)


# -- Stripe


def _patiently[T](ask: Callable[[], T]) -> T:
    """What `ask` returns. While Stripe refuses or fails, it is asked again after a wait.

    Raises `Stop` when the run has no time for another try, and after the last try what `ask` raises. Whether that
    failed for one object alone, `Report.trying` decides.
    """
    _check_time(_WAITS[1])
    for number in retry.rounds(_WAITS, reserve=sync.NEEDED_SECONDS):
        try:
            return ask()
        except (StripeRateLimited, StripeUnavailable):
            if number == len(_WAITS) - 1:
                raise
    raise Stop(_TIME_IS_OVER)


def _check_time(wait: float = 0) -> None:
    if sync.is_out_of_time(wait):
        raise Stop(_TIME_IS_OVER)


# Open invoices have a phase of their own.
_COMPARED_BEFORE: Final = (Phase.INVOICES, "open")
