"""`python -m tests.torture.mutants` removes the guards one at a time, and checks whether the torture test notices.

Each mutant runs in its own process until the first history that fails.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final
from unittest.mock import patch

from billing.domain.entities import Replica
from billing.domain.order import Verdict, compare, content
from tests.torture.faults import figures
from tests.torture.run import torture

HISTORIES: Final = 600
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
    from billing.inbox.inbox import Inbox, Receipt, record_of  # noqa: PLC0415

    receive = Inbox.receive

    def answered(self: Inbox, event: Any) -> Receipt:
        try:
            return receive(self, event)
        except Exception:  # noqa: BLE001 - the mutant hides every failure
            return Receipt(record_of(event))

    return patch.object(Inbox, "receive", answered)


MUTANTS: Final[dict[str, Callable[[], AbstractContextManager[Any]]]] = {
    "the record's condition": _without_record_condition,
    "the revision's condition": _without_revision_condition,
    "the rule of final states": _without_final_states,
    "the rule of one second": _without_asking_stripe,
    "the order by Stripe's time": _without_order,
    "2xx only after the commit": _with_2xx_before_the_commit,
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
