"""`python -m tests.torture.mutants` removes the guards one at a time, and checks whether the torture test notices.

Each mutant runs in its own process until the first history that fails.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Final
from unittest.mock import patch

from billing.domain import access, tenancy
from billing.domain.entities import Replica
from billing.domain.order import Verdict, compare, content
from billing.domain.statuses import TenantStatus
from billing.inbox.inbox import Inbox, Receipt, record_of
from billing.replica import payloads
from billing.replica.effects import EFFECTS
from billing.replica.effects.outcome import ignored
from tests.torture.faults import figures
from tests.torture.run import torture

HISTORIES: Final = 300
SEED: Final = 1


def _without_record_condition() -> AbstractContextManager[Any]:
    """Closes a record in any status, so a second delivery of the event is applied again."""
    return patch(
        "billing.adapters.table.store.STILL_OPEN", "#status IN (:received, :failed, :ignored) OR attribute_exists(PK)"
    )


def _without_revision_condition() -> AbstractContextManager[Any]:
    """Writes an entity even if another invocation wrote it after it was read."""
    return patch("billing.adapters.table.store.on_revision", lambda _: {})


def _without_final_states() -> AbstractContextManager[Any]:
    """Treats final states like all other states: canceled subscriptions, paid invoices and succeeded payments."""

    def careless(current: Replica, incoming: Replica, *, fetched: bool) -> Verdict:
        if fetched or incoming.snapshot_at > current.snapshot_at:
            return Verdict.APPLY
        if incoming.snapshot_at < current.snapshot_from or content(incoming) == content(current):
            return Verdict.STALE
        return Verdict.FETCH

    return patch("billing.replica.effects.outcome.compare", careless)


def _without_asking_stripe() -> AbstractContextManager[Any]:
    """If two states have the same second, applies the one that arrives later."""

    def careless(current: Replica, incoming: Replica, *, fetched: bool) -> Verdict:
        verdict = compare(current, incoming, fetched=fetched)
        return Verdict.APPLY if verdict is Verdict.FETCH else verdict

    return patch("billing.replica.effects.outcome.compare", careless)


def _without_order() -> AbstractContextManager[Any]:
    """Applies the state that arrives later, and ignores its time."""
    return patch("billing.replica.effects.outcome.compare", lambda *_, **__: Verdict.APPLY)


def _with_2xx_before_the_commit() -> AbstractContextManager[Any]:
    """Records a failure but answers 200, so Stripe does not deliver the event again."""
    receive = Inbox.receive

    def answered(self: Inbox, event: Any) -> Receipt:
        try:
            return receive(self, event)
        except Exception:  # noqa: BLE001 - the mutant hides every failure
            return Receipt(record_of(event))

    return patch.object(Inbox, "receive", answered)


# -- true to Stripe as it behaves


def _with_incomplete_as_a_subscription() -> AbstractContextManager[Any]:
    """A subscription whose first payment was never accepted counts like one that charges."""
    known = access.MEANING["incomplete"]
    return patch.dict(access.MEANING, {"incomplete": known._replace(tenant=TenantStatus.SUSPENDED, began=True)})


def _without_looking_for_subscriptions() -> AbstractContextManager[Any]:
    """Sells to a customer that subscribes at Stripe already, if no event has told of it yet."""
    return patch("billing.subscribe.checkout.Checkout._bring_in_subscriptions", lambda *_: None)


def _without_asking_for_an_attempt() -> AbstractContextManager[Any]:
    """Takes each attempt to charge an invoice for a failed one, also if it waits for the bank or the customer."""
    return patch("billing.replica.payloads.attempted", lambda _: False)


def _with_the_first_item() -> AbstractContextManager[Any]:
    """Takes the first item of a subscription for the plan's."""
    return patch("billing.replica.payloads._leading", lambda subscription, _: subscription["items"]["data"][0])


def _without_paused_collections() -> AbstractContextManager[Any]:
    """Gives access while the invoices are voided."""
    return patch("billing.domain.access.FREE_PAUSE", "nothing")


def _with_every_dispute_lost() -> AbstractContextManager[Any]:
    """Takes `charge.disputed` for the present state. It means that the charge was ever disputed."""
    return patch(
        "billing.replica.payloads._dispute_fields",
        lambda charge: {"disputed": bool(charge.get("disputed")), "dispute_status": None},
    )


def _without_failed_refunds() -> AbstractContextManager[Any]:
    return patch("billing.replica.payloads._refund_fields", lambda _: {})


def _with_the_uncaptured_rest() -> AbstractContextManager[Any]:
    """Counts what was not captured as refunded, as Stripe does."""
    fields = payloads.charge_fields

    def careless(charge: Any) -> dict[str, Any]:
        found = fields(charge)
        return found | {"amount_refunded": charge["amount_refunded"]} if found else found

    return patch("billing.replica.payloads.charge_fields", careless)


