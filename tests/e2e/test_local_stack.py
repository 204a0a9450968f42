"""Checks the local stack over HTTP, as a developer uses it. Each function runs in its own process."""

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import jwt
import pytest
import requests
from botocore.exceptions import ClientError
from moto.dynamodb.models.table import Table
from moto.dynamodbstreams.models import dynamodbstreams_backends

from billing.adapters.aws.json_api import JsonApi
from local import template, tokens
from local.aws.clients import AwsAccess
from local.aws.runtime import FunctionError, Runtime
from local.aws.server import ITERATORS
from local.aws.stream import StreamPoller
from local.stack import FREE, Stack
from local.stripe_setup.expected import managed

TIMEOUT = 600  # in seconds; long enough for a busy machine
CHECKOUT = "stripe/checkout?tenantId=550e8400&planId=plan-pro"


def post(stack: Stack, path: str, token: str | None, **request: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return requests.post(f"{stack.api_url}/api/v1/billing/{path}", headers=headers, timeout=TIMEOUT, **request)


def environment(stack: Stack) -> dict[str, str]:
    lines = (stack.state / "stack.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_the_three_calls_of_the_documents(stack: Stack) -> None:
    token = environment(stack)["TOKEN"]
    checkout = post(stack, CHECKOUT, token)
    assert (checkout.status_code, set(checkout.json())) == (200, {"sessionUrl"})
    portal = post(stack, "stripe/portal?customerId=cus_abc123", token)
    assert (portal.status_code, set(portal.json())) == (200, {"portalUrl"})
    payment = post(stack, "invoices/inv-001/payment-intent", token)
    assert (payment.status_code, set(payment.json())) == (200, {"clientSecret"})


def test_the_portal_is_that_of_a_deployment(stack: Stack) -> None:
    """As `make stripe-setup` makes it."""
    assert stack.stripe
    token, store = environment(stack)["TOKEN"], stack.stripe.store
    address = post(stack, "stripe/portal?customerId=cus_abc123", token).json()["portalUrl"]
    session = store.get("billing_portal.session", address.rpartition("/")[2])
    used = store.get("billing_portal.configuration", session["configuration"])
    update = used["features"]["subscription_update"]
    assert (managed(used), update["proration_behavior"], len(update["products"])) == (True, "always_invoice", 3)


def test_the_environment_file(stack: Stack) -> None:
    names = {"API_URL", "STRIPE_API_BASE", "AWS_ENDPOINT_URL", "TABLE_NAME", "STRIPE_WEBHOOK_SECRET", "TOKEN"}
    assert names | {"ADMIN_TOKEN"} <= set(environment(stack))
    assert (stack.state / "stack.env").stat().st_mode & 0o077 == 0


def test_every_function_has_just_its_own_environment(stack: Stack) -> None:
    inside = json.loads((stack.state / "sam-env.json").read_text())["Parameters"]
    assert "127.0.0.1" not in json.dumps(inside)
    assert not any("sk_test" in value or "whsec" in value for value in inside.values())


@pytest.mark.parametrize(
    "token",
    [
        None,
        "",
        "x.y.z",
        jwt.encode({"tenant_id": "550e8400"}, "", algorithm="none"),
        jwt.encode(
            {"tenant_id": "550e8400", "iss": tokens.ISSUER, "aud": tokens.AUDIENCE}, "s" * 32, algorithm="HS256"
        ),
        jwt.encode({}, "s" * 32, algorithm="HS256", headers={"crit": ["x\r\ny"], "x\r\ny": 1}),
    ],
)
def test_tokens_that_nobody_signed(stack: Stack, token: str | None) -> None:
    answer = post(stack, CHECKOUT, token)
    assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized"})


@pytest.mark.parametrize(
    "claims", [{"exp": 1}, {"aud": "other"}, {"iss": "https://other"}, {"nbf": 9_999_999_999}, {"nbf": "1"}]
)
def test_tokens_that_are_not_for_us(stack: Stack, claims: dict[str, Any]) -> None:
    token = tokens.issue("550e8400", folder=stack.state, **claims)
    assert post(stack, CHECKOUT, token).status_code == 401


@pytest.mark.parametrize("more", ["=", "==", "!"])
def test_tokens_with_more_characters_than_were_issued(stack: Stack, more: str) -> None:
    assert post(stack, CHECKOUT, stack.token("550e8400") + more).status_code == 401


def test_another_tenants_token(stack: Stack) -> None:
    answer = post(stack, CHECKOUT, stack.token("intruder"))
    assert answer.status_code == 403
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_unknown_routes_and_methods(stack: Stack) -> None:
    for method, path in (("GET", "stripe/checkout"), ("POST", "stripe/nothing")):
        answer = requests.request(method, f"{stack.api_url}/api/v1/billing/{path}", timeout=TIMEOUT)
        assert (answer.status_code, answer.json()) == (404, {"message": "Not Found"})


@pytest.mark.parametrize("origin", ["http://localhost:5173", "http://localhost:3000"])
def test_browsers_of_allowed_origins_may_call(stack: Stack, origin: str) -> None:
    """As the template says: the gateway of a deployment gives the same answers."""
    configured = template.raw()["Resources"]["BillingApi"]["Properties"]["CorsConfiguration"]
    url = f"{stack.api_url}/api/v1/billing/stripe/checkout"
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    preflight = requests.options(url, headers={"Origin": origin, **asked}, timeout=TIMEOUT)
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == origin
    assert preflight.headers["Access-Control-Allow-Methods"] == ",".join(configured["AllowMethods"])
    assert preflight.headers["Access-Control-Allow-Headers"] == ",".join(configured["AllowHeaders"])
    assert preflight.headers["Access-Control-Max-Age"] == str(configured["MaxAge"])
    answer = requests.post(url, headers={"Origin": origin}, timeout=TIMEOUT)
    assert answer.status_code == 401
    assert answer.headers["Access-Control-Allow-Origin"] == origin


def test_an_answer_names_the_request_as_the_gateway_of_aws_does(stack: Stack) -> None:
    answer = post(stack, CHECKOUT, stack.token("intruder"))
    assert answer.headers["Apigw-Requestid"] == answer.json()["requestId"]


def test_the_webhook_needs_no_token_but_a_signature(stack: Stack) -> None:
    answer = post(stack, "stripe/webhook", None, data=b'{"id": "evt_1"}')
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:billing:problem:invalid-signature")
    answer = post(stack, "stripe/webhook", None, data=b"\xff\xfe")
    assert answer.status_code == 400


def test_a_function_that_runs_out_of_time_is_stopped(stack: Stack, tmp_path: Path) -> None:

    (tmp_path / "app.py").write_text(
        "import os, threading\n"
        "def handler(event, context):\n"
        "    if event == 'hang': threading.Event().wait()\n"
        "    if event == 'crash': os._exit(1)\n"
        "    if event == 'raise': raise ValueError\n"
        "    return sorted(os.environ)\n"
    )
    made = replace(template.functions(stack.parameters(), {})[0], code=tmp_path, environment={"MINE": "1"})
    hanging = Runtime(replace(made, timeout=1), stack.aws.environment, tmp_path, time_limit_factor=1)
    runtime = Runtime(replace(made, timeout=600), stack.aws.environment, tmp_path, time_limit_factor=1)
    try:
        began = time.monotonic()
        with pytest.raises(FunctionError):
            hanging.invoke("hang")
        assert time.monotonic() - began < 300
        for event in ("crash", "raise"):
            with pytest.raises(FunctionError):
                runtime.invoke(event)
        assert runtime.last
        assert runtime.last.log
        logged = runtime.last.log.lines(runtime.last.request_id)
        assert [line["exception"].splitlines()[-1] for line in logged] == ["ValueError"]
        names = runtime.invoke("environment")
        assert "MINE" in names
        assert "HOME" not in names
    finally:
        hanging.close()
        runtime.close()


def test_a_failing_delivery_is_repeated_until_it_is_taken(stack: Stack) -> None:
    assert stack.stripe
    stripe = stack.stripe
    session_url = post(stack, "stripe/checkout?tenantId=retry&planId=plan-pro", stack.token("retry")).json()[
        "sessionUrl"
    ]
    failure = {"status": "500", "count": "2", "path": "/v1/subscriptions"}
    requests.post(f"{stack.stripe_base}/_control/failures", failure, timeout=TIMEOUT)
    session = session_url.rsplit("/", 1)[1]
    requests.post(f"{stack.stripe_base}/_control/checkout_sessions/{session}/complete", timeout=TIMEOUT)
    assert stripe.webhooks.wait_idle(TIMEOUT)
    statuses = [d["status"] for d in stripe.webhooks.log if d["type"] == "checkout.session.completed"]
    assert statuses[-1] == 200


def test_live_keys_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for key in ("sk_live_1", "rk_live_1"):
        monkeypatch.setenv("STRIPE_API_KEY", key)
        with pytest.raises(RuntimeError, match="live key"):
            Stack(FREE, tmp_path)


def test_a_shell_that_read_the_file_of_another_stack_starts_one_with_a_stand_in(tmp_path: Path) -> None:
    other = "http://127.0.0.1:22111"
    sourced = {"STRIPE_API_BASE": other, "STRIPE_CONTROL_URL": f"{other}/_control"}
    assert Stack(FREE, tmp_path, sourced).stripe_base == ""
    assert Stack(FREE, tmp_path, {"STRIPE_API_BASE": other}).stripe_base == other
    assert Stack(FREE, tmp_path, {"STRIPE_API_KEY": "sk_test_1"}).stripe_base == "https://api.stripe.com"


def test_secrets_of_the_stack_are_the_users_own(stack: Stack) -> None:
    """Also if the file was there before, with other rights."""
    for name in ("stack.env", "sam-env.json"):
        (stack.state / name).chmod(0o644)
    stack.write_environment()
    for name in ("stack.env", "sam-env.json"):
        assert (stack.state / name).stat().st_mode & 0o777 == 0o600


def test_the_stream_shows_no_write_of_a_failed_transaction_and_skips_none(stack: Stack) -> None:
    """moto takes a failed transaction back, but an iterator from before it shows its writes."""
    table: dict[str, Any] = {"TableName": template.TABLE_NAME}
    check: Any = {"Key": key("TENANT#none"), "ConditionExpression": "attribute_exists(PK)", **table}

    class Interrupted(AwsAccess):
        def streams(self) -> JsonApi:
            """A client between whose calls a transaction fails, once it has found something to read."""
            client = super().streams()
            call = client.call

            def interrupted(operation: str, parameters: Mapping[str, Any]) -> Any:
                if operation == "GetRecords":
                    fail_a_transaction()
                return call(operation, parameters)

            return cast("JsonApi", SimpleNamespace(call=interrupted))

    def fail_a_transaction() -> None:
        put: Any = {"Item": key("TENANT#phantom"), **table}
        with pytest.raises(ClientError):
            stack.aws.dynamodb().transact_write_items(TransactItems=[{"Put": put}, {"ConditionCheck": check}])

    seen: list[str] = []

    class Recorder:
        def invoke(self, event: Any) -> Any:
            seen.extend(record["dynamodb"]["Keys"]["PK"]["S"] for record in event["Records"])
            return {"batchItemFailures": []}

    poller = StreamPoller(Interrupted(stack.aws.url, stack.aws.credentials), cast("Runtime", Recorder()))
    poller.start()
    try:
        for number in range(3):
            stack.aws.dynamodb().put_item(Item=key(f"TENANT#real-{number}"), **table)
            assert poller.wait_caught_up(TIMEOUT)
        assert [name for name in seen if "real-" in name] == [f"TENANT#real-{number}" for number in range(3)]
        assert "TENANT#phantom" not in seen
    finally:
        poller.close()


def key(partition: str) -> dict[str, Any]:
    return {"PK": {"S": partition}, "SK": {"S": "NOTE"}}


def test_what_moto_keeps_does_not_grow(stack: Stack) -> None:
    """It copies the table for each transaction."""
    asked = ITERATORS + 5
    streams = stack.aws.streams()
    [found] = streams.call("ListStreams", {"TableName": template.TABLE_NAME})["Streams"]
    arn = {"StreamArn": found["StreamArn"]}
    [shard] = streams.call("DescribeStream", arn)["StreamDescription"]["Shards"]
    for _ in range(asked):
        asks = {"ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        streams.call("GetShardIterator", arn | asks)
    kept = [len(b.shard_iterators) for regions in dynamodbstreams_backends.values() for b in regions.values()]
    assert sum(kept) == ITERATORS
    assert Table.instances_tracked == []  # type: ignore[attr-defined]
