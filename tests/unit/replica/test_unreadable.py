"""Every field of a sample of each object, old shapes too, is dropped, nulled, retyped, and gets half a surrogate pair.

The effect refuses the object, or what it writes can be stored and read again.
"""

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from billing.adapters.table import items
from billing.domain.entities import Tenant
from billing.domain.order import Snapshot
from billing.errors import UnknownObject, Unreadable
from billing.replica import payloads
from billing.replica.account import Account, references
from billing.replica.effects import EFFECTS
from billing.replica.effects.outcome import Outcome
from billing.replica.stripe_event import Event, parse_event
from local.template import ROOT

EVENTS = ROOT / "events" / "stripe"
KINDS = (
    *("customer.subscription.updated", "invoice.paid", "payment_intent.succeeded", "payment_intent.payment_failed"),
    *(
        "checkout.session.completed",
        "invoice_payment.paid",
        "charge.refunded",
        "charge.dispute.closed",
        "refund.failed",
    ),
    *("customer.deleted", "customer.subscription.trial_will_end"),
)
SAMPLES = [path for path in sorted(EVENTS.rglob("*.json")) if path.stem in KINDS]
ODD: tuple[Any, ...] = (None, 7, True, "odd", [], {}, ["odd"], {"id": 7}, -1, 10**40, 1.5, "\ud800")
DROPPED = object()
REQUIRED = {
    "subscription": {"id", "customer", "status", "created"},
    "invoice": {"id", "status", "currency", "amount_due", "amount_paid", "amount_remaining"},
    "payment_intent": {"id", "status", "currency"},
    "checkout.session": {"id", "mode"},
    "invoice_payment": {"invoice", "currency"},
    "customer": {"id"},
}


def paths(node: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, value in children:
        yield (*before, name)
        yield from paths(value, (*before, name))


def changed(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy of the object in which what the path leads to has another value."""
    after = copy.copy(node)
    step, *rest = path
    if rest:
        after[step] = changed(node[step], tuple(rest), value)
    elif value is DROPPED:
        del after[step]
    else:
        after[step] = value
    return after


def applied(event: Event) -> None:
    """What the inbox does with the object, but for reading and writing. Nothing but a refusal may come out of it."""
    payloads.tenant_hint(event.object)
    references(event.object)
    account = Account(tenant=Tenant(tenant_id="t"))
    effect = EFFECTS[event.type]
    can_be_fetched = event.object["object"] in ("subscription", "invoice", "payment_intent", "charge")
    for fetched in (None, event.snapshot) if can_be_fetched else (None,):
        answer = effect(event, account, fetched)
        for entity in answer.entities if isinstance(answer, Outcome) else ():
            stored = items.load(items.dump(items.attributes(entity)))
            json.dumps(stored).encode()
            assert items.entity(type(entity), stored) == entity


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: str(path.relative_to(EVENTS)))
def test_nothing_is_stored_that_cannot_be_read(sample: Path) -> None:
    event = parse_event(sample.read_bytes())
    stripe_object = dict(event.object)
    applied(event)
    refused = set()
    for path in paths(stripe_object):
        for value in (DROPPED, *ODD):
            odd = changed(stripe_object, path, value)
            try:
                applied(replace(event, snapshot=Snapshot(odd, event.snapshot.since, event.snapshot.until)))
            except Unreadable as error:
                named = str(error).split()[2]
                assert named in map(str, path) or isinstance(value, dict), (path, value, named)
                refused.add(named)
            except UnknownObject:
                assert path == ("object",)
    assert REQUIRED.get(stripe_object["object"], set()) <= refused
