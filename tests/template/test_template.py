"""Checks that the template, the code and the documents agree."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest
from moto.events.models import EventPattern

from billing import errors
from billing.adapters import stripe_api
from billing.adapters.bus import SOURCE
from billing.adapters.table import keys
from billing.domain import announcements
from billing.domain.order import FetchedKind
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
    "StripeSecretArn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:billing/stripe-AbCdEf",
}
FUNCTIONS = template.functions(PARAMETERS, {})
PARAMETER_DEFINITIONS: dict[str, Any] = template.raw()["Parameters"]
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


COUNTED_IN_THE_ACCESS_LOG = {
    transformation["MetricName"]
    for resource in RESOURCES.values()
    if resource["Type"] == "AWS::Logs::MetricFilter"
    for transformation in resource["Properties"]["MetricTransformations"]
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
    assert ("TENANT_CALLS_PER_MINUTE" in names) == ("rate_limit" in source)
    assert not any("secret" in value.lower() and "arn:" not in value for value in function.environment.values())


@by_function
def test_functions_end_before_the_gateway_gives_up(function: template.Function) -> None:
    assert function.timeout < 30 or not function.routes


def test_stripes_answers_fit_into_the_timeouts() -> None:
    assert min(f.timeout for f in FUNCTIONS) > stripe_api.WORST_CASE_SECONDS * 2


def test_the_table_is_safe() -> None:
    [table] = of_type("AWS::DynamoDB::Table").values()
    properties = table["Properties"]
    assert table["UpdateReplacePolicy"] == "Retain"
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert properties["StreamSpecification"] == {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "expiresAt", "Enabled": True}
    assert [k["AttributeName"] for k in properties["KeySchema"]] == list(keys.Key._fields)
    assert [i["IndexName"] for i in properties["GlobalSecondaryIndexes"]] == [
        keys.FAILED_INDEX,
        keys.TENANT_EVENTS_INDEX,
        keys.DUE_INDEX,
    ]


def test_outputs_name_every_endpoint() -> None:
    outputs = json.dumps(template.raw()["Outputs"])
    for key in ROUTES:
        assert key.split(" ")[1] in outputs


def test_alarms_listen_to_metrics_that_the_code_emits() -> None:
    source = "".join(path.read_text() for path in (ROOT / "layers").rglob("*.py"))
    for alarm in of_type("AWS::CloudWatch::Alarm").values():
        if alarm["Properties"].get("Namespace") == "Billing":
            name = alarm["Properties"]["MetricName"]
            assert f'"{name}"' in source or name in COUNTED_IN_THE_ACCESS_LOG


def test_every_alarm_reaches_somebody_and_has_the_dimensions_of_its_metric() -> None:
    for name, alarm in of_type("AWS::CloudWatch::Alarm").items():
        properties = alarm["Properties"]
        assert "AlarmTopicArn" in json.dumps(properties["AlarmActions"]), name
        if properties.get("Namespace") == "Billing":
            assert properties["Dimensions"] == [{"Name": "service", "Value": {"Ref": "AWS::StackName"}}], name
    missed = RESOURCES["ReconciliationMissedAlarm"]["Properties"]
    assert (missed["Threshold"], missed["ComparisonOperator"]) == (1, "GreaterThanOrEqualToThreshold")
    queue = RESOURCES["UnpublishedAlarm"]["Properties"]
    assert queue["MetricName"] == "ApproximateNumberOfMessagesVisible"
    assert "UnpublishedQueue" in json.dumps(queue["Dimensions"])
    assert "OperatorEmail" in json.dumps(RESOURCES["OperatorSubscription"]["Properties"]["Endpoint"])


def test_an_alarm_of_a_new_stack_is_quiet() -> None:
    """A new alarm is in INSUFFICIENT_DATA. If missing data breached, it would notify before anything has run."""
    for name, alarm in of_type("AWS::CloudWatch::Alarm").items():
        assert alarm["Properties"]["TreatMissingData"] in ("notBreaching", "missing"), name
    incomplete = RESOURCES["ReconciliationIncompleteAlarm"]["Properties"]
    assert incomplete["TreatMissingData"] == "missing"
    assert incomplete["InsufficientDataActions"] == incomplete["AlarmActions"], "that no run reports any more is heard"
    errors = RESOURCES["ReconciliationErrorsAlarm"]["Properties"]
    assert errors["MetricName"] == "Errors"
    assert errors["Dimensions"] == [{"Name": "FunctionName", "Value": {"Ref": "ReconcileStripeFunction"}}]


def test_every_function_has_an_alarm_for_its_throttles() -> None:
    watched = []
    for alarm in of_type("AWS::CloudWatch::Alarm").values():
        metrics = [m["MetricStat"]["Metric"] for m in alarm["Properties"].get("Metrics", []) if "MetricStat" in m]
        assert len(metrics) <= 10, "an alarm adds up at most ten metrics"
        assert {(m["Namespace"], m["MetricName"]) for m in metrics} <= {("AWS/Lambda", "Throttles")}
        watched += [m["Dimensions"][0]["Value"]["Ref"] for m in metrics]
    assert sorted(watched) == sorted(f.name for f in FUNCTIONS)


def test_the_webhook_has_a_higher_throttle_of_its_own() -> None:
    [api] = of_type("AWS::Serverless::HttpApi").values()
    settings = api["Properties"]["RouteSettings"]
    [webhook] = [key for key, is_open in ROUTES.items() if is_open]
    assert settings == {
        webhook: {
            "ThrottlingRateLimit": {"Ref": "WebhookRateLimit"},
            "ThrottlingBurstLimit": {"Ref": "WebhookRateLimit"},
        }
    }
    everything_else = api["Properties"]["DefaultRouteSettings"]["ThrottlingRateLimit"]
    assert PARAMETER_DEFINITIONS["WebhookRateLimit"]["Default"] > everything_else
    function = RESOURCES["StripeWebhookFunction"]["Properties"]
    assert function["ReservedConcurrentExecutions"]["Fn::If"][0] == "HasWebhookConcurrency"
    assert PARAMETER_DEFINITIONS["WebhookReservedConcurrency"]["Default"] == ""


def test_a_429_is_counted_by_its_route() -> None:
    """An HTTP API has no metric of its 429s. The filters read fields that the access log has."""
    log = json.loads(RESOURCES["BillingApi"]["Properties"]["AccessLogSettings"]["Format"]["Fn::Sub"])
    assert (log["status"], log["route"], log["service"]) == (
        "$context.status",
        "$context.routeKey",
        "${AWS::StackName}",
    )
    [webhook] = [key for key, is_open in ROUTES.items() if is_open]
    patterns = {}
    for resource in of_type("AWS::Logs::MetricFilter").values():
        properties = resource["Properties"]
        assert properties["LogGroupName"] == {"Ref": "BillingApiLogs"}
        [transformation] = properties["MetricTransformations"]
        assert transformation["Dimensions"] == [{"Key": "service", "Value": "$.service"}]
        patterns[transformation["MetricName"]] = properties["FilterPattern"]
    assert patterns == {
        "ThrottledCalls": f'{{ ($.status = "429") && ($.route != "{webhook}") }}',
        "ThrottledDeliveries": f'{{ ($.status = "429") && ($.route = "{webhook}") }}',
    }
    assert RESOURCES["ThrottledDeliveriesAlarm"]["Properties"]["Threshold"] == 1


def test_a_first_create_that_fails_leaves_no_table() -> None:
    [table] = of_type("AWS::DynamoDB::Table").values()
    assert table["DeletionPolicy"] == "RetainExceptOnCreate"
    assert table["Properties"]["DeletionProtectionEnabled"] == {"Ref": "DeletionProtection"}
    assert PARAMETER_DEFINITIONS["DeletionProtection"]["Default"] == "false"


GOOD = PARAMETERS | {
    "AlarmTopicArn": "arn:aws:sns:eu-west-1:123456789012:pages",
    "OperatorEmail": "billing@example.com",
    "TenantClaim": "https://example.com/tenant_id",
    "AdminScope": "billing/admin",
    "JwtAudience": "https://billing.example.com,1a2b3c",
    "WebhookReservedConcurrency": "50",
}
BAD = {
    "JwtIssuer": ["issuer.example.com", "http://issuer.example.com"],
    "JwtAudience": ["two words"],
    "TenantClaim": ["tenant id", ""],
    "AdminScope": ["billing admin", ""],
    "ReturnOrigins": ["app.example.com", "https://app.example.com/", "https://app.example.com/path", "*"],
    "CheckoutSuccessUrl": ["/done"],
    "CheckoutCancelUrl": ["/"],
    "PortalReturnUrl": ["app.example.com"],
    "StripeSecretArn": ["billing/stripe", "arn:aws:secretsmanager:eu-west-1:1:secret:x", "arn:aws:sns:eu-west-1:1:x"],
    "AlarmTopicArn": ["pages", "arn:aws:sqs:eu-west-1:123456789012:pages", "arn:aws:sns:eu-west-1:123456789012:p.fifo"],
    "OperatorEmail": ["nobody"],
    "WebhookReservedConcurrency": ["0", "-1", "many"],
}


def test_a_wrong_parameter_fails_before_anything_is_made() -> None:
    """CloudFormation compares each member of a list with the pattern:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
    """

    def accepted(name: str, text: str) -> bool:
        definition = PARAMETER_DEFINITIONS[name]
        members = text.split(",") if definition["Type"] == "CommaDelimitedList" else [text]
        pattern = definition.get("AllowedPattern")
        return not pattern or all(re.fullmatch(pattern, member) for member in members)

    free_text = {n for n, d in PARAMETER_DEFINITIONS.items() if d["Type"] != "Number" and "AllowedValues" not in d}
    assert set(BAD) == free_text, "every parameter with free text has a pattern"
    for name, text in GOOD.items():
        assert accepted(name, text), (name, text)
    for name, texts in BAD.items():
        for text in texts:
            assert not accepted(name, text), (name, text)


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
    notified = {
        kind
        for kind in announcements.types("2")
        if pattern.matches_event({"source": SOURCE, "detail-type": kind})  # type: ignore[typeddict-item]
    }
    assert notified == {
        "invoice.overdue",
        "invoice.overpaid",
        "payment.failed",
        "payment.disputed",
        "payment.inquiry_opened",
        "payment.refund_failed",
        "subscription.duplicate_detected",
    }
    [target] = rule["Targets"]
    transformer = target["InputTransformer"]
    schema = json.loads((ROOT / "docs/schemas/announcement.v2.json").read_text())
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
    page = (ROOT / "docs" / "deployment.md").read_text()
    listed = set(re.findall(r"^ *- ((?:[a-z_]+\.)+[a-z_]+)$", page, re.MULTILINE))
    assert listed == set(EFFECTS)


def test_the_documents_list_every_permission_of_the_key() -> None:
    """And the code names one for each call of Stripe."""
    source = Path(stripe_api.__file__).read_text()
    calls = set(re.findall(r'_(?:calling|list)\("([a-z_.]+)"', source))
    kinds = {f"{kind}s.retrieve" for kind in get_args(FetchedKind.__value__)}
    assert calls | kinds == stripe_api.PERMISSIONS.keys()
    page = (ROOT / "docs" / "deployment.md").read_text()
    listed = re.findall(r"^\| ([A-Z][A-Za-z ]+) \| (Write|Read) \|$", page, re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert set(listed) == set(stripe_api.PERMISSIONS.values())


def test_the_documents_list_every_problem() -> None:
    problems = (ROOT / "docs" / "problems.md").read_text()
    listed = dict(re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \|", problems, re.MULTILINE))
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.BillingError)]
    assert listed == {kind.slug: str(kind.status) for kind in kinds}


def test_the_documents_list_every_endpoint() -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    listed = re.findall(r"^\| `((?:GET|POST|PUT) /api/[^`?]+)`", page, re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert set(listed) == set(ROUTES)


def test_the_documents_list_every_announcement() -> None:
    page = (ROOT / "docs" / "announcements.md").read_text()
    assert {kind for kind in announcements.types("2") if f"`{kind}`" not in page} == set()


def test_a_deployment_changes_no_tracked_file() -> None:
    """`sam deploy --guided` writes the answers into the file that it reads. Git ignores the one that we name."""
    mine = "samconfig.mine.toml"
    assert mine in (ROOT / ".gitignore").read_text().splitlines()
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    deployments = [
        line for page in pages for line in page.read_text().splitlines() if re.search(r"sam deploy\b.*--", line)
    ]
    assert deployments
    assert all(f"--config-file {mine}" in line for line in deployments), deployments


def test_a_page_in_a_browser_may_send_the_headers_of_the_api() -> None:
    """CORS: the token, JSON, and every header that the page of the API names. Stripe is no browser."""
    cors = template.raw()["Resources"]["BillingApi"]["Properties"]["CorsConfiguration"]
    named = set(re.findall(r"header `([A-Za-z-]+)`", (ROOT / "docs" / "api.md").read_text()))
    callers = named - {"Stripe-Signature"}
    assert callers
    assert callers | {"Authorization", "Content-Type"} <= {*cors["AllowHeaders"]}
