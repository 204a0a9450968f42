"""What the console keeps, shows and hides of the requests to the API and of the functions' logs."""

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any, cast

import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request, Response

from local.aws.exchanges import KEPT, Exchanges
from local.aws.gateway import Exchange
from local.aws.logs import Span
from local.aws.runtime import Ended
from local.console import requests
from local.console.view import Filter
from local.desk import Desk
from local.masks import masked

SECRET = "S3cret0123456789"
TOKEN = f"eyJhbGciOiJSUzI1NiJ9.eyJ0ZW5hbnQiOiJ4In0.{SECRET}"


def exchange(
    path: str,
    body: str = "",
    status: int = 200,
    who: str = "",
    function: str = "F",
    headers: Iterable[tuple[str, str]] = (),
) -> Exchange:
    environ = EnvironBuilder(path=path, method="POST", data=body, headers=headers).get_environ()
    ended = Ended(0, function=function, request_id="of the function") if function else None
    environ |= {"REMOTE_USER": who, "local.ended": ended}
    return Exchange(Request(environ), Response("{}", status, {"Apigw-Requestid": "r="}), 0.1)


def desk(exchanges: Exchanges) -> Desk:
    return cast("Desk", SimpleNamespace(exchanges=exchanges, stripe=None))


@pytest.mark.parametrize(
    "text",
    [
        f"pi_3Abc_secret_{SECRET}",
        f"seti_1Abc_secret_{SECRET}",
        f"cs_test_a1_secret_{SECRET}",
        f"whsec_{SECRET}",
        f"sk_test_{SECRET}",
        f"rk_live_{SECRET}",
        f"t=1,v1={SECRET},v0={SECRET}",
        TOKEN,
        f"Authorization: Bearer {SECRET}",
        f'{{"clientSecret": "{SECRET}"}}',
        json.dumps(json.dumps({"client_secret": SECRET})),
        f"a=b&access_token={SECRET}&c=d",
    ],
)
def test_a_secret_is_hidden_wherever_it_stands(text: str) -> None:
    assert SECRET not in masked(text)
    assert SECRET not in masked(f"before {text} after")


def test_what_is_no_secret_stays() -> None:
    text = (
        '{"tenantId": "550e8400", "client_secret": null, "id": "pi_1", "type": "urn:billing:problem:invalid-signature"}'
    )
    assert masked(text) == text


