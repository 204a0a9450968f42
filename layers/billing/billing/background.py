"""Starts another function and does not wait for it: the only user of boto3's Lambda client."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


class Background:
    def __init__(self, client: "LambdaClient", function: str) -> None:
        self._client = client
        self._function = function

    def start(self, payload: Mapping[str, Any]) -> None:
        """Returns when Lambda has taken the event (202); it runs at least once, a moment later."""
        body = json.dumps(payload).encode()
        self._client.invoke(FunctionName=self._function, InvocationType="Event", Payload=body)
