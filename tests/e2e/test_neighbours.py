"""Attacks the running stack as a web page does that is open in a browser of the same machine."""

from typing import Any

import boto3
import pytest
import requests
from botocore.exceptions import ClientError

from local.aws.clients import REGION
from local.aws.dynamodb_local import DynamoDBLocal
from local.ports import free_port
from local.stack import Stack
from local.tokens import STATE

TIMEOUT = 600  # in seconds; long enough for a busy machine
EVIL = "https://evil.example.net"

# (which server, method, path): every server and every part of it.
PARTS = [
    ("api_url", "GET", "/"),
    ("api_url", "GET", "/console/state"),
    ("api_url", "GET", "/static/console.css"),
    ("api_url", "POST", "/console/deliver"),
    ("api_url", "POST", "/api/v1/billing/stripe/checkout"),
    ("api_url", "OPTIONS", "/api/v1/billing/stripe/checkout"),
    ("api_url", "POST", "/api/v1/billing/stripe/webhook"),
    ("stripe_base", "GET", "/v1/customers"),
    ("stripe_base", "POST", "/v1/customers"),
    ("stripe_base", "GET", "/c/pay/cs_none"),
    ("stripe_base", "POST", "/c/pay/cs_none"),
    ("stripe_base", "GET", "/_control/deliveries"),
    ("stripe_base", "POST", "/_control/weather"),
    ("aws", "GET", "/"),
    ("aws", "GET", "/moto-api/data.json"),
    ("aws", "POST", "/moto-api/reset"),
    ("aws", "POST", "/"),
    ("aws", "OPTIONS", "/"),
    ("aws", "POST", "/2015-03-31/functions/StripeWebhookFunction/invocations"),
]


def send(stack: Stack, server: str, method: str, path: str, headers: dict[str, str]) -> requests.Response:
    base = stack.aws.url if server == "aws" else getattr(stack, server)
    return requests.request(method, base + path, headers=headers, timeout=TIMEOUT, allow_redirects=False)


@pytest.mark.parametrize(("server", "method", "path"), PARTS)
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": EVIL},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Host": "evil.example.net"},
        {"Host": "127.0.0.1.evil.example.net:8087"},
        {"Host": "evil.example.net:8087", "Origin": "http://evil.example.net:8087"},
        {"Host": "[::1"},
        {"Host": "evil.example.net@localhost:8087"},
        {"Host": "localhost/.evil.example.net"},
        {"Host": "localhost:x"},
        {"Host": ""},
    ],
    ids=lambda headers: " ".join(f"{name}={value}" for name, value in headers.items()),
)
def test_no_server_answers_to_another_site(
    stack: Stack, server: str, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = send(stack, server, method, path, headers)
    assert answer.status_code == 403
    assert answer.text.startswith("The local stack ")
    assert not any(name.lower().startswith("access-control-") for name in answer.headers)


@pytest.mark.parametrize(("server", "method", "path"), PARTS)
def test_every_server_answers_to_programs_of_this_machine_and_to_containers(
    stack: Stack, server: str, method: str, path: str
) -> None:
    base = stack.aws.url if server == "aws" else getattr(stack, server)
    port = base.rsplit(":", 1)[1]
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"host.docker.internal:{port}"):
        for headers in ({"Host": host}, {"Host": host, "Origin": f"http://{host}"}):
            assert not send(stack, server, method, path, headers).text.startswith("The local stack "), headers


def call(stack: Stack, operation: str, key: str, **parameters: Any) -> Any:
    client: Any = boto3.client(
        "secretsmanager",
        endpoint_url=stack.aws.url,
        region_name=REGION,
        aws_access_key_id=key,
        aws_secret_access_key=key,
    )
    return getattr(client, operation)(**parameters)


@pytest.mark.parametrize("key", ["local", "testing", "AKIAIOSFODNN7EXAMPLE"])
def test_aws_answers_only_to_the_credentials_of_the_stack(stack: Stack, key: str) -> None:
    with pytest.raises(ClientError) as refusal:
        call(stack, "get_secret_value", key, SecretId="billing/stripe")
    assert refusal.value.response["Error"]["Code"] == "UnrecognizedClientException"
    ours = stack.aws.credentials.access_key_id
    assert "api-key" in call(stack, "get_secret_value", ours, SecretId="billing/stripe")["SecretString"]


def test_nobody_starts_functions_with_claims_of_their_own(stack: Stack) -> None:
    for function in stack.runtimes:
        url = f"{stack.aws.url}/2015-03-31/functions/{function}/invocations"
        assert requests.post(url, json={"requestContext": {}}, timeout=TIMEOUT).status_code == 403


def test_the_credentials_are_long_and_random(stack: Stack) -> None:
    other = type(stack.aws.credentials).random()
    assert other != stack.aws.credentials
    assert len(other.access_key_id) == 20
    assert len(other.secret_access_key) == 40


def test_aws_allows_no_page_to_read_its_answers(stack: Stack) -> None:
    key = {"Authorization": f"AWS4-HMAC-SHA256 Credential={stack.aws.credentials.access_key_id}/x"}
    for method, path in (("GET", "/moto-api/data.json"), ("OPTIONS", "/"), ("POST", "/")):
        answer = send(stack, "aws", method, path, key)
        assert not any(name.lower().startswith("access-control-") for name in answer.headers), (method, path)


def test_dynamodb_local_keeps_the_tables_of_each_key_apart() -> None:
    """Nothing stands before its port, so the key alone protects the tables."""
    try:
        server = DynamoDBLocal(STATE / "dynamodb-local", free_port())
    except RuntimeError as missing:
        pytest.skip(str(missing))
    try:
        for key, found in (("OURKEY", ["ours"]), ("local", [])):
            client: Any = boto3.client(
                "dynamodb",
                endpoint_url=server.url,
                region_name=REGION,
                aws_access_key_id=key,
                aws_secret_access_key=key,
            )
            if found:
                client.create_table(
                    TableName="ours",
                    BillingMode="PAY_PER_REQUEST",
                    AttributeDefinitions=[{"AttributeName": "PK", "AttributeType": "S"}],
                    KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}],
                )
            assert client.list_tables()["TableNames"] == found
    finally:
        server.close()
