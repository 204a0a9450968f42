"""The lines that `make up` prints."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console
from rich.text import Text
from werkzeug.test import Client, EnvironBuilder
from werkzeug.wrappers import Request, Response

from local.aws.gateway import Api, Exchange, Gateway
from local.commands import traffic
from local.stack import WEBHOOK_PATH, Stack
from local.template import Cors

LONGEST = "checkout.session.async_payment_succeeded"
EVENT = "evt_ZZeKx7GqgBxzvrGZCJ7vyLwW"


def exchange(path: str, answer: str = "{}", body: str = "", who: str = "550e8400") -> Exchange:
    builder = EnvironBuilder(path=path, method="POST", data=body, headers=[("Authorization", "Bearer secret-token")])
    environ = builder.get_environ()
    environ["REMOTE_USER"] = who
    response = Response(answer, 200, {"Apigw-Requestid": "za9m9IyWFu5rJ9g="})
    return Exchange(Request(environ), response, 0.0451)


def entry(status: int | None, answer: str, attempt: int = 0, kind: str = "invoice.paid") -> dict[str, Any]:
    return {"event": EVENT, "type": kind, "attempt": attempt, "status": status, "answer": answer, "at": 0.0}


def test_a_request() -> None:
    line = traffic.of_request(exchange("/api/v1/billing/stripe/checkout?secret=1")).plain
    assert line.split() == ["POST", "/stripe/checkout", "200", "45", "ms", "za9m9IyWFu5rJ9g=", "550e8400"]


@pytest.mark.parametrize(
    ("status", "answer", "attempt", "result"),
    [
        (200, '{"received": true, "status": "PROCESSED", "duplicate": false}', 0, "PROCESSED"),
        (200, '{"received": true, "status": "STALE", "duplicate": false}', 1, "STALE, try 2"),
        (200, '{"received": true, "status": "PROCESSED", "duplicate": true}', 0, "duplicate"),
        (400, '{"type": "urn:billing:problem:invalid-signature", "status": 400}', 0, "invalid-signature"),
        (502, "<html>Bad gateway</html>", 0, ""),
        (500, "[1]", 0, ""),
        (0, "connection refused by http://secret", 2, "no answer, try 3"),
        (None, "lost on the way", 0, "lost on the way"),
    ],
)
def test_a_delivery(status: int | None, answer: str, attempt: int, result: str) -> None:
    line = traffic.of_delivery(entry(status, answer, attempt)).plain
    assert line.split() == ["webhook", "invoice.paid", str(status or "-"), EVENT, *result.split()]


def test_a_delivery_of_real_stripe() -> None:
    body = f'{{"id": "{EVENT}", "type": "invoice.paid"}}'
    line = traffic.of_request(exchange(WEBHOOK_PATH, '{"status": "PROCESSED"}', body, who="")).plain
    assert line.split() == ["webhook", "invoice.paid", "200", EVENT, "PROCESSED"]
    assert "webhook" in traffic.of_request(exchange(WEBHOOK_PATH, body="[" * 100_000)).plain


def test_others_watch_too(tmp_path: Path) -> None:
    gateway = Gateway(Api([], {}, Cors((), (), (), 0)), tmp_path, lambda _: Response())
    seen: list[Exchange] = []
    gateway.watchers.append(seen.append)
    file = io.StringIO()
    traffic.follow(cast("Stack", SimpleNamespace(gateway=gateway, stripe=None)), Console(file=file))
    Client(gateway).get("/api/v1/billing/nothing")
    assert file.getvalue().split()[:3] == ["GET", "/nothing", "404"]
    assert len(seen) == 1


def test_the_columns_stand_below_each_other() -> None:
    lines = [
        traffic.of_request(exchange("/api/v1/billing/stripe/checkout")),
        traffic.of_delivery(entry(200, "{}", kind=LONGEST)),
    ]
    assert len({line.plain.index("200") for line in lines}) == 1


def test_the_longest_lines_fit_into_100_columns() -> None:
    for line in (
        traffic.of_delivery(entry(200, '{"status": "PROCESSED"}', 3, LONGEST)),
        traffic.of_request(exchange("/api/v1/billing/invoices/" + "i" * 64 + "/payment-intent")),
    ):
        assert len(line.plain) <= 100


def test_a_path_cannot_control_the_terminal() -> None:
    line = traffic.of_request(exchange("/api/%1b%5b31m%0a%0dx", who="a\x1bb")).plain
    assert all(character.isprintable() for character in line)


def printed(line: Text, *, terminal: bool) -> str:
    file = io.StringIO()
    Console(file=file, force_terminal=terminal, color_system="standard" if terminal else "auto").print(line)
    return file.getvalue()


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    line = traffic.of_delivery(entry(200, "{}"))
    assert "\x1b[32m" in printed(line, terminal=True)
    assert "\x1b" not in printed(line, terminal=False)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in printed(line, terminal=True)
