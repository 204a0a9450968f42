"""The idempotency record of a Stripe event, as it stands in the table under `EVENT#<evt_…>`."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

# Stripe keeps events for 30 days and lets a human resend one for as long; a record outlives them.
# https://docs.stripe.com/api/events
RETENTION_SECONDS: Final = 90 * 24 * 3600


class RecordStatus(StrEnum):
    RECEIVED = "RECEIVED"
    PROCESSED = "PROCESSED"
    IGNORED = "IGNORED"
    STALE = "STALE"
    FAILED = "FAILED"


# What another delivery may still apply. An ignored event changed nothing: sent again by an operator who removed the
# reason (linked the customer, corrected the key), it is applied for the first time.
OPEN: Final = frozenset({RecordStatus.RECEIVED, RecordStatus.FAILED, RecordStatus.IGNORED})


@dataclass(frozen=True, kw_only=True)
class Record:
    """`attempts` counts the deliveries that failed; `stripe_created_at` is the event's `created`."""

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
