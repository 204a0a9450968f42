"""A line for each request to the API and for each delivery of a webhook, while `make up` runs.

A line has no query string, header or body, so it has no token and no secret.
"""

from collections.abc import Mapping
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from local.aws.gateway import Exchange
from local.reading import json_object
from local.stack import WEBHOOK_PATH, Stack
from local.stripe.webhooks import USER_AGENT

_API: Final = "/api/v1/billing"
_NAME: Final = 40  # columns of a path or an event's type: the longest type that is handled has 40 characters


def follow(stack: Stack, console: Console) -> None:
    """Prints the lines of this stack from now on, while it runs."""

    def request(exchange: Exchange) -> None:
        delivered = exchange.request.path == WEBHOOK_PATH and exchange.request.user_agent.string == USER_AGENT
        if not (stack.stripe and delivered):  # the stand-in tells of its own deliveries, also of those that fail
            console.print(of_request(exchange))

    stack.gateway.watchers.append(request)
    if stack.stripe:
        stack.stripe.webhooks.watch = lambda entry: console.print(of_delivery(entry))


def of_request(exchange: Exchange) -> Text:
    """Method, path, status, milliseconds, request id, tenant. A delivery of real Stripe looks like the stand-in's."""
    request, response = exchange.request, exchange.response
    if request.path == WEBHOOK_PATH:
        event = json_object(request.get_data(as_text=True))
        answer = {"status": response.status_code, "answer": response.get_data(as_text=True), "attempt": 0}
        return of_delivery({"event": str(event.get("id", "")), "type": str(event.get("type", "?")), **answer})
    request_id, who = response.headers.get("Apigw-Requestid", ""), request.remote_user or ""
    last = f"{exchange.seconds * 1000:5.0f} ms  {request_id:16}  {who}"
    return _line(request.method, request.path.removeprefix(_API), response.status_code, last)


def of_delivery(entry: Mapping[str, Any]) -> Text:
    """Type, status, event id and result of an entry of the log of `local/stripe/webhooks.py`."""
    results = {None: "lost on the way", 0: "no answer"}
    result = results.get(entry["status"]) or _result(entry["answer"])
    again = f", try {entry['attempt'] + 1}" if entry["attempt"] else ""
    return _line("webhook", entry["type"], entry["status"], f"{entry['event']:28} {result}{again}")


def _line(what: str, name: str, status: int | None, last: str) -> Text:
    good, warn = status is not None and 200 <= status < 300, status is not None and 400 <= status < 500
    style = "green" if good else "yellow" if warn else "red"
    begin = f"{_plain(what, 7):7} {_plain(name, _NAME):{_NAME}} "
    return Text.assemble(begin, (f"{status or '-':<4}", style), _plain(last, 200).rstrip())


def _result(answer: str) -> str:
    """What the platform made of an event: its record's status, or the problem, if the answer says it."""
    body = json_object(answer)
    if body.get("duplicate"):
        return "duplicate"
    return str(body.get("type", body.get("status", ""))).rsplit(":", 1)[-1]


def _plain(text: str, most: int) -> str:
    """`text` without what could control a terminal: a caller writes the path. Too long a text loses its middle."""
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= most else f"{text[: most - 16]}…{text[-15:]}"
