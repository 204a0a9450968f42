"""Starts another function and does not wait for its end. Only this module uses boto3's Lambda client."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from billing.adapters.aws.boto import calling

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


class Background:
    def __init__(self, client: "LambdaClient", function: str) -> None:
        self._client = client
        self._function = function

    def start(self, payload: Mapping[str, Any]) -> None:
        """Returns when Lambda has accepted the event (202). The function then runs at least once.

        Raises `AwsUnavailable`.
        """
        body = json.dumps(payload).encode()
        with calling("Lambda"):
            self._client.invoke(FunctionName=self._function, InvocationType="Event", Payload=body)
