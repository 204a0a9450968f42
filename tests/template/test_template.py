"""Checks that the template, the code and the documents agree."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from moto.events.models import EventPattern

from billing import errors
from billing.adapters import stripe_api
from billing.adapters.bus import SOURCE
from billing.adapters.table import keys
from billing.domain.announcements import TYPES
from billing.replica.effects import EFFECTS
from local import template
from local.template import ROOT

PARAMETERS = {
    "JwtIssuer": "https://issuer.example.com",
    "JwtAudience": "billing",
    "ReturnOrigins": "https://a.example.com, https://b.example.com",
    "CheckoutSuccessUrl": "https://a.example.com/s",
    "CheckoutCancelUrl": "https://a.example.com/c",
    "PortalReturnUrl": "https://a.example.com/p",
    "StripeSecretArn": "arn:aws:secretsmanager:eu-west-1:1:secret:x",
}
FUNCTIONS = template.functions(PARAMETERS, {})
RESOURCES: dict[str, Any] = template.raw()["Resources"]
by_function = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.name)

# The routes of the contract with clients. True means that the route needs no token.
ROUTES = {
    "POST /api/v1/billing/stripe/checkout": False,
    "POST /api/v1/billing/stripe/portal": False,
    "POST /api/v1/billing/invoices/{invoiceId}/payment-intent": False,
    "POST /api/v1/billing/stripe/webhook": True,
    "PUT /api/v1/billing/plans/{planId}": False,
    "POST /api/v1/billing/tenants/{tenantId}/invoices": False,
    "GET /api/v1/billing/stripe/checkout/{sessionId}": False,
    "GET /api/v1/billing/stripe/events": False,
    "GET /api/v1/billing/stripe/events/{eventId}": False,
    "POST /api/v1/billing/stripe/events/{eventId}/replay": False,
    "POST /api/v1/billing/stripe/reconcile": False,
    "GET /api/v1/billing/tenants/{tenantId}/history": False,
}


def of_type(kind: str) -> dict[str, Any]:
    return {name: resource for name, resource in RESOURCES.items() if resource["Type"] == kind}


def test_sam_validates_the_template() -> None:
    sam = Path(sys.executable).with_name("sam")
    done = subprocess.run([sam, "validate", "--lint"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_routes_match_the_contract() -> None:
    assert {route.key: route.open for f in FUNCTIONS for route in f.routes} == ROUTES


def test_the_default_authorizer_checks_tokens() -> None:
    [api] = of_type("AWS::Serverless::HttpApi").values()
    auth = api["Properties"]["Auth"]
    authorizer = auth["Authorizers"][auth["DefaultAuthorizer"]]
    assert authorizer["JwtConfiguration"] == {"issuer": {"Ref": "JwtIssuer"}, "audience": {"Ref": "JwtAudience"}}


@by_function
def test_every_function_is_there_and_small(function: template.Function) -> None:
    source = function.code / "app.py"
    assert [p.name for p in function.code.iterdir() if p.name != "__pycache__"] == ["app.py"]
    assert function.handler == "app.handler"
    assert len(source.read_text().splitlines()) <= 25
    [handler] = [n for n in ast.parse(source.read_text()).body if isinstance(n, ast.FunctionDef)]
    assert handler.name == "handler"


def test_every_folder_is_a_function() -> None:
    folders = {path for path in (ROOT / "functions").iterdir() if path.is_dir()}
    assert {f.code for f in FUNCTIONS} == folders


@by_function
def test_every_function_has_an_event_to_invoke_it_with(function: template.Function) -> None:
    [path] = (ROOT / "events").glob(f"*/{function.code.name}.json")
    event = json.loads(path.read_text())
    assert (path.parent.name == "api") == bool(function.routes)
    if function.routes:
        assert event["version"] == "2.0"
        assert event["routeKey"] in {route.key for route in function.routes}


@by_function
def test_policies_name_exact_actions_on_exact_resources(function: template.Function) -> None:
    for policy in RESOURCES[function.name]["Properties"]["Policies"]:
        for statement in policy["Statement"]:
            assert "*" not in json.dumps(statement)


@by_function
def test_every_function_has_a_log_group_with_retention(function: template.Function) -> None:
    group = RESOURCES[function.name]["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]
    assert RESOURCES[group]["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}


@by_function
def test_a_function_has_just_the_variables_that_its_code_reads(function: template.Function) -> None:
    names = set(function.environment)
    assert ("STRIPE_SECRET_ARN" in names) == ("secretsmanager:GetSecretValue" in function.actions)
    source = (function.code / "app.py").read_text()
    assert ("CHECKOUT_SUCCESS_URL" in names) == ("checkout.start" in source)
    assert ("RETURN_ORIGINS" in names) == ("portal" in source)
    assert ("TENANT_CLAIM" in names) == ("caller" in source)
    assert not any("secret" in value.lower() and "arn:" not in value for value in function.environment.values())


@by_function
def test_functions_end_before_the_gateway_gives_up(function: template.Function) -> None:
    assert function.timeout < 30 or not function.routes


def test_stripes_answers_fit_into_the_timeouts() -> None:
    assert min(f.timeout for f in FUNCTIONS) > stripe_api.WORST_CASE_SECONDS * 2


def test_the_table_is_safe() -> None:
    [table] = of_type("AWS::DynamoDB::Table").values()
    properties = table["Properties"]
    assert table["DeletionPolicy"] == table["UpdateReplacePolicy"] == "Retain"
    assert properties["DeletionProtectionEnabled"] is True
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert properties["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "expiresAt", "Enabled": True}
    assert [k["AttributeName"] for k in properties["KeySchema"]] == list(keys.Key._fields)
    assert [i["IndexName"] for i in properties["GlobalSecondaryIndexes"]] == [
        keys.FAILED_INDEX,
        keys.TENANT_EVENTS_INDEX,
    ]


def test_what_is_deployed_is_pinned() -> None:
    lines = (ROOT / "layers" / "billing" / "requirements.txt").read_text().splitlines()
    pinned = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in pinned)
    assert {"aws-lambda-powertools", "stripe", "boto3", "pydantic"} <= {
        line.split("==")[0].replace("_", "-") for line in pinned
    }


def test_outputs_name_every_endpoint() -> None:
    outputs = json.dumps(template.raw()["Outputs"])
    for key in ROUTES:
        assert key.split(" ")[1] in outputs


def test_alarms_listen_to_metrics_that_the_code_emits() -> None:
    source = "".join(path.read_text() for path in (ROOT / "layers").rglob("*.py"))
    for alarm in of_type("AWS::CloudWatch::Alarm").values():
        if alarm["Properties"]["Namespace"] == "Billing":
            assert f'"{alarm["Properties"]["MetricName"]}"' in source


def test_every_alarm_reaches_somebody_and_has_the_dimensions_of_its_metric() -> None:
    for name, alarm in of_type("AWS::CloudWatch::Alarm").items():
        properties = alarm["Properties"]
        assert "AlarmTopicArn" in json.dumps(properties["AlarmActions"]), name
        if properties["Namespace"] == "Billing":
            assert properties["Dimensions"] == [{"Name": "service", "Value": {"Ref": "AWS::StackName"}}], name
    missed = RESOURCES["ReconciliationMissedAlarm"]["Properties"]
    assert (missed["Threshold"], missed["ComparisonOperator"]) == (1, "GreaterThanOrEqualToThreshold")
    queue = RESOURCES["UnpublishedAlarm"]["Properties"]
    assert queue["MetricName"] == "ApproximateNumberOfMessagesVisible"
    assert "UnpublishedQueue" in json.dumps(queue["Dimensions"])
    assert "OperatorEmail" in json.dumps(RESOURCES["OperatorSubscription"]["Properties"]["Endpoint"])


def test_the_stream_is_tried_again_within_bounds_and_loses_nothing() -> None:
    stream = RESOURCES["PublishBillingEventsFunction"]["Properties"]["Events"]["Stream"]["Properties"]
    assert stream["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert stream["BisectBatchOnFunctionError"] is True
    assert stream["StartingPosition"] == "TRIM_HORIZON"
    assert 0 < stream["MaximumRetryAttempts"] <= 100
    assert 3600 <= stream["MaximumRecordAgeInSeconds"] < 24 * 3600, "the stream keeps its records for 24 hours"
    assert "UnpublishedQueue" in json.dumps(stream["DestinationConfig"]["OnFailure"])


def test_reconciliation_runs_every_hour() -> None:
    hourly = RESOURCES["ReconcileStripeFunction"]["Properties"]["Events"]["Hourly"]["Properties"]
    assert hourly["ScheduleExpression"] == "rate(1 hour)"
    assert json.loads(hourly["Input"]) == {}, "the function refuses an event that it does not know"


def test_operators_are_notified_of_what_needs_a_person() -> None:
    """moto evaluates the pattern of the rule.

    The text for the operators may use only fields that the schema of the announcements defines.
    """
    rule = RESOURCES["OperatorRule"]["Properties"]
    pattern = EventPattern.load(json.dumps(rule["EventPattern"]))
    notified = {kind for kind in TYPES if pattern.matches_event({"source": SOURCE, "detail-type": kind})}  # type: ignore[typeddict-item]
    assert notified == {"invoice.overdue", "payment.failed", "payment.disputed", "subscription.duplicate_detected"}
    [target] = rule["Targets"]
    transformer = target["InputTransformer"]
    schema = json.loads((ROOT / "docs/schemas/announcement.v1.json").read_text())
    fields = {path.removeprefix("$.detail.") for path in transformer["InputPathsMap"].values()} - {"$.detail-type"}
    assert fields <= set(schema["properties"])
    assert set(re.findall("<([a-z]+)>", transformer["InputTemplate"])) == set(transformer["InputPathsMap"])
    assert "\n" not in json.loads(transformer["InputTemplate"]), "EventBridge needs a JSON string in one line"


def test_samconfig_has_the_environments() -> None:
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    assert {"default", "staging", "prod"} <= set(config)
    local = config["default"]["local_invoke"]["parameters"]
    assert local["env_vars"] == ".local/sam-env.json"
    assert local["add_host"] == ["host.docker.internal:host-gateway"]


@pytest.mark.parametrize("environment", ["default", "staging", "prod"])
def test_what_is_built_is_what_is_deployed(environment: str) -> None:
    """The layer holds code for one architecture, so build and deploy must use the same parameters."""
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())[environment]
    overrides = [config.get(c, {}).get("parameters", {}).get("parameter_overrides") for c in ("build", "deploy")]
    assert overrides[0] == overrides[1]


def test_the_documents_list_what_the_code_handles() -> None:
    readme = (ROOT / "README.md").read_text()
    listed = set(re.findall(r"^ *- ((?:[a-z_]+\.)+[a-z_]+)$", readme, re.MULTILINE))
    assert listed == set(EFFECTS)


def test_the_documents_list_every_problem() -> None:
    problems = (ROOT / "docs" / "problems.md").read_text()
    listed = dict(re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \|", problems, re.MULTILINE))
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.BillingError)]
    assert listed == {kind.slug: str(kind.status) for kind in kinds}


def test_the_readme_lists_every_endpoint() -> None:
    readme = (ROOT / "README.md").read_text()
    assert set(re.findall(r"^\| `((?:GET|POST|PUT) /api/[^`?]+)`", readme, re.MULTILINE)) == set(ROUTES)


def test_the_documents_list_every_announcement() -> None:
    page = (ROOT / "docs" / "announcements.md").read_text()
    assert {kind for kind in TYPES if f"`{kind}`" not in page} == set()
