"""The table in memory answers as moto's DynamoDB does, to every call that the histories lead to."""

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Any

import boto3
import pytest
from botocore import xform_name
from botocore.exceptions import ClientError
from moto import mock_aws

from billing.adapters.aws.json_api import AwsError
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
        self._memory = memory
        self._moto: Any = boto3.client("dynamodb", region_name=REGION)
        self._moto.create_table(**{n: v for n, v in template.table().items() if n != "StreamSpecification"})

    def call(self, operation: str, parameters: Any) -> Any:
        try:
            real = getattr(self._moto, xform_name(operation))(**parameters)
        except ClientError as error:
            real = {"code": error.response["Error"]["Code"], **error.response}
        try:
            made = self._memory.call(operation, parameters)
        except AwsError as error:
            assert _compared({"code": error.code, **error.answer}) == _compared(real), (operation, parameters)
            self.calls[f"{operation} refused"] += 1
            raise
        assert _compared(made) == _compared(real), (operation, parameters)
        self.calls[operation] += 1
        return made


def _compared(answer: Any) -> Any:
    if "code" in answer:
        reasons = [one["Code"] for one in answer.get("CancellationReasons", [])]
        return answer["code"], reasons, answer.get("Item")
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
    for operation in ("BatchGetItem", "Query", "PutItem refused", "TransactWriteItems refused"):
        assert calls[operation], operation
