"""Calls AWS with boto3, and says which of its failures pass by themselves.

A time-out, a throttle, an internal failure of AWS and an endpoint that cannot be reached become `AwsUnavailable`. Every
other failure is raised as botocore raises it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection

from billing.adapters.aws import failures

if TYPE_CHECKING:
    from billing.adapters.aws.json_api import Limits


def client(service: Any, limits: "Limits") -> Any:
    """A client with these limits for each attempt. boto3 makes one more attempt where that may help."""
    retries: Any = {"mode": "standard", "total_max_attempts": 2}
    config = Config(connect_timeout=limits.connect, read_timeout=limits.read, retries=retries)
    return boto3.client(service, config=config)


@contextmanager
def calling(service: str) -> Iterator[None]:
    """Around one call of AWS. `service` is its name for people: EventBridge. Raises `AwsUnavailable`."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        if not _is_temporary(error):
            raise
        raise failures.unavailable(service, _name(error)) from error


def _is_temporary(error: BotoCoreError | ClientError) -> bool:
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return failures.is_temporary(status, {_name(error)})
    return isinstance(error, HTTPClientError | NoConnection)


def _name(error: BotoCoreError | ClientError) -> str:
    return str(error.response["Error"].get("Code")) if isinstance(error, ClientError) else type(error).__name__
