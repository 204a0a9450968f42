"""Two stacks in one account and region: nothing of one is taken for the other's, as SAM's own translator renders it."""

import copy
import io
import json
import zipfile
from typing import Any

import boto3
import pytest
from moto import mock_aws
from samtranslator.translator.transform import transform

from local import template
from local.aws.clients import REGION
from tests.template.test_template import PARAMETERS
from tests.world import CREDENTIALS

CODE = {"Bucket": "code-bucket", "Key": "code.zip"}
# Names of what a resource speaks of, and of an API's default stage: not of the resource.
NOT_ITS_OWN = {"MetricName", "StageName"}
# moto's CloudFormation does not know them, or fails at them (a rule whose bus is another resource).
NOT_IN_MOTO = {"AWS::Scheduler::Schedule", "AWS::Events::Rule", "AWS::CloudWatch::Alarm", "AWS::Logs::MetricFilter"}


class NoPolicies:
    def load(self) -> dict[str, str]:
        return {}


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    source = copy.deepcopy(template.raw())
    for resource in source["Resources"].values():
        for name in ("CodeUri", "ContentUri"):
            if name in resource.get("Properties", {}):
                resource["Properties"][name] = dict(CODE)  # as `sam deploy` does when it has uploaded the code
    translated: dict[str, Any] = transform(source, PARAMETERS, NoPolicies())
    return translated


def test_no_resource_has_a_name_that_another_stack_would_have(rendered: dict[str, Any]) -> None:
    for logical_id, resource in rendered["Resources"].items():
        for name, value in resource.get("Properties", {}).items():
            if (name == "Name" or name.endswith("Name")) and name not in NOT_ITS_OWN:
                assert "AWS::StackName" in json.dumps(value) or set(value) & {"Ref", "Fn::GetAtt"}, (logical_id, name)


def test_the_metrics_of_a_stack_carry_its_name(rendered: dict[str, Any]) -> None:
    stack = {"Ref": "AWS::StackName"}
    for logical_id, resource in rendered["Resources"].items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Lambda::Function":
            assert properties["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"] == stack, logical_id
        if resource["Type"] == "AWS::CloudWatch::Alarm" and properties.get("Namespace") == "Billing":
            assert properties["Dimensions"] == [{"Name": "service", "Value": stack}], logical_id


@pytest.mark.filterwarnings("ignore:Tried to parse")  # moto says of each type that it does not know it
def test_a_second_stack_is_created_beside_the_first(rendered: dict[str, Any]) -> None:
    known = {n: r for n, r in rendered["Resources"].items() if r["Type"] not in NOT_IN_MOTO}
    body = json.dumps(rendered | {"Resources": known})
    parameters: list[Any] = [{"ParameterKey": k, "ParameterValue": v} for k, v in PARAMETERS.items()]
    ids: list[dict[str, str]] = []
    with mock_aws():
        _upload_code()
        formation: Any = boto3.client("cloudformation", REGION)
        for name in ("billing-staging", "billing-prod"):
            formation.create_stack(
                StackName=name, TemplateBody=body, Parameters=parameters, Capabilities=["CAPABILITY_IAM"]
            )
            assert formation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"
            summaries = formation.list_stack_resources(StackName=name)["StackResourceSummaries"]
            ids.append({s["LogicalResourceId"]: s.get("PhysicalResourceId", "") for s in summaries})
    assert ids[0].keys() == ids[1].keys()
    for logical_id in ("BillingTable", "UnpublishedQueue", "StripeWebhookFunction"):
        assert ids[0][logical_id] != ids[1][logical_id], logical_id


def _upload_code() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.py", "")
    s3: Any = boto3.client("s3", REGION)
    s3.create_bucket(Bucket=CODE["Bucket"], CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket=CODE["Bucket"], Key=CODE["Key"], Body=packed.getvalue())
