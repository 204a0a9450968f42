"""Publishes batches over an AWS that refuses, breaks and kills, as Lambda does: again and again.

The AWS is a server, so the tests see what goes over the network, however the code sends it.
"""

import json
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from billing import bootstrap
from billing.adapters.table import items, keys
from billing.announce import changes, publisher
from billing.domain.entities import Invoice
from billing.domain.statuses import InvoiceStatus
from local.aws.worker import Context, load
from local.template import ROOT
from tests.world import CREDENTIALS, Handler

NOW = "2026-11-23T12:00:00Z"
TOO_LARGE = 20_000  # characters of the details in one call of this EventBridge; the real one takes more
MINUTE = 60.0

type Fault = Literal["", "throttled", "broken", "answer lost", "some refused", "killed"]
type Poison = Literal["", "unreadable", "fat", "refused", "no history", "history throttled"]


@dataclass(frozen=True)
class Change:
    """One write of an invoice. `large`: its announcement fits into a call, but ten of them do not."""

    item: int
    revision: int
    large: bool = False
    poison: Poison = ""


@dataclass
class Aws:
    """DynamoDB and EventBridge. Its calls meet the `faults`, in this order, and go well after that.

    A killed function makes no calls any more: after `killed` nothing is accepted, until the next invocation.
    """

    faults: deque[Fault] = field(default_factory=deque)
    poison: dict[str, Poison] = field(default_factory=dict)  # by the id of the invoice
    remembered: set[tuple[str, str]] = field(default_factory=set)
    announced: list[str] = field(default_factory=list)  # ids, in their order
    calls: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    faulty: bool = False  # this invocation met a fault
    killed: bool = False

    def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        fault = "killed" if self.killed else self.faults.popleft() if self.faults else ""
        self.faulty = self.faulty or bool(fault)
        self.killed = fault == "killed"
        if fault == "killed":
            return 400, {"__type": "AccessDeniedException"}
        if fault == "broken":
            return 500, {"__type": "InternalFailure"}
        if fault == "throttled":
            return 400, {"__type": "ThrottlingException"}
        some = fault == "some refused"
        made = self._write(body["RequestItems"], some) if "RequestItems" in body else self._put(body["Entries"], some)
        return (500, {"__type": "InternalFailure"}) if fault == "answer lost" else made

    def _write(self, asked: dict[str, Any], some: bool) -> tuple[int, dict[str, Any]]:
        self.calls.append("BatchWriteItem")
        [(table, puts)] = asked.items()
        written = [put["PutRequest"]["Item"] for put in puts]
        named = [(one["PK"]["S"], one["SK"]["S"]) for one in written]
        poisons = [self.poison.get(one["entityId"]["S"]) for one in written]
        if len(puts) > 25 or len(set(named)) < len(named):
            self.wrong.append(f"BatchWriteItem of {named}")
        if "no history" in poisons:
            return 400, {"__type": "ValidationException"}
        left = [n for n, one in enumerate(poisons) if one == "history throttled" or (some and n % 2)]
        self.remembered.update(key for n, key in enumerate(named) if n not in left)
        return 200, {"UnprocessedItems": {table: [puts[n] for n in left]} if left else {}}

    def _put(self, entries: list[dict[str, Any]], some: bool) -> tuple[int, dict[str, Any]]:
        self.calls.append("PutEvents")
        if len(entries) > 10:
            self.wrong.append(f"PutEvents of {len(entries)}")
        if sum(len(one["Detail"]) for one in entries) > TOO_LARGE:
            return 400, {"__type": "ValidationException", "message": "Total size of the entries is over the limit."}
        details = [json.loads(one["Detail"]) for one in entries]
        refused = [
            self.poison.get(one["invoiceId"]) == "refused" or (some and not n % 2) for n, one in enumerate(details)
        ]
        self.announced += [one["id"] for one, no in zip(details, refused, strict=True) if not no]
        answers = [{"ErrorCode": "ThrottlingException"} if no else {"EventId": "1"} for no in refused]
        return 200, {"FailedEntryCount": sum(refused), "Entries": answers}


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer leaves in one piece
    aws = Aws()

    def do_POST(self) -> None:
        status, body = Server.aws.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        sent = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name of http.server
        pass


