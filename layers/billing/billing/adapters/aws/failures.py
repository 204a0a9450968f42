"""Which failures of AWS pass by themselves, and the error that callers get for them."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from billing.errors import AwsUnavailable
from billing.observability import logger

RETRY_AFTER_SECONDS: Final = 2
# Sources: botocore/retries/standard.py (ThrottledRetryableChecker), and for transactions
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
THROTTLES: Final = frozenset(
    "Throttling ThrottlingError ThrottlingException ThrottledException RequestThrottledException RequestThrottled "
    "TooManyRequestsException ProvisionedThroughputExceeded ProvisionedThroughputExceededException "
    "TransactionInProgressException RequestLimitExceeded LimitExceededException PriorRequestNotComplete "
    "SlowDown".split()
)


def is_temporary(status: int, codes: Iterable[str]) -> bool:
    """Whether the same call may succeed a moment later. `codes`: the error's, and those of a transaction's items."""
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR or not THROTTLES.isdisjoint(codes)


def unavailable(service: str, error: str) -> AwsUnavailable:
    """To be raised. `service` is its name for people; `error`, for the log, is AWS's code or an exception's name."""
    logger.warning("AWS call failed", extra={"service": service, "error": error})
    return AwsUnavailable(f"{service} does not answer at the moment; try again.", retry_after=RETRY_AFTER_SECONDS)
