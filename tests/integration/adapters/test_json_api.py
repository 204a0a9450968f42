"""The client of DynamoDB and Secrets Manager, against a server that fails in every way that a network and AWS do."""

import json
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest.mock import patch

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given
from hypothesis import strategies as st

from billing.adapters.aws import credentials, signature
from billing.adapters.aws.credentials import Credentials
from billing.adapters.aws.json_api import DYNAMODB, SECRETS_MANAGER, AwsError, JsonApi, Limits
from billing.errors import AwsUnavailable, Misconfigured

KEYS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "a+token/==")
UNHURRIED = Limits(connect=60, read=60)


@dataclass
class Server:
    """Answers each request with the next of `answers`, and the last one again and again."""

    url: str = ""
    answers: list[Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        self.requests.append({"headers": dict(handler.headers), "body": body, "path": handler.path})
        (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])(handler)

    def api(self, limits: Limits = UNHURRIED, keys: credentials.Provider = lambda: KEYS) -> JsonApi:
        return JsonApi(DYNAMODB, keys, limits, url=self.url, region="eu-west-1")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            told.answer(self)

        do_GET = do_POST  # noqa: N815 - as http.server names it

        def log_message(self, *_: Any) -> None: ...

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.daemon_threads = True
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    told.url = f"http://127.0.0.1:{listener.server_port}"
    monkeypatch.setattr("time.sleep", lambda _: None)
    yield told
    listener.shutdown()
    listener.server_close()


def says(status: int, content: Any, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        sent = {"Content-Length": str(len(data)), "x-amz-crc32": str(zlib.crc32(data))} | headers
        for name, value in sent.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def hangs_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    handler.connection.close()


def refuses(code: str, status: int = 400, **more: Any) -> Callable[[BaseHTTPRequestHandler], None]:
    return says(status, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "because"} | more)


PASSING = {
    "hangs up": hangs_up,
    "internal": refuses("InternalServerError", 500),
    "unavailable, from a proxy": says(503, b"<html>sorry</html>"),
    "throttled": refuses("ThrottlingException"),
    "throughput": refuses("ProvisionedThroughputExceededException"),
    "limit": refuses("RequestLimitExceeded"),
    "in progress": refuses("TransactionInProgressException"),
    "throttled transaction": refuses(
        "TransactionCanceledException", CancellationReasons=[{"Code": "None"}, {"Code": "ThrottlingError"}]
    ),
    "other checksum": says(200, {"Item": {}}, **{"x-amz-crc32": "1"}),
    "damaged": says(200, b'{"Item": {'),
    "no object": says(200, b"[]"),
}


@pytest.mark.parametrize("failure", PASSING.values(), ids=PASSING)
def test_a_failure_that_may_pass_is_repeated_once(server: Server, failure: Any) -> None:
    server.answers = [failure, says(200, {"ok": True})]
    assert server.api().call("GetItem", {"TableName": "t"}) == {"ok": True}
    assert len(server.requests) == 2


@pytest.mark.parametrize("failure", PASSING.values(), ids=PASSING)
def test_a_failure_that_lasts_is_unavailable(server: Server, failure: Any) -> None:
    server.answers = [failure]
    with pytest.raises(AwsUnavailable) as raised:
        server.api().call("GetItem", {})
    assert (raised.value.retry_after, len(server.requests)) == (2, 2)


@pytest.mark.parametrize(
    ("code", "more"),
    [
        ("ConditionalCheckFailedException", {"Item": {"PK": {"S": "x"}}}),
        ("TransactionCanceledException", {"CancellationReasons": [{"Code": "ConditionalCheckFailed"}]}),
        ("TransactionConflictException", {}),
        ("AccessDeniedException", {}),
        ("ResourceNotFoundException", {}),
        ("ValidationException", {}),
    ],
)
def test_a_refusal_is_told_at_once_and_whole(server: Server, code: str, more: dict[str, Any]) -> None:
    server.answers = [refuses(code, **more)]
    with pytest.raises(AwsError, match="because") as raised:
        server.api().call("PutItem", {})
    assert raised.value.code == code
    assert raised.value.answer.items() >= more.items()
    assert len(server.requests) == 1


def test_an_answer_that_comes_too_late(server: Server) -> None:
    over = threading.Event()

    def waits(_: BaseHTTPRequestHandler) -> None:
        over.wait(60)

    server.answers = [waits]
    try:
        with pytest.raises(AwsUnavailable):
            server.api(Limits(connect=60, read=0.05)).call("GetItem", {})
    finally:
        over.set()


def test_nobody_listens(server: Server) -> None:
    with pytest.raises(AwsUnavailable):
        JsonApi(DYNAMODB, lambda: KEYS, UNHURRIED, url="http://127.0.0.1:1", region="eu-west-1").call("GetItem", {})


