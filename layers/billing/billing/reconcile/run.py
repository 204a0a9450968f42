"""Compares the table with Stripe and repairs it: first events that never came, then subscriptions, payments, invoices.

Stripe keeps events for 30 days. If the last complete run is older than that, events no longer say everything. Then all
PaymentIntents and invoices are compared, and otherwise only those of the last 35 days (more if some of them failed in
the last run). Subscriptions and open invoices are always all compared.

Most objects do not differ. So a page of them is compared at a glance, by a few reads of the table (`sync.glance`). What
may differ is read again and compared with care, one by one. Several pages are read at once: the list is cut into spans
of time, which are walked side by side.

Nothing is locked, and everything may happen twice: events go through the webhook's inbox, and objects are written only
if the table still has the revisions that were read. A run stops before the function's time is over, when Stripe does
not answer, and when another run has gone on from the same progress. The next run continues where it stopped
(`domain/progress.py`). If it was the time, and the run has got further, it starts that next run itself.
"""

import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace
from functools import partial
from itertools import batched, groupby
from operator import itemgetter
from typing import Any, Final

from billing.adapters.stripe_api import Page, StripeApi
from billing.adapters.table import keys
from billing.adapters.table.store import Table
from billing.domain.progress import Phase, Progress, Span
from billing.domain.records import RecordStatus
from billing.errors import (
    AwsUnavailable,
    RevisionConflict,
    StripeRateLimited,
    StripeRejected,
    StripeUnavailable,
)
from billing.inbox.inbox import Inbox
from billing.reconcile import phases
from billing.reconcile.readers import READERS, TIME_IS_OVER, Readers, check_time, patiently
from billing.reconcile.report import Report, Stop
from billing.replica import sync
from billing.replica.decide import NO_OWNER
from billing.replica.effects import EFFECTS
from billing.replica.stripe_event import parse_event
from billing.replica.sync import Found

type Object = dict[str, Any]
type Start = Callable[[Mapping[str, Any]], None]

MAX_TYPES: Final = 20  # what one list of events takes
MAX_EVENTS: Final = 1000  # of each of these lists, that are held at once
SPAN_PAGES: Final = 16  # of a list, that one reader reads in turn, if they are alike
SAVE_SECONDS: Final = 1.0  # the time of which the work may be lost when a run is killed
# Runs that each started the next one. Lambda itself ends such a chain after 16 invocations, because it may be an
# accident: https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html. The schedule begins a new one.
MAX_CHAIN: Final = 12
_TYPES: Final = tuple(batched(sorted(EFFECTS), MAX_TYPES, strict=False))
_WITHOUT_OWNER: Final = (NO_OWNER.status, NO_OWNER.reason)
_NOT_APPLIED: Final = frozenset({RecordStatus.RECEIVED, RecordStatus.FAILED})
_PASSING: Final = (Stop, StripeRateLimited, StripeUnavailable)  # what ends a run for now


@dataclass(frozen=True)
class Reconciliation:
    """`start` starts this function once more, with an event, and does not wait for its end."""

    table: Table
    stripe: StripeApi
    inbox: Inbox
    start: Start

    def run(self, *, dry_run: bool = False, continued: int = 0) -> Object:
        """Continues the run that was cut off, or begins one. Returns and logs the report: see `Report.shown`.

        `continued`: how many runs did a part of the work before, each of which started the next.
        A dry run begins anew, writes nothing, stores no progress and starts no other run. If one event or object fails,
        the report says so and the run continues. Raises what fails when the table reads event records, or reads or
        writes progress, and `StripeRejected` if Stripe rejects a list.
        """
        report = Report(dry_run, continued)
        readers = Readers()
        walk = _Walk(self, report, readers)
        try:
            with readers:
                walk.go()
            report.complete = True
        except _PASSING as stopped:
            report.stopped = str(stopped)
            if report.stopped == TIME_IS_OVER and walk.got_further and continued + 1 < MAX_CHAIN and not dry_run:
                report.goes_on = self._go_on(continued + 1)
        finally:
            report.tell()
        return report.shown()

    def _go_on(self, continued: int) -> bool:
        """If it does not succeed, the next hour's run goes on."""
        try:
            self.start({"continued": continued})
        except AwsUnavailable:
            return False
        return True


@dataclass(frozen=True)
class _Looked:
    """A page of a list. `doubtful`: the objects that may differ. The others are `quiet`. `rest`: what follows.

    `seconds`: from the creation of the oldest object of the page to that of the newest.
    """

    quiet: list[Found]
    doubtful: list[Object]
    rest: Span | None
    seconds: int