@pytest.mark.parametrize("piece", ["pi_", "eyJ", "cs_a_secret", "Bearer ", "clientSecret", "eyJ-", "v1="])
def test_no_text_makes_it_slow(piece: str) -> None:
    began = time.process_time()
    masked(piece * (32 * 1024 // len(piece)))
    assert time.process_time() - began < 0.3


def test_the_lines_of_one_invocation_are_found_in_a_large_log(tmp_path: Path) -> None:
    log = tmp_path / "F.log"
    ours, others = (json.dumps({"request_id": name, "message": "x"}).encode() + b"\n" for name in ("ours", "others"))
    before = b'{"request_id": "ours", "message": "of an earlier time"}\n' * 100_000
    noise = b'ours, but no JSON\n["ours"]\n{"request_id": "others", "message": "ours"}\n'
    log.write_bytes(before + others + ours + noise + ours + others + before)
    span = Span(log, len(before), log.stat().st_size - len(before))
    assert span.lines("ours") == [{"request_id": "ours", "message": "x"}] * 2
    large = Span(log, 0, log.stat().st_size)
    assert len(large.lines("ours")) < 20_000, "the whole log was read"
    log.write_bytes(b"")
    assert span.lines("ours") == []
    log.unlink()
    assert span.lines("ours") == []


def test_many_webhooks_push_no_request_out_and_the_oldest_goes_first() -> None:
    exchanges = Exchanges()
    exchanges.exchanged(exchange("/api/first"))
    for number in range(KEPT + 5):
        exchanges.exchanged(exchange("/api/hook", f'{{"id": "evt_{number}"}}', function="StripeWebhookFunction"))
    kept = exchanges.newest_first()
    assert len(kept) == KEPT + 1
    assert kept[-1].path == "/api/first"
    assert not exchanges.of_event("evt_0")
    assert len(exchanges.of_event(f"evt_{KEPT}")) == 1
    exchanges.clear()
    assert exchanges.newest_first() == []
    assert exchanges.find(str(kept[0].number)) is None


def test_threads_may_use_it_at_the_same_time() -> None:
    exchanges = Exchanges()
    failed: list[BaseException] = []

    def work(does: Callable[[], object]) -> None:
        try:
            for _ in range(2000):
                does()
        except RuntimeError as error:
            failed.append(error)

    one = exchange("/api/x")
    threads = [
        Thread(target=work, args=(does,)) for does in (lambda: exchanges.exchanged(one), exchanges.newest_first) * 2
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len({one.number for one in exchanges.newest_first()}) == KEPT


def test_no_header_is_kept_and_the_body_of_a_refused_caller_is_not_read() -> None:
    exchanges = Exchanges()
    secret = [("Authorization", f"Bearer {SECRET}"), ("Stripe-Signature", f"t=1,v1={SECRET}"), ("X-Other", SECRET)]
    exchanges.exchanged(exchange(f"/api/{TOKEN}?q=whsec_{SECRET}", f'{{"clientSecret": "{SECRET}"}}', headers=secret))
    exchanges.invoked({"key": f"sk_test_{SECRET}"}, Ended(0, {"client_secret": SECRET}))
    assert SECRET not in repr(exchanges.newest_first())
    refused = exchange("/api/x", "this body never comes", function="")
    exchanges.exchanged(refused)
    assert exchanges.newest_first()[0].body == ""


def test_a_long_body_is_cut() -> None:
    exchanges = Exchanges()
    exchanges.exchanged(exchange("/api/x", "x" * 100_000))
    assert len(exchanges.newest_first()[0].body) < 20_000


def test_what_is_shown() -> None:
    exchanges = Exchanges()

    def names(tenant: str = "", records: tuple[str, ...] = ()) -> list[str]:
        return [requests.name(one) for one in requests.newest(desk(exchanges), records, Filter(tenant)).rows]

    exchanges.exchanged(exchange("/api/v1/billing/mine", who="acme"))
    exchanges.exchanged(exchange("/api/v1/billing/theirs", who="other"))
    exchanges.exchanged(exchange("/api/v1/billing/operators", '{"tenantId": "acme"}', who="operator"))
    exchanges.exchanged(exchange("/api/v1/billing/hook", '{"id": "evt_1"}', function="StripeWebhookFunction"))
    exchanges.invoked({"Records": ["TENANT#acme"]}, Ended(0, function="PublishBillingEventsFunction"))
    assert names() == ["PublishBillingEvents", "POST /hook", "POST /operators", "POST /theirs", "POST /mine"]
    assert names(records=("evt_1",)) == ["PublishBillingEvents", "POST /operators", "POST /theirs", "POST /mine"]
    assert names("acme") == ["PublishBillingEvents", "POST /operators", "POST /mine"]
    for _ in range(50):
        exchanges.invoked({}, Ended(0, function="SweepDueItemsFunction"))
        exchanges.exchanged(exchange("/api/v1/billing/more"))
    assert len(names()) == requests.REQUESTS + requests.INVOCATIONS
    assert names("acme") == ["PublishBillingEvents", "POST /operators", "POST /mine"]
    shown = requests.newest(desk(exchanges), (), Filter("acme"))
    assert (shown.found, shown.total) == (2, 54)


@pytest.mark.parametrize(
    ("status", "error", "tone"),
    [(200, "", "good"), (404, "", "warn"), (503, "", "bad"), (0, "crashed", "bad"), (0, "", "good")],
)
def test_the_colour_says_whose_matter_it_is(status: int, error: str, tone: str) -> None:
    exchanges = Exchanges()
    made: Any = exchange("/api/x", status=status) if status else None
    if made:
        exchanges.exchanged(made)
    else:
        exchanges.invoked({}, Ended(0, error=error))
    assert requests.tone(exchanges.newest_first()[0]) == tone


def test_a_log_is_for_people(tmp_path: Path) -> None:
    log = tmp_path / "F.log"
    line = {
        "level": "INFO",
        "location": "_refused:167",
        "message": "refused",
        "timestamp": "2026-11-26 17:53:43,742+0000",
        "service": "billing-local",
        "request_id": "r=",
        "status": 404,
        "detail": f"Bearer {SECRET}",
    }
    log.write_text(json.dumps(line))
    exchanges = Exchanges()
    exchanges.invoked({}, Ended(0, request_id="r=", log=Span(log, 0, log.stat().st_size)))
    assert requests.log(exchanges.newest_first()) == "17:53:43.742 INFO refused status=404 detail=Bearer •••"


def test_what_a_process_wrote_before_it_died_is_shown_and_masked(tmp_path: Path) -> None:
    log, exchanges = tmp_path / "F.log", Exchanges()
    log.write_text(f'{{"level": "INFO", "request_id": "r="}}\nTraceback: no module\nkey=whsec_{SECRET}\n')
    span = Span(log, 0, log.stat().st_size)
    exchanges.invoked({}, Ended(0, error="crashed", request_id="r=", log=span))
    exchanges.invoked({}, Ended(0, request_id="r=", log=span))
    well, died = exchanges.newest_first()
    assert requests.stderr([died]) == "Traceback: no module\nkey=whsec_•••"
    assert requests.stderr([well]) == ""


def test_what_may_have_written_in_a_second() -> None:
    exchanges = Exchanges()
    second = int(time.time()) - 10

    def ran(function: str, ended: float) -> None:
        exchanges.invoked({}, Ended(ended, seconds=0.5, function=function))

    ran("ReconcileStripeFunction", second + 1.2)  # it began in the second
    ran("SweepDueItemsFunction", second + 2)  # it began afterwards
    ran("PublishBillingEventsFunction", second + 0.5)  # it writes nothing
    exchanges.exchanged(exchange("/api/v1/billing/now", who="acme"))
    exchanges.exchanged(exchange("/api/v1/billing/others", who="other"))
    exchanges.exchanged(exchange("/api/v1/billing/refused", who="acme", status=404))
    exchanges.exchanged(
        exchange("/api/v1/billing/hook", '{"id": "evt_1", "for": "acme"}', function="StripeWebhookFunction")
    )

    def names(at: float) -> list[str]:
        return [requests.name(one) for one in requests.at_work(desk(exchanges), at, "acme")]

    assert names(second) == ["ReconcileStripe"]
    [now] = [one for one in exchanges.newest_first() if one.path.endswith("/now")]
    assert names(int(now.at)) == ["POST /now"]
