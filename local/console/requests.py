"""The requests to the API and the invocations that the console shows, and what the functions logged meanwhile."""

import json
from collections.abc import Container, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from local.aws.exchanges import Seen
from local.console.view import Filter
from local.desk import Desk
from local.masks import masked

REQUESTS: Final = 12
INVOCATIONS: Final = 4  # beside them: there are many more, and they say less
_LONGEST: Final = 80  # characters of a path or a name: the page stays small, whatever is asked
_BASE: Final = "/api/v1/billing"
_MOST: Final = 16 * 1024  # characters of what a process wrote before it died
_WRITERS: Final = ("ReconcileStripeFunction", "SweepDueItemsFunction")  # they start by themselves
_HEAD: Final = ("timestamp", "level", "message", "exception", "request_id", "service", "location", "route")


@dataclass(frozen=True)
class Requests:
    """The newest that the filter takes, newest first. `found`: how many requests it takes, of `total` that are kept."""

    rows: list[Seen]
    found: int
    total: int


def newest(stack: Desk, records: Container[str], asked: Filter) -> Requests:
    kept = [one for one in stack.exchanges.newest_first() if not _among_events(stack, records, one)]
    calls = [one for one in kept if one.method]
    found = [one for one in calls if one.names(asked.tenant)]
    others = islice((one for one in kept if not one.method and one.names(asked.tenant)), INVOCATIONS)
    rows = sorted([*found[:REQUESTS], *others], key=lambda one: -one.number)
    return Requests(rows, len(found), len(calls))


def _among_events(stack: Desk, records: Container[str], one: Seen) -> bool:
    """Whether it is a delivery of an event that the page lists. One that nobody knows, such as a forged one, is not."""
    known = one.event in records or (stack.stripe is not None and stack.stripe.store.find(one.event) is not None)
    return bool(one.event) and known


def name(one: Seen) -> str:
    text = f"{one.method} {one.path.removeprefix(_BASE)}" if one.method else one.function.removesuffix("Function")
    return short(text)


def short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 16]}…{text[-15:]}"


def tone(one: Seen) -> str:
    """The CSS class of the answer: what we refuse is the caller's matter, what fails is ours."""
    if one.error or one.status >= 500:
        return "bad"
    return "warn" if one.status >= 400 else "good"


def pretty(text: str) -> str:
    """JSON on several lines; any other text as it is."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def log(handled: Iterable[Seen]) -> str:
    """What the functions logged in these invocations, in order, for people: `time level message name=value …`."""
    lines = [line for one in handled if one.log for line in one.log.lines(one.request_id)]
    return masked("\n".join(map(_words, lines)))


def stderr(handled: Iterable[Seen]) -> str:
    """What stood in the log of failed invocations beside the lines of the logger: so a process writes that dies."""
    text = "\n".join(one.log.loose() for one in handled if one.error and one.log)
    return masked(text)[-_MOST:]


def at_work(stack: Desk, at: float, tenant_id: str) -> list[Seen]:
    """What may have written an item of the tenant in that second, oldest first. The history names events only."""
    kept = reversed(stack.exchanges.newest_first())
    return [one for one in kept if int(one.at - one.seconds) <= at <= one.at and _may_write(one, tenant_id)]


def _may_write(one: Seen, tenant_id: str) -> bool:
    if one.function in _WRITERS:
        return True
    changes = one.method not in ("", "GET") and not one.event and not 400 <= one.status < 500
    return changes and one.names(tenant_id)


def _words(line: dict[str, Any]) -> str:
    at = str(line.get("timestamp", "")).partition(" ")[2].partition("+")[0].replace(",", ".")
    more = [f"{name}={_value(value)}" for name, value in line.items() if name not in _HEAD]
    first = " ".join(part for part in (at, str(line["level"]), str(line["message"]), *more) if part)
    return f"{first}\n{line['exception']}".rstrip() if "exception" in line else first


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
