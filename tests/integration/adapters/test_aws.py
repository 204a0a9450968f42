"""Checks that the caller gets a 503 if AWS does not answer, answers too late or throttles. No data is lost."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from billing import bootstrap
from billing.adapters import aws
from billing.domain.records import RecordStatus
from local.stripe.engine.store import Object
from tests.integration.support import refused
from tests.world import World

URL = "https://dynamodb.eu-west-1.amazonaws.com"


def client_error(code: str, status: int = 400, **more: Any) -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": status}, **more}
    return ClientError(answer, "Operation")


PASSING = {
    "read timeout": ReadTimeoutError(endpoint_url=URL),
    "connect timeout": ConnectTimeoutError(endpoint_url=URL),
    "no endpoint": EndpointConnectionError(endpoint_url=URL),
    "closed": ConnectionClosedError(endpoint_url=URL),
    "throttled": client_error("ThrottlingException"),
    "throughput": client_error("ProvisionedThroughputExceededException"),
    "internal": client_error("InternalServerError", 500),
    "unavailable": client_error("ServiceUnavailable", 503),
    "throttled transaction": client_error(
        "TransactionCanceledException", CancellationReasons=[{"Code": "None"}, {"Code": "ThrottlingError"}]
    ),
}
LASTING = {
    "denied": client_error("AccessDeniedException"),
    "no table": client_error("ResourceNotFoundException"),
    "invalid": client_error("ValidationException"),
}


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes these operations of AWS fail from now on."""

    def breaks(error: Exception, *operations: str) -> None:
        original = BaseClient._make_api_call  # type: ignore[attr-defined]

        def called(client: BaseClient, operation: str, parameters: Any) -> Any:
            if not operations or operation in operations:
                raise error
            return original(client, operation, parameters)

        monkeypatch.setattr(BaseClient, "_make_api_call", called)

    return breaks


@pytest.mark.parametrize("error", PASSING.values(), ids=PASSING)
def test_temporary_failures_are_recognized(error: Exception) -> None:
    assert aws.is_temporary(error)


@pytest.mark.parametrize("error", [*LASTING.values(), ValueError(), None])
def test_lasting_failures_are_recognized(error: Exception | None) -> None:
    assert not aws.is_temporary(error)


@pytest.mark.parametrize("error", PASSING.values(), ids=PASSING)
def test_an_endpoint_says_when_to_try_again(world: World, broken: Callable[..., None], error: Exception) -> None:
    world.plan()
    broken(error, "GetItem", "BatchGetItem", "Query", "TransactWriteItems")
    answer = world.checkout()
    refused(answer, 503, "aws-unavailable")
    assert answer.headers["Retry-After"] == "2"


@pytest.mark.parametrize("error", LASTING.values(), ids=LASTING)
def test_a_lasting_failure_is_a_500(world: World, broken: Callable[..., None], error: Exception) -> None:
    world.plan()
    broken(error, "GetItem")
    refused(world.checkout(), 500, "internal")


@pytest.mark.parametrize("operation", ["PutItem", "BatchGetItem", "Query", "TransactWriteItems"])
def test_an_event_is_delivered_again(
    world: World, bought: list[Object], monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    original = BaseClient._make_api_call  # type: ignore[attr-defined]

    def called(client: BaseClient, name: str, parameters: Any) -> Any:
        if name == operation:
            raise PASSING["read timeout"]
        return original(client, name, parameters)

    event = next(event for event in bought if event["type"] == "customer.subscription.created")
    with monkeypatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", called)
        answer = world.deliver(event)
        refused(answer, 503, "aws-unavailable")
    record = world.table.record(event["id"])
    assert (record.status if record else None) == (None if operation == "PutItem" else RecordStatus.FAILED)
    assert world.deliver(event).status == 200
    assert [s.status for s in world.subscriptions()] == ["incomplete"]


def test_the_secret_cannot_be_read_for_now(world: World, broken: Callable[..., None]) -> None:
    world.plan()
    broken(PASSING["connect timeout"], "GetSecretValue")
    refused(world.checkout(), 503, "aws-unavailable")


def test_the_secret_may_not_be_read(world: World, broken: Callable[..., None]) -> None:
    world.plan()
    broken(LASTING["denied"], "GetSecretValue")
    refused(world.checkout(), 500, "misconfigured")


def test_a_reconciliation_cannot_be_started_for_now(world: World, broken: Callable[..., None]) -> None:
    broken(PASSING["throttled"], "Invoke")
    refused(world.api("POST", "/stripe/reconcile", tenant=None, admin=True), 503, "aws-unavailable")


def test_a_throttled_table_is_asked_a_few_times(
    world: World, monkeypatch: pytest.MonkeyPatch, broken: Callable[..., None]
) -> None:
    """BatchGetItem of a throttled table answers 200, but without some of the keys."""
    world.plan()
    calls: list[str] = []
    original = BaseClient._make_api_call  # type: ignore[attr-defined]

    def called(client: BaseClient, operation: str, parameters: Any) -> Any:
        if operation != "BatchGetItem":
            return original(client, operation, parameters)
        calls.append(operation)
        return {"Responses": {}, "UnprocessedKeys": parameters["RequestItems"]}

    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr(BaseClient, "_make_api_call", called)
    refused(world.api("POST", "/stripe/portal", json={"customerId": "cus_1"}), 503, "aws-unavailable")
    assert len(calls) == 6


def test_the_time_limits_are_short_unless_a_factor_is_set(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    for factor, seconds in (("", 1), ("60", 60)):
        monkeypatch.setenv("TIME_LIMIT_FACTOR", factor)
        bootstrap.reset()
        config = bootstrap.table().client.meta.config
        assert (config.connect_timeout, config.read_timeout) == (seconds, seconds)  # type: ignore[attr-defined]