class _Walk:
    """One run, from where the stored progress says. `got_further`: beyond what an earlier run had done."""

    def __init__(self, reconciliation: Reconciliation, report: Report, readers: Readers) -> None:
        inbox = reconciliation.inbox
        self._table = reconciliation.table
        self._stripe = reconciliation.stripe
        self._decider = replace(inbox.decider, fetch=readers.paced(inbox.decider.fetch))
        self._inbox = replace(inbox, decider=self._decider)
        self._report = report
        self._readers = readers
        self._reading: dict[Span, Future[_Looked]] = {}
        self._stopped: Exception | None = None  # ends the run once what was done before is saved
        # The span in seconds to try next: twice the last one whose events could be held.
        self._span: int | None = None
        self.got_further = False

    def go(self) -> None:
        stored = self._table.get(Progress, keys.progress()) or Progress()
        continues = stored.phase is not Phase.DONE and not self._report.dry_run
        progress = phases.resumed(stored) if continues else phases.begun(stored)
        check_time()
        saved_at = time.monotonic()
        while progress.phase is not Phase.DONE:
            after = self._events(progress) if progress.phase is Phase.EVENTS else self._objects(progress)
            next_phase = after.phase is not progress.phase
            progress = after
            if progress.phase is not Phase.DONE and sync.is_out_of_time():
                self._stopped = self._stopped or Stop(TIME_IS_OVER)
            if next_phase or self._stopped or time.monotonic() - saved_at >= SAVE_SECONDS:
                progress, saved_at = self._saved(progress), time.monotonic()
            if self._stopped:
                raise self._stopped

    def _saved(self, progress: Progress) -> Progress:
        progress = phases.finished(progress) if progress.phase is Phase.DONE else progress
        if self._report.dry_run:
            return progress
        try:
            self._table.write([progress])
        except RevisionConflict as error:
            raise Stop("Another run goes on in its place.") from error
        return replace(progress, revision=progress.revision + 1)

    # -- events

    def _events(self, progress: Progress) -> Progress:
        """One slice of time: as many events as can be held, the oldest first."""
        since = int(progress.cursor)
        events, until = self._slice(since, progress.began_at)
        records = {key.PK: item for key, item in self._records(events).items()}
        next_second = None if until is None else until + 1
        for event in sorted(events, key=itemgetter("created")):
            try:
                self._look_at_event(event, records.get(keys.event(event["id"]).PK))
            except _PASSING as error:
                self._stopped, next_second = error, event["created"]
                break
        # A resumed run that has read the newest events is not further with the objects.
        if progress.resume_phase is Phase.DONE and next_second != since:
            self.got_further = True
        held = min(filter(None, [progress.held_at, self._report.oldest_failed]), default=None)
        progress = replace(progress, held_at=held)
        return phases.next_phase(progress) if next_second is None else replace(progress, cursor=str(next_second))

    def _look_at_event(self, event: Object, record: Object | None) -> None:
        self._report.seen += 1
        if record is None or record["status"] in _NOT_APPLIED:
            self._take_in(event)
        elif (record["status"], record.get("reason")) == _WITHOUT_OWNER and not self._report.dry_run:
            self._try_again(event)

    def _records(self, events: list[Object]) -> Mapping[keys.Key, Object]:
        return self._table.read([keys.event(event["id"]) for event in events])

    def _slice(self, since: int, now: int) -> tuple[list[Object], int | None]:
        """The events from second `since` up to the second that is returned (None: up to the present).

        Stripe lists the newest events first. We need the oldest first, and not more than we can hold. If there are
        more, the span of time is cut to what the newest of them took, or to its half.
        """
        until = since + self._span if self._span and since + self._span < now else None
        while True:
            reading = [self._readers.submit(self._list_events, types, since, until) for types in _TYPES]
            lists = [future.result() for future in reading]
            too_many = [events for events, more in lists if more]
            if not too_many:
                break
            newest = max(events[0]["created"] for events in too_many)
            took = min(events[0]["created"] - events[-1]["created"] for events in too_many)
            until = since + min(took, (newest - since) // 2)
        self._span = (until - since + 1) * 2 if until is not None else None
        return [event for events, _ in lists for event in reversed(events)], until

    def _list_events(self, types: tuple[str, ...], since: int, until: int | None) -> Page:
        """The newest events of the span, and whether there are more. Of one second, which cannot be cut, all events."""
        created = {"gte": since} | ({} if until is None else {"lte": until})
        events: list[Object] = []
        more = True
        while more and (len(events) < MAX_EVENTS or until == since):
            after = {"starting_after": events[-1]["id"]} if events else {}
            page, more = self._readers.ask(self._stripe.list_events, types, created=created, **after)
            events += page
        return events, more

    def _take_in(self, event: Object) -> None:
        """An event that was missed goes through the inbox, like a delivery."""
        self._report.miss(event["created"])
        if self._report.dry_run:
            return
        with self._report.trying(event["id"], event["type"], event["created"]):
            received = parse_event(json.dumps(event).encode())
            patiently(lambda: self._inbox.receive(received))

    def _try_again(self, event: Object) -> None:
        """An event that had no owner. Its owner may be known by now."""
        with self._report.trying(event["id"], event["type"], event["created"]):
            received = parse_event(json.dumps(event).encode())
            if patiently(lambda: self._inbox.receive(received)).record.status is not RecordStatus.IGNORED:
                self._report.miss(event["created"])

    # -- objects

    def _objects(self, progress: Progress) -> Progress:
        """The next pages of the list, of those spans whose pages come first."""
        left = [*progress.spans] or [phases.whole(progress)]
        for span in left[:READERS]:
            if span not in self._reading:
                self._reading[span] = self._readers.submit(self._look, progress.phase, span)
        done, _ = wait(self._reading.values(), return_when=FIRST_COMPLETED)
        for span in [span for span, future in self._reading.items() if future in done]:
            at = left.index(span)
            try:
                left[at : at + 1] = self._work_on(self._reading.pop(span), room=READERS - len(left))
            except StripeRejected:
                if not span.cursor:
                    raise
                left[at] = replace(span, cursor="")  # the last object compared is no longer in the list: begin it anew
            except _PASSING as error:
                self._stopped = self._stopped or error
        progress = replace(progress, objects_failed=progress.objects_failed or self._report.objects_failed)
        return replace(progress, spans=tuple(left)) if left else phases.next_phase(progress)

    def _look(self, phase: Phase, span: Span) -> _Looked:
        """Reads a page of Stripe's list and, of the table, what it is compared with."""
        page, more = self._page(phase, span)
        listed = [one for one in page if sync.is_compared(one) and (phase, one.get("status")) != _COMPARED_BEFORE]
        quiet = sync.glance(self._table, listed)
        rest = replace(span, until=page[-1]["created"], cursor=page[-1]["id"]) if more else None
        seconds = page[0]["created"] - page[-1]["created"] if page else 0
        return _Looked([*quiet.values()], [one for one in listed if one["id"] not in quiet], rest, seconds)

    def _page(self, phase: Phase, span: Span) -> Page:
        bounds = {"gte": span.since, "lte": span.until}
        created = {name: bound for name, bound in bounds.items() if bound}
        filters: Any = ({"created": created} if created else {}) | (
            {"starting_after": span.cursor} if span.cursor else {}
        )
        lists: dict[Phase, Callable[..., Page]] = {
            Phase.CHECKOUTS: self._stripe.list_checkout_sessions,
            Phase.SUBSCRIPTIONS: self._stripe.list_subscriptions,
            Phase.PAYMENTS: self._stripe.list_payment_intents,
            Phase.OPEN_INVOICES: partial(self._stripe.list_invoices, status="open"),
            Phase.INVOICES: self._stripe.list_invoices,
        }
        return self._readers.ask(lists[phase], **filters)

    def _work_on(self, reading: Future[_Looked], room: int) -> tuple[Span, ...]:
        """What is left of the span. If that is much, and there is `room`, the next pages become a span of their own."""
        looked = reading.result()
        self._report.quiet(looked.quiet)
        self._compare(looked.doubtful)
        self.got_further = True
        if looked.rest is None:
            return ()
        return looked.rest.cut(looked.seconds * SPAN_PAGES) if room > 0 else (looked.rest,)

    def _compare(self, doubtful: list[Object]) -> None:
        """Those of one customer in turn, because they change the same tenant."""
        groups = groupby(sorted(doubtful, key=_customer), _customer)
        comparing = [self._readers.submit(self._compare_in_turn, [*group]) for _, group in groups]
        stopped: Exception | None = None
        for stripe_object, outcome in (pair for future in comparing for pair in future.result()):
            try:
                with self._report.trying(stripe_object["id"], stripe_object["object"]):
                    if isinstance(outcome, Exception):
                        raise outcome
                    self._report.found(stripe_object["id"], outcome)
            except _PASSING as error:
                stopped = stopped or error
        if stopped:
            raise stopped

    def _compare_in_turn(self, objects: list[Object]) -> list[tuple[Object, Found | Exception]]:
        found: list[tuple[Object, Found | Exception]] = []
        for one in objects:
            try:
                outcome = patiently(partial(sync.compare_and_repair, self._decider, one, dry_run=self._report.dry_run))
                found.append((one, outcome))
            except Exception as error:  # noqa: BLE001 - the report says what failed
                found.append((one, error))
                if isinstance(error, Stop | StripeRateLimited):
                    break
        return found


def _customer(stripe_object: Object) -> str:
    return str(stripe_object.get("customer") or stripe_object["id"])


# Open invoices have a phase of their own.
_COMPARED_BEFORE: Final = (Phase.INVOICES, "open")
