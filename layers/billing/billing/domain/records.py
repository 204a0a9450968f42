"""The idempotency record of a Stripe event. It says whether the event was applied, and if not, why."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

# Stripe keeps events for 30 days, and a human can resend one for as long. A record is kept longer than that.
# https://docs.stripe.com/api/events
RETENTION_SECONDS: Final = 90 * 24 * 3600


class RecordStatus(StrEnum):
    RECEIVED = "RECEIVED"
    PROCESSED = "PROCESSED"
    IGNORED = "IGNORED"
    STALE = "STALE"
    FAILED = "FAILED"


# With these statuses another delivery of the event may still apply it. An ignored event changed nothing. An operator
# can remove the reason (link the customer, correct the key) and send the event again: then it is applied.
OPEN: Final = frozenset({RecordStatus.RECEIVED, RecordStatus.FAILED, RecordStatus.IGNORED})


@dataclass(frozen=True, kw_only=True)
class Record:
    """`attempts` counts the deliveries that failed. `stripe_created_at` is the event's `created`."""

    event_id: str
    event_type: str
    status: RecordStatus
    livemode: bool
    stripe_created_at: str
    received_at: str = ""
    api_version: str | None = None
    object_id: str | None = None
    tenant_id: str | None = None
    reason: str | None = None
    error: str | None = None
    attempts: int = 0
    last_seen_at: str | None = None
    processed_at: str | None = None

    @property
    def done(self) -> bool:
        return self.status not in OPEN
