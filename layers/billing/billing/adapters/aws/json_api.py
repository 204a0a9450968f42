"""A service of AWS that takes JSON: DynamoDB, Secrets Manager. A small client for the few calls of every request.

boto3 needs four times as much of the processor for a transaction, and 300 ms at the start (decision 22). This one keeps
what the table rests on: the signature, time limits, one repetition after a pause at random, the same client token at
the repetition, a checked checksum, and AWS's own names of errors.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html
"""

import json
import os
import random
import ssl
import time
import uuid
import zlib
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import urllib3

from billing.adapters.aws import failures
from billing.adapters.aws.credentials import Provider
from billing.adapters.aws.signature import sign
from billing.errors import Misconfigured

type Answer = dict[str, Any]

ATTEMPTS: Final = 2
# The longest wait before the repetition, as AWS's SDKs have it for DynamoDB and for throttles.
PAUSE_SECONDS: Final = 0.025
THROTTLED_PAUSE_SECONDS: Final = 1.0
_CONNECTIONS: Final = 20  # that are kept; a function needs one, and reconciliation one for each reader
# Calls that AWS does only once under one token. Without it, a repeated transaction could fail on its first attempt.
_WITH_TOKEN: Final = frozenset({"TransactWriteItems"})


class Service(NamedTuple):
    """`title` is for people. `name` stands in the address and the signature, `target` before each operation."""

    title: str
    name: str
    target: str
    json_version: str


DYNAMODB: Final = Service("DynamoDB", "dynamodb", "DynamoDB_20120810", "1.0")
SECRETS_MANAGER: Final = Service("Secrets Manager", "secretsmanager", "secretsmanager", "1.1")


class Limits(NamedTuple):
    """Of one attempt, in seconds."""

    connect: float
    read: float


class AwsError(Exception):
    """AWS refused a call, and would refuse it again. `code` is AWS's name of the error, `answer` its JSON."""

    def __init__(self, code: str, answer: Answer) -> None:
        super().__init__(f"{code}: {answer.get('message') or answer.get('Message') or ''}")
        self.code = code
        self.answer = answer


class JsonApi:
    """Threads may share it. Nothing is connected before the first call."""

    def __init__(
        self, service: Service, credentials: Provider, limits: Limits, *, url: str = "", region: str = ""
    ) -> None:
        """`url` and `region` are the environment's, unless they are given. Raises `Misconfigured` without a region."""
        self.service = service
        self.limits = limits
        self._credentials = credentials
        self._region = region or _region()
        self.url = url or _url(service, self._region)
        timeout = urllib3.Timeout(connect=limits.connect, read=limits.read)
        context = tls() if self.url.startswith("https:") else None
        self._http = urllib3.PoolManager(
            timeout=timeout, maxsize=_CONNECTIONS, ssl_context=context
        ).connection_from_url(self.url)
        self._host = urllib3.util.parse_url(self.url).netloc or ""

    def call(self, operation: str, parameters: Mapping[str, Any]) -> Answer:
        """AWS's answer. Raises `AwsError`, and `AwsUnavailable` when AWS does not answer, fails or is throttled."""
        if operation in _WITH_TOKEN:
            parameters = {"ClientRequestToken": str(uuid.uuid4()), **parameters}
        body = json.dumps(parameters, separators=(",", ":")).encode()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._attempt(operation, body)
            except _Passing as passing:
                if attempt == ATTEMPTS:
                    raise failures.unavailable(self.service.title, str(passing)) from passing
                time.sleep(random.uniform(0, passing.pause))
        raise AssertionError("the loop ends by return or raise")

    def _attempt(self, operation: str, body: bytes) -> Answer:
        headers = {
            "content-type": f"application/x-amz-json-{self.service.json_version}",
            "host": self._host,
            "x-amz-target": f"{self.service.target}.{operation}",
        }
        sign(headers, body, self.service.name, self._region, self._credentials())
        try:
            response = self._http.urlopen("POST", "/", body=body, headers=headers, retries=False)
        except urllib3.exceptions.HTTPError as error:
            raise _Passing(type(error).__name__) from error
        answer = _read(response.data, response.headers.get("x-amz-crc32"))
        if response.status == HTTPStatus.OK and answer is not None:
            return answer
        raise _failure(response.status, answer)


class _Passing(Exception):
    """The call may succeed when it is repeated."""

    def __init__(self, error: str, pause: float = PAUSE_SECONDS) -> None:
        super().__init__(error)
        self.pause = pause


def _read(data: bytes, checksum: str | None) -> Answer | None:
    """The JSON of an answer. None if it is damaged: no JSON object, or another checksum than DynamoDB says."""
    if checksum is not None and int(checksum) != zlib.crc32(data):
        return None
    try:
        answer = json.loads(data)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _failure(status: int, answer: Answer | None) -> Exception:
    if answer is None:
        return _Passing(f"damaged answer, status {status}")
    code = str(answer.get("__type", status)).rpartition("#")[2]
    reasons = {str(reason.get("Code")) for reason in answer.get("CancellationReasons", ())}
    if failures.is_temporary(status, {code} | reasons):
        throttled = status < HTTPStatus.INTERNAL_SERVER_ERROR
        return _Passing(code, THROTTLED_PAUSE_SECONDS if throttled else PAUSE_SECONDS)
    return AwsError(code, answer)


@cache
def tls() -> ssl.SSLContext:
    """The authorities that AWS's certificates are checked against. Reading them takes some 30 ms."""
    return ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE") or None)


def _region() -> str:
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region:
        raise Misconfigured("The environment variable AWS_REGION is not set.")
    return region


def _url(service: Service, region: str) -> str:
    """As AWS's SDKs find it: https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html"""
    variable = f"AWS_ENDPOINT_URL_{service.title.upper().replace(' ', '_')}"
    configured = os.environ.get(variable) or os.environ.get("AWS_ENDPOINT_URL")
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return configured or f"https://{service.name}.{region}.{suffix}"
