"""Checks that the caller gets a 503 if AWS does not answer, answers too late or throttles. No data is lost."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from billing import bootstrap
from billing.adapters.aws import failures
from billing.adapters.aws.boto import calling
from billing.adapters.aws.json_api import AwsError
from billing.domain.records import RecordStatus
from billing.errors import AwsUnavailable
from local.stripe.engine.store import Object
from tests.aws_calls import intercept
from tests.integration.support import refused
from tests.world import World

URL = "https://events.eu-west-1.amazonaws.com"


def client_error(code: str, status: int = 400) -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "Operation")


PASSING = {
    "read timeout": ReadTimeoutError(endpoint_url=URL),
    "connect timeout": ConnectTimeoutError(endpoint_url=URL),
    "no endpoint": EndpointConnectionError(endpoint_url=URL),
    "closed": ConnectionClosedError(endpoint_url=URL),
    "throttled": client_error("ThrottlingException"),
    "internal": client_error("InternalServerError", 500),
    "unavailable": client_error("ServiceUnavailable", 503),
}
LASTING = {
    "denied": client_error("AccessDeniedException"),
    "not there": client_error("ResourceNotFoundException"),
    "invalid": client_error("ValidationException"),
}
DENIED = AwsError("AccessDeniedException", {})


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes these operations of AWS fail from now on. Without an error: as the client says after its repetition."""

    def breaks(operations: tuple[str, ...], error: Exception | None = None) -> None:
        def between(service: str, operation: str, _: Any, call: Callable[[], Any]) -> Any:
            if operation in operations:
                raise error or failures.unavailable(service, "test")
            return call()

        intercept(monkeypatch, between)

    return breaks


@pytest.mark.parametrize("error", PASSING.values(), ids=PASSING)
def test_temporary_failures_of_boto3_are_recognized(error: Exception) -> None:
    with pytest.raises(AwsUnavailable), calling("EventBridge"):
        raise error


@pytest.mark.parametrize("error", [*LASTING.values(), ValueError()])
def test_lasting_failures_of_boto3_are_raised_as_they_are(error: Exception) -> None:
    with pytest.raises(type(error)), calling("EventBridge"):
        raise error


@pytest.mark.parametrize("operation", ["GetItem", "Query", "TransactWriteItems", "UpdateItem"])
def test_an_endpoint_says_when_to_try_again(world: World, broken: Callable[..., None], operation: str) -> None:
    world.plan()
    broken((operation,))
    answer = world.checkout()
    refused(answer, 503, "aws-unavailable")
    assert answer.headers["Retry-After"] == "2"


@pytest.mark.parametrize("error", [DENIED, AwsError("ValidationException", {"message": "no"})])
def test_a_lasting_failure_is_a_500(world: World, broken: Callable[..., None], error: Exception) -> None:
    world.plan()
    broken(("GetItem",), error)
    refused(world.checkout(), 500, "internal")


@pytest.mark.parametrize("operation", ["PutItem", "BatchGetItem", "Query", "TransactWriteItems"])
def test_an_event_is_delivered_again(
    world: World, bought: list[Object], monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    def between(service: str, called: str, _: Any, call: Callable[[], Any]) -> Any:
        if called == operation:
            raise failures.unavailable(service, "test")
        return call()

    event = next(event for event in bought if event["type"] == "customer.subscription.created")
    with monkeypatch.context() as patch:
        intercept(patch, between)
        answer = world.deliver(event)
        refused(answer, 503, "aws-unavailable")
    record = world.table.record(event["id"])
    assert (record.status if record else None) == (None if operation == "PutItem" else RecordStatus.FAILED)
    assert world.deliver(event).status == 200
    assert [s.status for s in world.subscriptions()] == ["incomplete"]


def test_the_secret_cannot_be_read_for_now(world: World, broken: Callable[..., None]) -> None:
    world.plan()
    broken(("GetSecretValue",))
    refused(world.checkout(), 503, "aws-unavailable")


def test_the_secret_may_not_be_read(world: World, broken: Callable[..., None]) -> None:
    world.plan()
    broken(("GetSecretValue",), DENIED)
    refused(world.checkout(), 500, "misconfigured")


def test_a_reconciliation_cannot_be_started_for_now(world: World, broken: Callable[..., None]) -> None:
    broken(("Invoke",), PASSING["throttled"])
    refused(world.api("POST", "/stripe/reconcile", tenant=None, admin=True), 503, "aws-unavailable")


def test_a_throttled_table_is_asked_a_few_times(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """BatchGetItem of a throttled table answers 200, but without some of the keys."""
    world.plan()
    calls: list[str] = []

    def between(_: str, operation: str, parameters: Any, call: Callable[[], Any]) -> Any:
        if operation != "BatchGetItem":
            return call()
        calls.append(operation)
        return {"Responses": {}, "UnprocessedKeys": parameters["RequestItems"]}

    monkeypatch.setattr("time.sleep", lambda _: None)
    intercept(monkeypatch, between)
    refused(world.api("POST", "/stripe/portal", json={"customerId": "cus_1"}), 503, "aws-unavailable")
    assert len(calls) == 6


def test_the_time_limits_are_short_unless_a_factor_is_set(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    for factor, seconds in (("", 1), ("60", 60)):
        monkeypatch.setenv("TIME_LIMIT_FACTOR", factor)
        bootstrap.reset()
        assert bootstrap.table().api.limits == (seconds, seconds)
