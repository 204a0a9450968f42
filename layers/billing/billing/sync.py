"""Brings the table to what Stripe has now of one object, without an event: by the same effects as the webhook.

The account is read before Stripe is asked, and everything is written on the revisions that were read: whoever wrote
meanwhile, by an event or another call of this, makes it read again. What nothing has changed of is not written.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from billing import clock, retry
from billing.domain.entities import Entity
from billing.domain.order import content
from billing.errors import Unresolved
from billing.table import items, keys
from billing.table.records import RecordStatus
from billing.table.store import Table
from billing.webhook import account as accounts
from billing.webhook import payloads
from billing.webhook.account import Account
from billing.webhook.effects import (
    EFFECTS,
    Effect,
    Fetch,
    Outcome,
    invoice_changed,
    payment_intent_changed,
    subscription_changed,
)
from billing.webhook.inbox import Fetcher
from billing.webhook.payloads import Event, Payload, Snapshot

_EFFECTS: Final[Mapping[str, Effect]] = {
    "subscription": subscription_changed,
    "payment_intent": payment_intent_changed,
    "invoice": invoice_changed,
}
_COMPLETED: Final = "checkout.session.completed"
_BUSY: Final = "The same records are being changed by others; try again."


@dataclass(frozen=True)
class Found:
    """`differing`: what the table had otherwise, as `invoice.amountPaid`, or `invoice` when it had none of it.

    `foreign`: the object is nobody's that we know.
    """

    differing: tuple[str, ...] = ()
    foreign: bool = False


def with_stripe(table: Table, fetch: Fetcher, thing: Payload, *, dry_run: bool = False) -> Found:
    """Compares a subscription, PaymentIntent or invoice, as a list of Stripe's has it, with the table, and repairs it.

    What was listed is only a hint, as it may be older than the table: where it differs, Stripe is asked for the object.
    Raises `Unresolved` when the table holds a final state that Stripe does not have: no event undoes one either, so
    that is for a human to look at. Raises `Contention` and what `fetch` raises.
    """
    return retry.attempts(lambda: _with_stripe(table, fetch, thing, dry_run=dry_run), _BUSY)


def _with_stripe(table: Table, fetch: Fetcher, listed: Payload, *, dry_run: bool) -> Found:
    account = accounts.load(table, listed)
    if account is None:
        return Found(foreign=True)
    now = clock.now()
    if _is_held(account, _outcome(table, account, Snapshot(listed, now, now, fetched=True))):
        return Found()
    outcome = _outcome(table, account, Snapshot(*fetch(listed["object"], listed["id"]), fetched=True))
    if outcome.status is RecordStatus.STALE:
        raise Unresolved("The table holds a final state that Stripe does not have.")
    differing = _differing(account, outcome)
    if differing and not dry_run:
        table.write(outcome.entities, outcome.pointers, outcome.unchanged)
    return Found(differing)


def _outcome(table: Table, account: Account, state: Snapshot) -> Outcome:
    kind = state.object["object"]
    if kind == "subscription":
        account = accounts.with_plan_of(table, account, payloads.price_of(state.object))
    return _answer(_EFFECTS[kind], _told(f"{kind}.read", state.object), account, state)


def checkout(table: Table, fetch: Fetcher, session: Payload) -> None:
    """Applies a complete Checkout Session as its event does, whether that was before, comes later or never.

    Raises `Contention` and what `fetch` raises.
    """
    retry.attempts(lambda: _checkout(table, fetch, session), _BUSY)


def _checkout(table: Table, fetch: Fetcher, session: Payload) -> None:
    account = accounts.load(table, session)
    if account is None:
        return
    effect, event = EFFECTS[_COMPLETED], _told(_COMPLETED, session)
    answer = effect(event, account, None)
    if isinstance(answer, Fetch):
        state = Snapshot(*fetch(answer.kind, answer.object_id), fetched=True)
        account = accounts.with_plan_of(table, account, payloads.price_of(state.object))
        answer = _answer(effect, event, account, state)
    if _differing(account, answer):
        table.write(answer.entities, answer.pointers, answer.unchanged)


def _told(event_type: str, thing: Payload) -> Event:
    """As if Stripe had told of it just now; no record is kept under this id."""
    now = clock.now()
    return Event(thing["id"], event_type, bool(thing.get("livemode")), None, Snapshot(thing, now, now))


def _answer(effect: Effect, event: Event, account: Account, state: Snapshot) -> Outcome:
    answer = effect(event, account, state)
    assert isinstance(answer, Outcome), "an effect asks Stripe once"
    return answer


# -- what differs


def _is_held(account: Account, outcome: Outcome) -> bool:
    return outcome.status is RecordStatus.PROCESSED and not _differing(account, outcome)


def _differing(account: Account, outcome: Outcome) -> tuple[str, ...]:
    """What the outcome says otherwise than the account. That it was read later is no difference."""
    known = {keys.of(entity): entity for entity in _entities(account)}
    names = [name for entity in outcome.entities for name in _changes(known.get(keys.of(entity)), entity)]
    if outcome.pointers and not names:
        return ("pointer",)
    return tuple(names)


def _entities(account: Account) -> list[Entity]:
    kinds: list[Mapping[str, Any]] = [account.subscriptions, account.invoices, account.payments]
    return [account.tenant, *(entity for kind in kinds for entity in kind.values())]


def _changes(before: Entity | None, after: Entity) -> list[str]:
    kind = type(after).__name__.lower()
    if before is None or not before.revision:
        return [kind]
    old = content(before)
    return [f"{kind}.{items.camel(name)}" for name, value in content(after).items() if old[name] != value]
