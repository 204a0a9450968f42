"""The table in memory answers as moto's DynamoDB does, to every call that the histories lead to."""

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from billing.errors import RevisionConflict
from local import template
from local.aws.clients import REGION
from tests.orders.histories import HISTORIES
from tests.orders.life import Life
from tests.orders.memory import Memory
from tests.orders.stage import staged


class Both:
    """Makes every call of both, and compares the answers."""

    def __init__(self, calls: Counter[str], memory: Memory) -> None:
        self.calls = calls
        self.exceptions = memory.exceptions
        self._memory = memory
        self._moto: Any = boto3.client("dynamodb", region_name=REGION)
        self._moto.create_table(**{n: v for n, v in template.table().items() if n != "StreamSpecification"})

    def __getattr__(self, operation: str) -> Any:
        return partial(self._call, operation)

    def _call(self, operation: str, **parameters: Any) -> Any:
        real, made = (_answer(getattr(one, operation), parameters) for one in (self._moto, self._memory))
        assert _compared(made) == _compared(real), (operation, parameters)
        self.calls[f"{operation} refused" if isinstance(made, ClientError) else operation] += 1
        if isinstance(made, ClientError):
            raise made
        return made


def _answer(call: Any, parameters: Any) -> Any:
    try:
        return call(**parameters)
    except ClientError as error:
        return error


def _compared(answer: Any) -> Any:
    if isinstance(answer, ClientError):
        told: Any = answer.response
        return told["Error"]["Code"], [one["Code"] for one in told.get("CancellationReasons", [])], told.get("Item")
    found = [*answer.get("Items", []), *(item for items in answer.get("Responses", {}).values() for item in items)]
    return answer.get("Item"), sorted(found, key=lambda item: (item["PK"]["S"], item["SK"]["S"]))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    return Counter()


@pytest.mark.parametrize("name", ["checkout by card", "customer linked late", "own invoice paid twice"])
def test_as_moto_answers(name: str, calls: Counter[str]) -> None:
    with mock_aws(), staged(partial(Both, calls)) as stage:
        life = Life(stage, HISTORIES[name], (1,))
        for event in life.events * 2:
            assert stage.world.deliver(event).status == 200
        stage.world.run("sweep_due_items", {})
        table = stage.world.table
        tenant = table.tenant("t1")
        assert tenant
        with pytest.raises(RevisionConflict):
            table.write([replace(tenant, revision=tenant.revision - 1)])
    for operation in ("batch_get_item", "query", "put_item refused", "transact_write_items refused"):
        assert calls[operation], operation
