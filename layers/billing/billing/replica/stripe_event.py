"""A Stripe event, and how one is read from the body of a webhook."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from billing import clock
from billing.domain.order import Payload, Snapshot
from billing.errors import InvalidEvent, ThinEvent

# https://docs.stripe.com/upgrades#what-changes-does-stripe-consider-to-be-backwards-compatible
MAX_EVENT_ID: Final = 255  # characters; no id of Stripe is longer


@dataclass(frozen=True)
class Event:
    """`account`: the connected account in which it happened. None: our own.
    https://docs.stripe.com/api/events/object#event_object-account
    """

    id: str
    type: str
    livemode: bool
    api_version: str | None
    snapshot: Snapshot
    account: str | None = None

    @property
    def object(self) -> Payload:
        return self.snapshot.object


def parse_event(body: bytes) -> Event:
    """Raises `InvalidEvent` when the body is not a JSON event, `ThinEvent` for Stripe's v2 format."""
    try:
        event = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidEvent("The body is not UTF-8 JSON.") from error
    if not isinstance(event, dict):
        raise InvalidEvent("The body is not a JSON object.")
    if str(event.get("object", "")).startswith("v2."):
        raise ThinEvent("Configure the endpoint for snapshot events (payload style: snapshot).")
    try:
        created = clock.iso(event["created"])
        parsed = Event(
            id=event["id"],
            type=event["type"],
            livemode=event["livemode"],
            api_version=event.get("api_version"),
            snapshot=Snapshot(event["data"]["object"], created, created),
            account=event.get("account"),
        )
    except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        raise InvalidEvent("The body lacks id, type, livemode, created or data.object of an event.") from error
    if not _well_typed(event) or not 0 < len(parsed.id) <= MAX_EVENT_ID:
        raise InvalidEvent("id, type, livemode or data.object of the event has the wrong type.")
    return parsed


def _well_typed(event: Mapping[str, Any]) -> bool:
    shape = {"id": str, "type": str, "livemode": bool}
    if not all(isinstance(event[name], kind) for name, kind in shape.items()):
        return False
    return isinstance(event["data"]["object"], dict) and (event["id"] + event["type"]).isprintable()
