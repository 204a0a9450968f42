"""What Stripe's state means for the table. Deliveries, replays, reconciliation and the return from Checkout ask here.

Read the account. Apply the effect. If the effect asks for an object, ask Stripe once and apply the effect again. The
caller writes the outcome. That write succeeds only if the account still has the revisions that were read. The account
was read before Stripe was asked. So if the write succeeds, Stripe's answer is newer than what the table held.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import batched
from typing import Final

from billing.adapters.table.store import MAX_WRITES, Table
from billing.domain.entities import Entity, Subscription, Tenant
from billing.domain.order import FetchedKind, Payload, Snapshot
from billing.errors import StripeNotFound
from billing.observability import logger
from billing.replica import payloads
from billing.replica.account import Account
from billing.replica.effects.outcome import Effect, Fetch, Outcome, ignored
from billing.replica.load import account_of, with_references_of
from billing.replica.stripe_event import Event

type Fetcher = Callable[[FetchedKind, str], Snapshot]

NO_OWNER: Final = ignored("no tenant of ours")
_LEADS_TO_OWNER: Final = ("customer", "metadata", "parent", "subscription_details", "payment_intent")


@dataclass(frozen=True)
class Decision:
    """`account` is what the outcome was decided from. None: no tenant of ours owns the object."""

    account: Account | None
    outcome: Outcome

    @property
    def tenant_id(self) -> str | None:
        return self.account.tenant.tenant_id if self.account else None


def _is_mark(account: Account, after: Subscription) -> bool:
    before = account.subscriptions.get(after.stripe_subscription_id)
    return before is not None and replace(before, duplicate=after.duplicate) == after


@dataclass(frozen=True)
class Decider:
    """`fetch(kind, id)` reads one object from Stripe."""

    table: Table
    fetch: Fetcher

    def decide(self, event: Event, effect: Effect, state: Snapshot | None = None) -> Decision:
        """`state`: the present state of the event's object, where the caller has it. Then Stripe is not asked for it.

        Raises `StripeNotFound` when Stripe does not have the object that the effect asks for, `UnknownObject`,
        `Unreadable`, and what `fetch` raises.
        """
        account = account_of(self.table, event.object) or self._account_by_another(event.object)
        if account is None:
            return Decision(None, NO_OWNER)
        answer = self._apply(effect, event, account, state)
        if isinstance(answer, Fetch):
            answer = self._apply(effect, event, account, self._ask(answer))
        assert isinstance(answer, Outcome), "an effect asks Stripe once"
        return Decision(account, answer)

    def in_one_transaction(self, decision: Decision) -> Outcome:
        """The decision's outcome. If one transaction cannot hold all of it, the marks of `duplicate` that are too many
        are written before, in steps.

        Each step also writes the tenant, so that nobody else changes a subscription in between. After a crash the next
        delivery finds fewer marks to write. Raises `RevisionConflict`.
        """
        outcome, account = decision.outcome, decision.account
        surplus = len(outcome.entities) + len(outcome.pointers) + len(outcome.unchanged) - (MAX_WRITES - 1)
        if account is None or surplus <= 0:
            return outcome
        marks = [e for e in outcome.entities if isinstance(e, Subscription) and _is_mark(account, e)]
        tenant, written = account.tenant, list[Entity]()
        for chunk in batched(marks[: surplus + len(marks) // MAX_WRITES + 1], MAX_WRITES - 1, strict=False):
            self.table.write([tenant, *chunk])
            tenant = replace(tenant, revision=tenant.revision + 1)
            written += chunk
        rest = [e for e in outcome.entities if e not in written]
        entities = [replace(e, revision=tenant.revision) if isinstance(e, Tenant) else e for e in rest]
        return replace(outcome, entities=tuple(entities))

    def _apply(self, effect: Effect, event: Event, account: Account, state: Snapshot | None) -> Outcome | Fetch:
        if state and state.object["object"] == "subscription":
            account = with_references_of(self.table, account, state.object)
        return effect(event, account, state)

    def _account_by_another(self, stripe_object: Payload) -> Account | None:
        """The account of an object that names no customer, but another object that does.

        An invoice payment names its invoice, which is perhaps not recorded. A refund or dispute names its charge.
        """
        match stripe_object.get("object"):
            case "invoice_payment":
                leading = Fetch("invoice", payloads.invoice_payment(stripe_object).invoice_id)
            case "refund" | "dispute" if payloads.charge_of(stripe_object):
                leading = Fetch("charge", payloads.charge_of(stripe_object) or "")
            case _:
                return None
        other = self._ask(leading).object
        owner = {name: other.get(name) for name in _LEADS_TO_OWNER if other.get(name)}
        return account_of(self.table, {**stripe_object, **owner})

    def _ask(self, needed: Fetch) -> Snapshot:
        logger.info("fetching from Stripe", extra={"kind": needed.kind, "object_id": needed.object_id})
        try:
            return self.fetch(needed.kind, needed.object_id)
        except StripeNotFound as error:
            raise StripeNotFound(f"Stripe has no {needed.kind} {needed.object_id}.") from error