def _without_waiting_for_a_checkout() -> AbstractContextManager[Any]:
    """Gives access when the subscription's event comes, before its checkout says whether it is paid."""
    return patch("billing.replica.effects.subscriptions._of_open_checkout", lambda _, new, __: new)


def _with_connected_accounts() -> AbstractContextManager[Any]:
    """Takes the events of connected accounts for ours."""
    return patch.object(Inbox, "_refusal", lambda *_: None)


def _without_parts_paid_otherwise() -> AbstractContextManager[Any]:
    """Ignores an invoice payment without a PaymentIntent."""
    effect = EFFECTS["invoice_payment.paid"]

    def careless(event: Any, account: Any, fetched: Any) -> Any:
        if payloads.invoice_payment(event.object).payment_intent_id is None:
            return ignored("not paid by a PaymentIntent")
        return effect(event, account, fetched)

    return patch.dict(EFFECTS, {"invoice_payment.paid": careless})


def _with_deleted_customers() -> AbstractContextManager[Any]:
    """Keeps the link to a customer that was deleted at Stripe."""
    return patch.dict(EFFECTS, {"customer.deleted": lambda *_: ignored("a customer")})


def _without_memory_of_deleted_customers() -> AbstractContextManager[Any]:
    """Forgets a deleted customer, so that a late event of it links it again."""
    known = tenancy.without_customer

    def careless(tenant: Any, customer_id: str, subscriptions: Any) -> Any:
        return replace(known(tenant, customer_id, subscriptions), deleted_customers=())

    return patch("billing.domain.tenancy.without_customer", careless)


def _with_every_counted_attempt() -> AbstractContextManager[Any]:
    """Takes the attempt that waits for one of the counted, also if a person began it after a failure."""
    return patch("billing.adapters.stripe_api._awaited", lambda _: [])


def _without_imports() -> AbstractContextManager[Any]:
    """Leaves out what Stripe has of a customer that is linked late."""
    return patch("billing.sweep.importing.CustomerImport.bring_in", lambda *_: None)


def _without_time() -> AbstractContextManager[Any]:
    """Lets an invoice that is not paid in time stay as it is."""
    return patch("billing.sweep.run.by_time", lambda invoice, _: invoice)


MUTANTS: Final[dict[str, Callable[[], AbstractContextManager[Any]]]] = {
    "the record's condition": _without_record_condition,
    "the revision's condition": _without_revision_condition,
    "the rule of final states": _without_final_states,
    "the rule of one second": _without_asking_stripe,
    "the order by Stripe's time": _without_order,
    "2xx only after the commit": _with_2xx_before_the_commit,
    "`incomplete` never began": _with_incomplete_as_a_subscription,
    "the customer's subscriptions are looked for": _without_looking_for_subscriptions,
    "an attempt is asked for": _without_asking_for_an_attempt,
    "the plan's item decides": _with_the_first_item,
    "a voided pause gives nothing": _without_paused_collections,
    "the disputes decide": _with_every_dispute_lost,
    "a refund may fail": _without_failed_refunds,
    "the uncaptured rest is no refund": _with_the_uncaptured_rest,
    "a checkout waits for its money": _without_waiting_for_a_checkout,
    "other accounts are not ours": _with_connected_accounts,
    "parts paid otherwise count": _without_parts_paid_otherwise,
    "a deleted customer is unlinked": _with_deleted_customers,
    "a deleted customer stays unlinked": _without_memory_of_deleted_customers,
    "a person's attempt is not counted": _with_every_counted_attempt,
    "a late link brings in what was before": _without_imports,
    "an unpaid invoice becomes overdue": _without_time,
}


def run_one(name: str) -> None:
    """Prints as JSON how the first failing history was noticed. Raises if no history could run."""
    noticed = ""
    try:
        with MUTANTS[name]():
            torture(HISTORIES, SEED, shrink=False)
    except AssertionError as error:
        noticed = str(error).splitlines()[0][:80] if str(error) else "an assertion"
    except OSError:  # for example, DynamoDB Local did not start
        raise
    except Exception as error:  # noqa: BLE001 - every other failure counts as noticed
        noticed = f"{type(error).__name__}: {error}"[:80]
    print(json.dumps({"noticed": noticed, "histories": figures["histories"]}))


def main() -> int:
    if len(sys.argv) > 1:
        run_one(sys.argv[1])
        return 0
    survivors = 0
    print("| guard taken away | noticed after histories | seconds | by |\n|---|---|---|---|", flush=True)
    for name in MUTANTS:
        began = time.monotonic()
        command = [sys.executable, "-W", "ignore", "-m", "tests.torture.mutants", name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        result = json.loads(done.stdout.splitlines()[-1])
        survivors += not result["noticed"]
        found = result["histories"] if result["noticed"] else f"NOT in {result['histories']}"
        print(f"| {name} | {found} | {time.monotonic() - began:.0f} | `{result['noticed']}` |", flush=True)
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
