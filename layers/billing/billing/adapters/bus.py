"""The EventBridge bus. Only this module uses boto3's EventBridge client."""

import json
from collections.abc import Mapping, Sequence
from itertools import batched
from typing import TYPE_CHECKING, Any, Final

from billing import deadline, retry
from billing.adapters.aws.boto import calling

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

SOURCE: Final = "billing"
_WAITS: Final = retry.growing(0.2, tries=4)
_BATCH: Final = 10  # the most entries that one call of PutEvents takes


class NotPublished(Exception):
    """The bus did not accept an entry. The stream sends the record again."""


class Bus:
    def __init__(self, client: "EventBridgeClient", name: str) -> None:
        self._client = client
        self._name = name

    def put(self, details: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """Puts (type, detail) pairs on the bus. Entries that the bus refuses are sent again without the others.

        Raises `NotPublished` and `AwsUnavailable`.
        """
        for batch in batched(details, _BATCH, strict=False):
            self._put([self._entry(*pair) for pair in batch])

    def _put(self, entries: list[dict[str, Any]]) -> None:
        for _ in retry.rounds(_WAITS, reserve=deadline.RESERVE_SECONDS):
            with calling("EventBridge"):
                answer = self._client.put_events(Entries=entries)  # type: ignore[arg-type]
            if not answer["FailedEntryCount"]:
                return
            results = zip(entries, answer["Entries"], strict=True)
            entries = [entry for entry, result in results if result.get("ErrorCode")]
        raise NotPublished(f"EventBridge refused {len(entries)} entries.")

    def _entry(self, detail_type: str, detail: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "Source": SOURCE,
            "DetailType": detail_type,
            "Detail": json.dumps(detail),
            "EventBusName": self._name,
            "Time": detail["time"],
        }
