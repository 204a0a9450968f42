"""The credentials of the function's role, from where Lambda puts them.

Ordinarily Lambda puts them into the environment, for as long as the process lives. A function with SnapStart gets the
address of an endpoint instead, which gives new ones before the old ones end:
https://docs.aws.amazon.com/lambda/latest/dg/snapstart-activate.html#snapstart-credentials
https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
"""

import json
import os
import time
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Final, NamedTuple

import urllib3

from billing.adapters.aws import failures
from billing.errors import Misconfigured

REFRESH_SECONDS: Final = 300.0  # before they end
_TIMEOUT_SECONDS: Final = 2.0
_ATTEMPTS: Final = 3


class Credentials(NamedTuple):
    """`session_token` is None for keys that last, which only a developer's machine has."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None


type Provider = Callable[[], Credentials]


def provider() -> Provider:
    """Says the present credentials at each call. Raises `Misconfigured` if the environment names none."""
    address = os.environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if address:
        return _Endpoint(address)
    return _of_environment


def _of_environment() -> Credentials:
    try:
        keys = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    except KeyError as error:
        raise Misconfigured(f"The environment has no {error.args[0]}.") from error
    return Credentials(*keys, os.environ.get("AWS_SESSION_TOKEN") or None)


class _Endpoint:
    """Keeps the credentials that the endpoint gave until shortly before their end.

    Nothing is asked before the first call, so a snapshot of the process holds no credentials.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._http = urllib3.PoolManager(timeout=_TIMEOUT_SECONDS)
        self._held: Credentials | None = None
        self._ends_at = 0.0

    def __call__(self) -> Credentials:
        if self._held is None or time.time() > self._ends_at - REFRESH_SECONDS:
            self._held, self._ends_at = self._asked()
        return self._held

    def _asked(self) -> tuple[Credentials, float]:
        token = os.environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
        retries = urllib3.Retry(_ATTEMPTS, status_forcelist=range(500, 600), raise_on_status=False, redirect=0)
        try:
            answer = self._http.request("GET", self._address, headers={"Authorization": token}, retries=retries)
        except urllib3.exceptions.HTTPError as error:
            raise failures.unavailable("AWS", type(error).__name__) from error
        if answer.status != HTTPStatus.OK:
            raise failures.unavailable("AWS", f"credentials: {answer.status}")
        given = json.loads(answer.data)
        ends_at = datetime.fromisoformat(given["Expiration"]).timestamp()
        return Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["Token"]), ends_at
