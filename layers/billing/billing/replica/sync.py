"""Brings the table to Stripe's present state of one object, without an event, by the same effects as the webhook.

The outcome is written only if the table still has the revisions that were read. Otherwise everything is read again. An
entity that has not changed is not written.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple

from billing import clock, deadline, retry
from billing.adapters.stripe_api import WORST_CASE_SECONDS
from billing.adapters.table import items
from billing.adapters.table.store import Table
from billing.domain.entities import Entity, Identity, Invoice, completed
from billing.domain.invoicing import by_time
from billing.domain.order import Payload, Snapshot, content
from billing.domain.records import RecordStatus
from billing.domain.statuses import PaymentStatus
from billing.errors import Unresolved
from billing.replica import payloads
from billing.replica.account import Account
from billing.replica.decide import Decider, Decision
from billing.replica.effects import EFFECTS, invoice_changed, payment_intent_changed, subscription_changed
from billing.replica.effects.outcome import Answer, Effect, Fetch, Outcome
from billing.replica.load import glances
from billing.replica.stripe_event import Event

type ComparedKind = Literal["subscription", "payment_intent", "invoice"]

# For one object: two calls of Stripe and a write.
NEEDED_SECONDS: Final = WORST_CASE_SECONDS * 2 + deadline.RESERVE_SECONDS

_EFFECTS: Final[Mapping[ComparedKind, Effect]] = {
    "subscription": subscription_changed,
    "payment_intent": payment_intent_changed,
    "invoice": invoice_changed,
}
_COMPLETED: Final = "checkout.session.completed"
_EXPIRED: Final = "checkout.session.expired"
_OF_A_CHECKOUT: Final = frozenset(
    {"subscription", "subscription.checkoutPayment", "subscription.checkoutInvoiceId", "tenant.checkout"}
)
_BUSY: Final = "Others change the same records at the moment; try again."


class Difference(NamedTuple):
    """`name`: the field, as `invoice.amountPaid`. `invoice` alone: the table does not have it. `pointer`: an owner is
    not recorded.

    `entity_id`: whose field it is. `table` and `stripe` have the values, as plain JSON.
    """

    name: str
    entity_id: str = ""
    table: Any = None
    stripe: Any = None


@dataclass(frozen=True)
class Found:
    """`differing`: what differed, and was repaired if it was no dry run.

    `foreign`: we know no owner of the object.
    """

    differing: tuple[Difference, ...] = ()
    foreign: bool = False


def compare_and_repair(decider: Decider, listed: Payload, *, dry_run: bool = False) -> Found:
    """Compares the table with a Checkout Session, subscription, PaymentIntent or invoice from a list of Stripe, and
    repairs the table.

    A list may be older than the table, so it is only a hint. Where it differs, Stripe is asked for the object.
    Raises `Unresolved` when the table holds a final state that Stripe does not have. No event takes a final state back
    either, so a human must look at it. Raises `Contention`, `StripeNotFound` and what asking Stripe raises.
    """
    compare = _compare_checkout if listed["object"] == "checkout.session" else _compare_and_repair
    return retry.attempts(lambda: compare(decider, listed, dry_run=dry_run), _BUSY)


def glance(table: Table, listed: Sequence[Payload]) -> dict[str, Found]:
    """Those of the listed objects, by their ids, that do not differ from the table, as far as a look at a part of their
    accounts tells. Of the others only `compare_and_repair` can tell.

    Costs some reads for all of them together (`load.glances`), asks Stripe nothing and writes nothing. Raises nothing:
    what fails here fails again in `compare_and_repair`, which says of which object.
    """
    try:
        accounts = glances(table, listed)
    except Exception:  # noqa: BLE001 - see above
        return {}
    known = [(one["id"], accounts[one["id"]], one) for one in listed if one["id"] in accounts]
    quiet = [(object_id, account) for object_id, account, one in known if account is None or _is_equal(account, one)]
    return {object_id: Found(foreign=account is None) for object_id, account in quiet}


def _is_equal(account: Account, listed: Payload) -> bool:
    """Whether nothing would change. False also if the object cannot be read, or if only Stripe can say."""
    try:
        if listed["object"] == "checkout.session":
            # Which subscription an expired session left behind, only all of them tell.
            event = _event_of(_COMPLETED, listed)
            answer = EFFECTS[_COMPLETED](event, account, None) if listed["status"] == "complete" else None
            return isinstance(answer, Outcome) and not _of_checkout(_differing(account, answer))
        if payloads.tells_too_little(listed):
            listed, account = _with_its_payment(listed, account)
        event = _read_of(listed)
        answer = _EFFECTS[_kind(listed)](event, account, event.snapshot)
        if not isinstance(answer, Outcome) or answer.status is not RecordStatus.PROCESSED:
            return False
        return not _differing(account, answer)
    except Exception:  # noqa: BLE001 - see `glance`
        return False


def _with_its_payment(listed: Payload, account: Account) -> tuple[Payload, Account]:
    """An open invoice that an attempt did not pay, with what the table has of its only payment. It is to be compared
    before: by its own events, or by an earlier list of the run.

    Raises `Unresolved` if only Stripe can say how the attempt stands.
    """
    intent_id = payloads.only_intent(listed) if listed["object"] == "invoice" else None
    payment = account.payments.get(intent_id or "")
    if payment is None or payment.status is not PaymentStatus.FAILED or payloads.is_cut_off(listed):
        raise Unresolved("The list tells too little.")
    return payloads.with_failed_intent(listed, payment.failure_code), replace(account, payments={})


def refresh(decider: Decider, named: Payload) -> None:
    """Writes Stripe's present state of the object that is named, with all fields of this version, whether or not
    anything else has changed. `named` needs `object`, `id` and the tenant in its metadata.

    Raises `RevisionConflict`, `Unresolved` as `compare_and_repair` does, and what asking Stripe raises.
    """
    decision = _decided_by_present(decider, _read_of(named), _effect_of_present(_kind(named)))
    if decision.outcome.entities:
        _write(decider, decision)


def is_compared(listed: Payload) -> bool:
    """Whether the table has such an object: no open Checkout Session (it may change any moment), no PaymentIntent that
    nobody tried to pay yet, and no draft of an invoice.
    """
    match listed["object"]:
        case "checkout.session":
            return bool(listed["mode"] == "subscription" and listed["status"] != "open")
        case "payment_intent":
            return payloads.was_tried(listed)
        case "invoice":
            return bool(listed["status"] != "draft")
    return True


def is_out_of_time(wait: float = 0) -> bool:
    """Whether the invocation has no time to compare another object after so many seconds."""
    return deadline.remaining() < NEEDED_SECONDS + wait


def _compare_checkout(decider: Decider, listed: Payload, *, dry_run: bool) -> Found:
    """A session's end is final, and the stage of its payment only moves on. So the list is good enough.

    What else an effect would bring up to date (the tenant's status, say) is left alone if the table has the session's
    end: it follows from subscriptions that are not compared yet.
    """
    event_type = _COMPLETED if listed["status"] == "complete" else _EXPIRED
    decision = decider.decide(_event_of(event_type, listed), EFFECTS[event_type])
    if decision.account is None:
        return Found(foreign=True)
    differing = _differing(decision.account, decision.outcome)
    its_own = _of_checkout(differing)
    if not its_own:
        return Found()
    if dry_run:  # the subscription is counted when it is compared itself
        return Found(tuple(one for one in its_own if one.name != "subscription"))
    _write(decider, decision)
    return Found(differing)


def _compare_and_repair(decider: Decider, listed: Payload, *, dry_run: bool) -> Found:
    effect = _effect_of_present(_kind(listed))
    event = _read_of(listed)
    hint = decider.decide(event, effect, state=event.snapshot)
    if hint.account is None:
        return Found(foreign=True)
    if payloads.tells_too_little(listed):
        return _compared_with_present(decider, event, effect, dry_run=dry_run)
    if hint.outcome.status is RecordStatus.PROCESSED and not _differing(hint.account, hint.outcome):
        return Found()
    return _compared_with_present(decider, event, effect, dry_run=dry_run)


def _compared_with_present(decider: Decider, event: Event, effect: Effect, *, dry_run: bool) -> Found:
    decision = _decided_by_present(decider, event, effect)
    if decision.account is None:
        return Found(foreign=True)
    differing = _differing(decision.account, decision.outcome)
    if differing and not dry_run:
        _write(decider, decision)
    return Found(differing)


def _decided_by_present(decider: Decider, event: Event, effect: Effect) -> Decision:
    """Raises `Unresolved`."""
    decision = decider.decide(event, effect)
    if decision.outcome.status is RecordStatus.STALE:
        raise Unresolved("The table holds a final state that Stripe does not have.")
    return decision


def apply_checkout(decider: Decider, session: Payload) -> bool:
    """Applies a complete Checkout Session as its event does. That event may have come, may come later or never.
    Returns whether the table did not have all of it.

    Raises `Contention`, `StripeNotFound` and what asking Stripe raises.
    """
    return bool(retry.attempts(lambda: _compare_checkout(decider, session, dry_run=False), _BUSY).differing)


def _event_of(event_type: str, stripe_object: Payload) -> Event:
    """An event as if Stripe had sent it now. It has no record, so its id is the object's."""
    now = clock.now()
    livemode = bool(stripe_object.get("livemode"))
    return Event(stripe_object["id"], event_type, livemode, None, Snapshot(stripe_object, now, now))


def _read_of(stripe_object: Payload) -> Event:
    return _event_of(f"{stripe_object['object']}.read", stripe_object)


def _kind(listed: Payload) -> ComparedKind:
    kind: ComparedKind = listed["object"]
    return kind


def _effect_of_present(kind: ComparedKind) -> Effect:
    """An effect that never relies on the object in the event: it uses Stripe's present state, or asks for it."""

    def effect(event: Event, account: Account, state: Snapshot | None) -> Answer:
        return _EFFECTS[kind](event, account, state) if state else Fetch(kind, event.object["id"])

    return effect


def _write(decider: Decider, decision: Decision) -> None:
    outcome = decider.in_one_transaction(decision)
    decider.table.write(outcome.entities, outcome.pointers, outcome.unchanged)


# -- what differs


def _of_checkout(differing: Iterable[Difference]) -> tuple[Difference, ...]:
    return tuple(one for one in differing if one.name in _OF_A_CHECKOUT)


def _differing(account: Account, outcome: Outcome) -> tuple[Difference, ...]:
    """What the outcome would change. A new time of the snapshot alone is no change."""
    known = _by_identity(account)
    found = [one for entity in outcome.entities for one in _changes(known.get(entity.identity), entity)]
    if outcome.pointers and not found:
        return (Difference("pointer"),)
    return tuple(found)


def _by_identity(account: Account) -> dict[Identity, Entity]:
    held = (account.subscriptions, account.invoices, account.payments)
    entities: list[Entity] = [account.tenant, *(entity for group in held for entity in group.values())]
    return {entity.identity: entity for entity in entities}


def _changes(before: Entity | None, after: Entity) -> list[Difference]:
    kind, whose = after.kind.lower(), after.identity.id
    if before == after and before.revision:
        return []
    if before is None or not before.revision:
        return [Difference(kind, whose, None, items.attributes(after))]
    old = content(completed(by_time(before, clock.now()) if isinstance(before, Invoice) else before, after))
    return [
        Difference(f"{kind}.{items.camel(name)}", whose, items.attribute(old[name]), items.attribute(value))
        for name, value in content(after).items()
        if old[name] != value
    ]
