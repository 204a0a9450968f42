"""What a reconciliation found and did, for its caller, the log and the metrics."""

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from aws_lambda_powertools.metrics import MetricUnit

from billing import clock
from billing.errors import StripeNotFound, StripeRateLimited, Unresolved
from billing.observability import logger, metrics
from billing.replica.sync import Found

LATE_SECONDS: Final = 600  # an event that is younger may still be on its way to the webhook
MAX_LISTED: Final = 50
MAX_REASON: Final = 300


class Stop(Exception):
    """The run ends here. The next one continues from the stored progress."""


@dataclass
class Report:
    """`missed` counts the `seen` events that had not been applied, `late` those of them that are older than ten
    minutes.

    `foreign` counts the `compared` objects whose owner we do not know. `continued`: how many runs did a part of the
    work before, each of which started the next. `goes_on`: this one has started the next.
    """

    dry_run: bool
    continued: int = 0
    seen: int = 0
    missed: int = 0
    late: int = 0
    compared: int = 0
    repaired: int = 0
    foreign: int = 0
    differing: Counter[str] = field(default_factory=Counter)
    differed: list[dict[str, Any]] = field(default_factory=list)
    unresolved: list[dict[str, str]] = field(default_factory=list)
    unresolved_count: int = 0
    oldest_failed: int | None = None
    objects_failed: bool = False
    complete: bool = False
    goes_on: bool = False
    stopped: str = ""

    def miss(self, created: int) -> None:
        self.missed += 1
        self.late += created < clock.seconds() - LATE_SECONDS

    def quiet(self, found: Collection[Found]) -> None:
        """Objects that do not differ."""
        self.compared += len(found)
        self.foreign += sum(one.foreign for one in found)

    def found(self, object_id: str, found: Found) -> None:
        self.compared += 1
        self.foreign += found.foreign
        self.differing.update(one.name for one in found.differing)
        self.repaired += bool(found.differing) and not self.dry_run
        if found.differing and len(self.differed) < MAX_LISTED:
            self.differed.append({"id": object_id, "fields": [one.name for one in found.differing]})

    @contextmanager
    def trying(self, object_id: str, kind: str, created: int | None = None) -> Iterator[None]:
        """Notes that one event (`created`, Unix seconds) or object failed, so that the run continues with the others.

        Raises what concerns the others too: Stripe's rate limit, and the end of the run.
        """
        try:
            yield
        except (StripeRateLimited, Stop):
            raise
        except Exception as error:  # noqa: BLE001 - no failure of one may stop the others
            logger.warning("not reconciled", extra={"object_id": object_id, "kind": kind}, exc_info=True)
            self._note(object_id, kind, f"{type(error).__name__}: {error}"[:MAX_REASON])
            if created is not None:
                self.oldest_failed = min(created, self.oldest_failed or created)
            elif not isinstance(error, Unresolved | StripeNotFound):
                self.objects_failed = True  # the next run may succeed

    def _note(self, object_id: str, kind: str, reason: str) -> None:
        self.unresolved_count += 1
        if len(self.unresolved) < MAX_LISTED:
            self.unresolved.append({"id": object_id, "type": kind, "reason": reason})

    def shown(self) -> dict[str, Any]:
        """All counts by name, `differing` by field (`invoice.amountPaid`). Of the objects that `differed`, and of what
        is `unresolved`, the first 50.
        """
        shown = {
            "seen": self.seen,
            "missed": self.missed,
            "late": self.late,
            "compared": self.compared,
            "repaired": self.repaired,
            "differing": dict(self.differing),
            "differed": self.differed,
            "unresolved": self.unresolved,
            "unresolvedCount": self.unresolved_count,
            "foreign": self.foreign,
            "complete": self.complete,
            "dryRun": self.dry_run,
            "continued": self.continued,
            "goesOn": self.goes_on,
        }
        return shown | ({"stopped": self.stopped} if self.stopped else {})

    def tell(self) -> None:
        """To the log and the metrics. A dry run sends no metrics, so it raises no alarm."""
        logger.info("reconciled", extra={"report": self.shown()})
        if self.dry_run:
            return
        counts = {
            "ReconciliationMissed": self.late,
            "ReconciliationDrift": sum(self.differing.values()),
            "ReconciliationUnresolved": self.unresolved_count,
            "ReconciliationComplete": int(self.complete),
        }
        for name, count in counts.items():
            metrics.add_metric(name, MetricUnit.Count, count)
