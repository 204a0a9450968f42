"""Counts what the histories reached, and lists what they never did.

Every count is one entry of `seen`, so the counts of several processes and runs are added up. A name has parts:

- `rule|<rule>`: it was chosen; `acted|<rule>`: it changed something at Stripe, or called the platform.
- `event|<type>`: an event of that type was accepted for the first time.
- `order|<type>|<type>`: the first one was accepted before the second one, and both name a common object.
- `call|<function>|<call>`: the function made this call; `fault|<function>|<call>|<fault>`: that fault fell on it.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from billing.replica.effects import EFFECTS
from local.stripe.engine.store import PREFIXES, Object
from tests.torture.scheduler import Fault

seen: Counter[str] = Counter()

_IDS: Final = re.compile(rf"/({'|'.join(sorted(PREFIXES.values(), key=len, reverse=True))})_\w+")
# The objects by which two events belong together. Nearly every event names a price or a payment method.
_CHAIN: Final = re.compile(r"(?:sub|in|pi|ch|cs_test|re|du|inpay)_\w+")


def count(*parts: str) -> None:
    seen["|".join(parts)] += 1


def called(function: str, call: str, fault: Fault | None) -> None:
    count("call", function, call)
    if fault:
        count("fault", function, call, fault)


def stripe_call(method: str, url: str) -> str:
    """For example `GET /v1/invoices/{id}`, for the address of any invoice."""
    path = "/" + url.partition("://")[2].partition("/")[2].partition("?")[0]
    return f"{method.upper()} {_IDS.sub('/{id}', path)}"


class Orders:
    """The order in which the events of one history were accepted."""

    def __init__(self) -> None:
        self._accepted: list[tuple[str, set[str]]] = []

    def accepted(self, event: Object) -> None:
        """For the first acceptance of an event."""
        count("event", event["type"])
        named = set(_ids(event["data"]["object"]))
        for before in {kind for kind, ids in self._accepted if ids & named} - {event["type"]}:
            count("order", before, event["type"])
        self._accepted.append((event["type"], named))


def _ids(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        value = [*value.values()]
    if isinstance(value, list):
        for one in value:
            yield from _ids(one)
    elif isinstance(value, str) and _CHAIN.fullmatch(value):
        yield value


def never(counts: Counter[str], rules: Iterable[str]) -> dict[str, list[str]]:
    """What never happened. The keys say what is missing."""
    entries = {tuple(name.split("|")) for name in counts}
    of = {kind: {entry[1:] for entry in entries if entry[0] == kind} for kind in _KINDS}
    faults = {entry[:2] for entry in of["fault"]}
    return {
        "rules never chosen": sorted(set(rules) - {name for (name,) in of["rule"]}),
        "rules that never did anything": sorted({name for (name,) in of["rule"]} - {name for (name,) in of["acted"]}),
        "event types never accepted": sorted(set(EFFECTS) - {name for (name,) in of["event"]}),
        "pairs of event types that met in one order only": sorted(
            f"{first} before {second}" for first, second in of["order"] if (second, first) not in of["order"]
        ),
        "calls without any fault": sorted(" ".join(call) for call in of["call"] - faults),
        "faults that never fell on a call": sorted(
            f"{' '.join(call)}: {fault}" for call in faults for fault in Fault if (*call, fault) not in of["fault"]
        ),
    }


_KINDS: Final = ("rule", "acted", "event", "order", "call", "fault")


def summary(counts: Counter[str], rules: Iterable[str]) -> list[str]:
    """Lines for a person. A long list is only counted: the progress file has all of it."""
    reached = Counter(name.partition("|")[0] for name in counts)
    pairs = {frozenset(name.split("|")[1:]) for name in counts if name.startswith("order|")}
    lines = [f"{count:9,} {what}" for what, count in _totals(reached, len(pairs))]
    lines += [f"{counts[f'rule|{rule}']:9,} {rule}: did something {counts[f'acted|{rule}']:,} times" for rule in rules]
    for what, missing in never(counts, rules).items():
        shown = missing if len(missing) <= SHOWN else []
        lines += [f"{len(missing):9,} {what}{': ' if shown else ''}{', '.join(shown)}"]
    return lines


SHOWN: Final = 8


def _totals(reached: Counter[str], pairs: int) -> list[tuple[str, int]]:
    return [
        (f"event types accepted, of {len(EFFECTS)}", reached["event"]),
        ("pairs of event types of a common object", pairs),
        ("of them met in both orders", reached["order"] - pairs),
        ("different calls, by function", reached["call"]),
        ("combinations of call and fault", reached["fault"]),
    ]