@pytest.fixture(scope="module")
def handler() -> Iterator[Handler]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    names = CREDENTIALS | {"TABLE_NAME": "table", "EVENT_BUS_NAME": "bus", "ANNOUNCEMENT_VERSION": "2"}
    names |= {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}", "TIME_LIMIT_FACTOR": "60"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in names.items():
            patch.setenv(name, value)
        patch.setattr("time.sleep", lambda _: None)
        bootstrap.reset()
        yield load(ROOT / "functions" / "publish_billing_events", "app.handler")
        bootstrap.reset()
    server.shutdown()
    server.server_close()


def images(change: Change) -> tuple[items.Item, items.Item]:
    code = "x" * {"fat": TOO_LARGE, "large": TOO_LARGE // 6}.get(change.poison or ("large" if change.large else ""), 1)
    after = Invoice(
        tenant_id=f"tenant-{change.item}",
        invoice_id=f"in_{change.item}_{change.revision if change.poison else ''}",
        status=InvoiceStatus.OVERDUE,
        currency="usd",
        amount_due=4900,
        attempt_count=change.revision,
        failure_code=code,
        revision=change.revision,
        updated_at=NOW,
    )
    before = replace(after, attempt_count=change.revision - 1, revision=change.revision - 1)
    key = keys.of(after.identity)._asdict()
    older = {} if change.revision == 1 else items.attributes(before) | key
    return older, items.attributes(after) | key


def record(number: int, change: Change) -> dict[str, Any]:
    older, newer = images(change)
    if change.poison == "unreadable":
        newer = {name: newer[name] for name in ("PK", "SK", "revision")}
    written = {"Keys": {name: {"S": newer[name]} for name in ("PK", "SK")}, "SequenceNumber": f"{number:05}"}
    written |= {name: items.dump(one) for name, one in (("OldImage", older), ("NewImage", newer)) if one}
    return {"eventID": f"event-{number}", "eventName": "MODIFY", "eventSource": "aws:dynamodb", "dynamodb": written}


@cache
def owed(change: Change) -> tuple[set[str], set[tuple[str, str]]]:
    """The ids of the announcements, and the key of the item of the history."""
    remembered = changes.change(*images(change))
    assert remembered
    return {one.id for one in publisher.announcements_of(*images(change))}, {(remembered["PK"], remembered["SK"])}


def is_done(aws: Aws, change: Change) -> bool:
    ids, key = owed(change)
    return ids <= set(aws.announced) and key <= aws.remembered


def invoke(handler: Handler, records: Sequence[dict[str, Any]], seconds: float = MINUTE) -> list[int]:
    """Returns the numbers of the records that the function reports as failed."""
    answer = handler({"Records": [*records]}, Context("request-1", "publish", 512, time.time() + seconds))
    return [int(one["itemIdentifier"]) for one in answer["batchItemFailures"]]


def begin(changes: Sequence[Change] = (), *faults: Fault) -> Aws:
    poison: dict[str, Poison] = {images(one)[1]["invoiceId"]: one.poison for one in changes if one.poison}
    Server.aws = Aws(deque(faults), poison)
    return Server.aws


# -- any faults

POISONS: list[Poison] = ["unreadable", "fat", "refused", "no history", "history throttled"]
FAULTS: list[Fault] = ["", "", "throttled", "broken", "answer lost", "some refused", "killed"]


@st.composite
def streams(draw: st.DrawFn) -> list[Change]:
    """Writes in the order of the stream. It may repeat one."""
    revisions: dict[int, int] = {}
    found: list[Change] = []
    for _ in range(draw(st.integers(1, 30))):
        item = draw(st.integers(0, 12))
        if found and draw(st.integers(0, 9)) == 9:
            found.append(draw(st.sampled_from(found)))
            continue
        revisions[item] = revisions.get(item, 0) + 1
        poison = draw(st.sampled_from(["", "", "", "", "", *POISONS]))
        found.append(Change(item, revisions[item], draw(st.booleans()), poison))
    return found


@settings(max_examples=20)
@given(streams(), st.lists(st.sampled_from(FAULTS), max_size=15))
@example([Change(1, 1), Change(1, 2)], ["", "some refused"])
@example([Change(n, 1) for n in range(30)], ["", "killed"])
def test_every_change_is_announced_and_nothing_counts_before_it_is(
    handler: Handler, stream: list[Change], faults: list[Fault]
) -> None:
    """Lambda sends a batch again from the first failure on, and halves a batch whose function was killed.

    https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
    """
    aws = begin(stream, *faults)
    records = [record(number, change) for number, change in enumerate(stream)]
    batches = [(0, len(stream))]
    while batches:
        first, last = batches.pop(0)
        aws.faulty, aws.killed, sent = False, False, len(aws.announced)
        failed = invoke(handler, records[first:last])
        if aws.killed:  # Lambda got no answer
            middle = (first + last + 1) // 2
            batches = [(first, middle), *([(middle, last)] if middle < last else []), *batches]
            continue
        assert failed == sorted(failed)
        for number in range(first, last):
            assert number in failed or is_done(aws, stream[number]), f"{number} is not done, and counts as done"
        in_order(aws.announced[sent:], [stream[number] for number in range(first, last) if number not in failed])
        if aws.faulty and failed:
            batches.insert(0, (failed[0], last))
        elif failed:
            assert [stream[number] for number in failed] == [one for one in stream[first:last] if one.poison]
    assert [one for one in stream if not one.poison and not is_done(aws, one)] == [], "poison stopped others"
    assert aws.wrong == []


def in_order(announced: list[str], done: list[Change]) -> None:
    """The announcements of each item are in the order of its writes."""
    for one in done:
        for later in done[done.index(one) + 1 :]:
            if later.item == one.item and done.index(later) > done.index(one) and not (one.poison or later.poison):
                assert max(map(announced.index, owed(one)[0])) < min(map(announced.index, owed(later)[0])), (one, later)


# -- single cases


def test_a_hundred_announced_records_take_few_calls(handler: Handler) -> None:
    aws = begin()
    stream = [Change(number, revision=2) for number in range(100)]
    assert invoke(handler, [record(*one) for one in enumerate(stream)]) == []
    assert all(is_done(aws, one) for one in stream)
    assert len(aws.announced) == 100
    assert len(aws.calls) <= 20


def test_an_announcement_that_is_refused_for_good_does_not_repeat_the_others(handler: Handler) -> None:
    stream = [Change(number, revision=2, poison="refused" if number == 5 else "") for number in range(10)]
    aws = begin(stream)
    assert invoke(handler, [record(*one) for one in enumerate(stream)]) == [5]
    assert len(aws.announced) == len(set(aws.announced)) == 9


def test_what_has_no_history_is_not_announced(handler: Handler) -> None:
    stream = [Change(1, 2, poison="no history"), Change(2, 2)]
    aws = begin(stream)
    assert invoke(handler, [record(*one) for one in enumerate(stream)]) == [0]
    assert set(aws.announced) == owed(stream[1])[0]


def test_a_slow_aws_does_not_keep_the_first_records_back(
    handler: Handler, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Four calls take the time here. The other records come again, and nobody is alarmed."""
    aws = begin()
    stream = [Change(number, revision=2) for number in range(100)]
    real = time.monotonic
    monkeypatch.setattr("billing.deadline.time.monotonic", lambda: real() + MINUTE / 4 * len(aws.calls))
    assert invoke(handler, [record(*one) for one in enumerate(stream)]) == list(range(25, 100))
    assert all(is_done(aws, one) for one in stream[:25])
    assert "StreamRecordFailed" not in capsys.readouterr().out


def test_a_failure_is_logged_and_counted(
    handler: Handler, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = [Change(1, 2), Change(2, 2, poison="refused"), Change(3, 2, poison="unreadable")]
    aws = begin(stream)
    assert invoke(handler, [record(*one) for one in enumerate(stream)]) == [1, 2]
    written = [vars(line) for line in caplog.records]
    failed = [one for one in written if one["message"] == "a record of the stream failed"]
    assert [(one["levelname"], one["stream_event_id"]) for one in failed] == [
        ("ERROR", "event-1"),
        ("ERROR", "event-2"),
    ]
    assert all(one["exc_info"][2] for one in failed if one["stream_event_id"] == "event-2"), "the trace is there"
    [announced] = [one for one in written if one["message"] == "announced"]
    assert (announced["announcement"], announced["announcement_id"]) == (
        "invoice.payment_attempt_failed",
        aws.announced[0],
    )
    [counted] = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert (counted["Announced"], counted["StreamRecordFailed"]) == ([1.0], [1.0, 1.0])
