"""Of what operators see and do."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StrictInt, StringConstraints

from billing.edge.parameters import Parameters, TenantId


def _number(value: object) -> object:
    """The number in a query string's text. Anything else stays as it is."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value


EventId = Annotated[str, StringConstraints(pattern=r"^evt_[A-Za-z0-9_]{1,250}$")]
Limit = Annotated[StrictInt, Field(ge=1, le=100), BeforeValidator(_number)]
# A cursor holds a sort key, and DynamoDB takes at most 1024 bytes of it.
Cursor = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,1200}$")]
DEFAULT_LIMIT = 20


class ListStripeEvents(Parameters):
    """Either `status` FAILED alone, or a tenant's events, with one status or with any."""

    status: Literal["RECEIVED", "PROCESSED", "IGNORED", "STALE", "FAILED"] | None = None
    tenant_id: TenantId | None = None
    limit: Limit = DEFAULT_LIMIT
    cursor: Cursor | None = None


class OneStripeEvent(Parameters):
    """The event to show or to replay."""

    event_id: EventId


class GetTenantHistory(Parameters):
    tenant_id: TenantId
    limit: Limit = DEFAULT_LIMIT
    cursor: Cursor | None = None