def test_the_pause_before_the_repetition_is_short_and_random(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    for _ in range(20):
        server.answers = [refuses("ThrottlingException"), says(200, {})]
        server.api().call("GetItem", {})
    assert len(set(pauses)) > 1
    assert all(0 <= pause <= 1 for pause in pauses)
    pauses.clear()
    server.answers = [refuses("InternalServerError", 500), says(200, {})]
    server.api().call("GetItem", {})
    assert 0 <= pauses[0] <= 0.025


def test_a_repeated_transaction_has_the_same_token(server: Server) -> None:
    for _ in range(2):
        server.answers = [hangs_up, says(200, {})]
        server.api().call("TransactWriteItems", {"TransactItems": []})
    tokens = [json.loads(request["body"])["ClientRequestToken"] for request in server.requests]
    assert tokens[0] == tokens[1] != tokens[2] == tokens[3]


def test_a_connection_is_kept(server: Server) -> None:
    ports: list[int] = []

    def noted(handler: BaseHTTPRequestHandler) -> None:
        ports.append(handler.client_address[1])
        says(200, {})(handler)

    server.answers = [noted]
    api = server.api()
    for _ in range(3):
        api.call("GetItem", {})
    assert len(set(ports)) == 1


# -- the signature


@given(
    body=st.binary(max_size=200),
    target=st.text("abcXYZ019_.", min_size=1, max_size=40),
    token=st.none() | st.text("abcXYZ019+/=", min_size=1, max_size=40),
    region=st.sampled_from(["eu-west-1", "us-gov-west-1"]),
)
def test_the_signature_is_botocores(body: bytes, target: str, token: str | None, region: str) -> None:
    keys = KEYS._replace(session_token=token)
    host = f"dynamodb.{region}.amazonaws.com"
    ours = {"content-type": "application/x-amz-json-1.0", "host": host, "x-amz-target": target}
    request = AWSRequest("POST", f"https://{host}/", headers={**ours}, data=body)
    signature.sign(ours, body, "dynamodb", region, keys)
    signed_at = datetime.strptime(ours["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    with patch("botocore.auth.get_current_datetime", lambda: signed_at):
        SigV4Auth(BotocoreCredentials(*keys), "dynamodb", region).add_auth(request)
    assert ours["authorization"] == request.headers["Authorization"]
    assert ours["x-amz-date"] == request.headers["X-Amz-Date"]
    assert ours.get("x-amz-security-token") == request.headers.get("X-Amz-Security-Token")


def test_what_is_sent(server: Server) -> None:
    server.answers = [says(200, {"SecretString": "x"})]
    JsonApi(SECRETS_MANAGER, lambda: KEYS, UNHURRIED, url=server.url, region="eu-west-1").call("GetSecretValue", {})
    [request] = server.requests
    sent = {name.lower(): value for name, value in request["headers"].items()}
    assert sent["x-amz-target"] == "secretsmanager.GetSecretValue"
    assert sent["content-type"] == "application/x-amz-json-1.1"
    assert sent["x-amz-security-token"] == KEYS.session_token
    assert "/eu-west-1/secretsmanager/aws4_request" in sent["authorization"]
    assert "AKIDEXAMPLE" in sent["authorization"]
    assert KEYS.secret_access_key not in str(sent)


# -- where: https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({"AWS_REGION": "eu-west-1"}, "https://dynamodb.eu-west-1.amazonaws.com"),
        ({"AWS_DEFAULT_REGION": "us-gov-west-1"}, "https://dynamodb.us-gov-west-1.amazonaws.com"),
        ({"AWS_REGION": "cn-north-1"}, "https://dynamodb.cn-north-1.amazonaws.com.cn"),
        ({"AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL": "http://127.0.0.1:5000"}, "http://127.0.0.1:5000"),
        (
            {"AWS_REGION": "x", "AWS_ENDPOINT_URL": "http://a", "AWS_ENDPOINT_URL_DYNAMODB": "http://b:1"},
            "http://b:1",
        ),
    ],
)
def test_the_endpoint(environment: dict[str, str], url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert JsonApi(DYNAMODB, lambda: KEYS, UNHURRIED).url == url


def test_without_a_region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    with pytest.raises(Misconfigured, match="AWS_REGION"):
        JsonApi(DYNAMODB, lambda: KEYS, UNHURRIED)


# -- credentials


def test_credentials_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", raising=False)
    for name, value in zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), KEYS, strict=True):
        monkeypatch.setenv(name, str(value))
    assert credentials.provider()() == KEYS
    monkeypatch.delenv("AWS_SESSION_TOKEN")
    assert credentials.provider()().session_token is None
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(Misconfigured, match="AWS_SECRET_ACCESS_KEY"):
        credentials.provider()()


def given_until(ends_at: datetime, key: str) -> Callable[[BaseHTTPRequestHandler], None]:
    expiration = ends_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return says(200, {"AccessKeyId": key, "SecretAccessKey": "s", "Token": "t", "Expiration": expiration})


def test_credentials_of_snapstart_are_renewed_before_they_end(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{server.url}/credentials")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "let me in")
    now = datetime.now(UTC)
    server.answers = [given_until(now + timedelta(hours=1), "first"), given_until(now + timedelta(hours=9), "second")]
    keys = credentials.provider()
    assert server.requests == []  # nothing of it is in a snapshot
    assert [keys().access_key_id for _ in range(3)] == ["first"] * 3
    assert server.requests[0]["path"] == "/credentials"
    assert server.requests[0]["headers"]["Authorization"] == "let me in"
    monkeypatch.setattr(time, "time", (now + timedelta(minutes=56)).timestamp)
    assert [keys().access_key_id for _ in range(3)] == ["second"] * 3
    assert len(server.requests) == 2


@pytest.mark.parametrize("failure", [says(500, {}), says(403, {}), hangs_up])
def test_credentials_cannot_be_had_for_now(server: Server, failure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{server.url}/credentials")
    server.answers = [failure]
    with pytest.raises(AwsUnavailable):
        server.api(keys=credentials.provider()).call("GetItem", {})
