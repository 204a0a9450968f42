"""The EventBridge bus. Only this module uses boto3's EventBridge client."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from billing import deadline, retry
from billing.adapters.aws.boto import calling

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

SOURCE: Final = "billing"
_WAITS: Final = retry.growing(0.2, tries=4)
AT_ONCE: Final = 10  # the most entries that one call of PutEvents takes


class Bus:
    def __init__(self, client: "EventBridgeClient", name: str) -> None:
        self._client = client
        self._name = name

    def put(self, details: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[int, str]:
        """Puts at most `AT_ONCE` pairs of type and detail on the bus, by one call. Entries that the bus refuses are
        sent again without the others.

        Returns the places of those that it still refuses, with EventBridge's error codes. Raises `AwsUnavailable`, and
        what botocore raises if the call is refused: EventBridge does not say which entry makes it too large. Some of
        the entries may be on the bus then. https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html
        """
        entries = [self._entry(*pair) for pair in details]
        refused = dict.fromkeys(range(len(entries)), "")
        for _ in retry.rounds(_WAITS, reserve=deadline.RESERVE_SECONDS):
            with calling("EventBridge"):
                answer = self._client.put_events(Entries=[entries[place] for place in refused])  # type: ignore[misc]
            results = zip(refused, answer["Entries"], strict=True)
            refused = {place: result["ErrorCode"] for place, result in results if result.get("ErrorCode")}
            if not refused:
                break
        return refused

    def _entry(self, detail_type: str, detail: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "Source": SOURCE,
            "DetailType": detail_type,
            "Detail": json.dumps(detail),
            "EventBusName": self._name,
            "Time": datetime.fromisoformat(detail["time"]),  # botocore reads a text slowly, and twice
        }
