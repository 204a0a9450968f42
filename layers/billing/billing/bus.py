"""The EventBridge bus: the only user of boto3's EventBridge client."""

import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from billing import deadline

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

SOURCE: Final = "billing"
_TRIES: Final = 4
_BACKOFF_SECONDS: Final = 0.2
_BATCH: Final = 10  # entries that PutEvents takes at once


class NotPublished(Exception):
    """The bus did not take an entry; the stream's record comes again."""


class Bus:
    def __init__(self, client: "EventBridgeClient", name: str) -> None:
        self._client = client
        self._name = name

    def put(self, details: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """(type, detail) each. An entry that is refused is sent again by itself. Raises `NotPublished`."""
        for start in range(0, len(details), _BATCH):
            self._put([self._entry(*one) for one in details[start : start + _BATCH]])

    def _put(self, entries: list[dict[str, Any]]) -> None:
        for attempt in range(_TRIES):
            if attempt and deadline.is_near():
                break
            time.sleep(_BACKOFF_SECONDS * attempt)
            answer = self._client.put_events(Entries=entries)  # type: ignore[arg-type]
            if not answer["FailedEntryCount"]:
                return
            results = zip(entries, answer["Entries"], strict=True)
            entries = [entry for entry, result in results if result.get("ErrorCode")]
        raise NotPublished(f"EventBridge refused {len(entries)} entries.")

    def _entry(self, kind: str, detail: Mapping[str, Any]) -> dict[str, Any]:
        entry = {"Source": SOURCE, "DetailType": kind, "Detail": json.dumps(detail), "EventBusName": self._name}
        return entry | {"Time": detail["time"]}
