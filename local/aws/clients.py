"""How to reach the AWS of a local stack: its address, its credentials, and boto3 clients for both."""

import secrets
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import boto3
from botocore.config import Config

from billing.adapters.aws import credentials
from billing.adapters.aws.json_api import DYNAMODB, JsonApi, Limits, Service
from billing.adapters.table.store import Table
from local import template

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

REGION: Final = "eu-west-1"
# Here a slow call means a busy processor, not a broken network. So the time limits are long.
TIME_LIMIT_FACTOR = 60  # multiplies every time limit of the deployed functions and of their calls over the network
UNHURRIED_SECONDS = 600.0  # for the stack's own calls

_STREAMS: Final = Service("DynamoDB Streams", "dynamodb", "DynamoDBStreams_20120810", "1.0")
_KEY_CHARACTERS: Final = string.ascii_uppercase + string.digits


@dataclass(frozen=True)
class Credentials:
    access_key_id: str
    secret_access_key: str

    @classmethod
    def random(cls) -> Self:
        """Credentials that no web page and no other program can guess."""
        key = "".join(secrets.choice(_KEY_CHARACTERS) for _ in range(20))
        return cls(key, secrets.token_hex(20))

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }


@dataclass(frozen=True)
class AwsAccess:
    """The AWS at `url`. It answers only to these credentials.

    `dynamodb_url` is the address of its DynamoDB for the programs of this machine, if that is a server of its own.
    """

    url: str
    credentials: Credentials
    dynamodb_url: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """For the functions, beside the variables of the template. Every call that AWS forwards costs some 2 ms."""
        near = {"AWS_ENDPOINT_URL_DYNAMODB": self.dynamodb_url} if self.dynamodb_url else {}
        return self.credentials.environment | near

    def table(self) -> Table:
        """The billing table, by the project's own code."""
        return Table(self._api(DYNAMODB), template.TABLE_NAME)

    def streams(self) -> JsonApi:
        return self._api(_STREAMS)

    def dynamodb(self) -> "DynamoDBClient":
        return boto3.client("dynamodb", **self._settings(self.dynamodb_url))

    def events(self) -> "EventBridgeClient":
        return boto3.client("events", **self._settings())

    def secretsmanager(self) -> "SecretsManagerClient":
        return boto3.client("secretsmanager", **self._settings())

    def _api(self, service: Service) -> JsonApi:
        keys = credentials.Credentials(self.credentials.access_key_id, self.credentials.secret_access_key)
        limits = Limits(connect=UNHURRIED_SECONDS, read=UNHURRIED_SECONDS)
        return JsonApi(service, lambda: keys, limits, url=self.dynamodb_url or self.url, region=REGION)

    def _settings(self, url: str = "") -> dict[str, Any]:
        return {
            "endpoint_url": url or self.url,
            "region_name": REGION,
            "aws_access_key_id": self.credentials.access_key_id,
            "aws_secret_access_key": self.credentials.secret_access_key,
            "config": Config(read_timeout=UNHURRIED_SECONDS, retries={"total_max_attempts": 2}),
        }
