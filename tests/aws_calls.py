"""Stands between the functions and every call that they make of AWS, by whichever client."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.client import BaseClient

from billing.adapters.aws.json_api import JsonApi

# Gets the service's name ("dynamodb"), the operation ("GetItem"), its parameters, and what makes the call itself.
type Between = Callable[[str, str, Any, Callable[[], Any]], Any]


def intercept(patch: pytest.MonkeyPatch, between: Between) -> None:
    boto, own = BaseClient._make_api_call, JsonApi.call  # type: ignore[attr-defined]

    def by_boto(client: BaseClient, operation: str, parameters: Any) -> Any:
        service = client.meta.service_model.service_name
        return between(service, operation, parameters, lambda: boto(client, operation, parameters))

    def by_own(api: JsonApi, operation: str, parameters: Any) -> Any:
        return between(api.service.name, operation, parameters, lambda: own(api, operation, parameters))

    patch.setattr(BaseClient, "_make_api_call", by_boto)
    patch.setattr(JsonApi, "call", by_own)
