"""Calls AWS, and says which of its failures pass by themselves.

A time-out, a throttle, an internal failure of AWS and an endpoint that cannot be reached become `AwsUnavailable`. Every
other failure is raised as botocore raises it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection

from billing.errors import AwsUnavailable
from billing.observability import logger

RETRY_AFTER_SECONDS: Final = 2
# Sources: botocore/retries/standard.py (ThrottledRetryableChecker), and for transactions
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
_THROTTLES: Final = frozenset(
    "Throttling ThrottlingError ThrottlingException ThrottledException RequestThrottledException RequestThrottled "
    "TooManyRequestsException ProvisionedThroughputExceeded ProvisionedThroughputExceededException "
    "TransactionInProgressException RequestLimitExceeded LimitExceededException PriorRequestNotComplete "
    "SlowDown".split()
)


@contextmanager
def calling(service: str) -> Iterator[None]:
    """Around one call of AWS. `service` is its name for people: DynamoDB, EventBridge. Raises `AwsUnavailable`."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        if not is_temporary(error):
            raise
        raise unavailable(service, _name(error)) from error


def unavailable(service: str, error: str) -> AwsUnavailable:
    """To be raised. `error` is for the log: AWS's code, or the name of botocore's exception."""
    logger.warning("AWS call failed", extra={"service": service, "error": error})
    return AwsUnavailable(f"{service} does not answer at the moment; try again.", retry_after=RETRY_AFTER_SECONDS)


def is_temporary(error: BaseException | None) -> bool:
    """Whether the same call may succeed a moment later."""
    if isinstance(error, ClientError):
        reasons = error.response.get("CancellationReasons", [])
        codes = {error.response["Error"].get("Code"), *(reason.get("Code") for reason in reasons)}
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", HTTPStatus.OK)
        return bool(codes & _THROTTLES) or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return isinstance(error, HTTPClientError | NoConnection)


def _name(error: BotoCoreError | ClientError) -> str:
    return str(error.response["Error"].get("Code")) if isinstance(error, ClientError) else type(error).__name__
