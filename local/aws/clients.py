"""Makes boto3 clients for the AWS of the local stack."""

from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

REGION = "eu-west-1"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
}
# Here a slow call means a busy processor, not a broken network. So the time limits are long.
TIME_LIMIT_FACTOR = 60  # multiplies every time limit of the deployed functions and of their calls over the network
UNHURRIED_SECONDS = 600.0  # for the stack's own calls


def dynamodb(endpoint: str) -> "DynamoDBClient":
    return boto3.client("dynamodb", **local_settings(endpoint))


def events(endpoint: str) -> "EventBridgeClient":
    return boto3.client("events", **local_settings(endpoint))


def secretsmanager(endpoint: str) -> "SecretsManagerClient":
    return boto3.client("secretsmanager", **local_settings(endpoint))


def local_settings(endpoint: str) -> dict[str, Any]:
    return {
        "endpoint_url": endpoint,
        "region_name": REGION,
        "aws_access_key_id": CREDENTIALS["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        "config": Config(read_timeout=UNHURRIED_SECONDS, retries={"total_max_attempts": 2}),
    }
