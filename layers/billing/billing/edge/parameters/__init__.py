"""What callers send: a strict model for each endpoint. Unknown names and wrong types are refused.

One module for each room of use cases, because pydantic takes 2 ms of a start to build a model.
"""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints
from pydantic.alias_generators import to_camel

from billing.domain.ids import PATTERN, is_tenant_id


def _tenant(text: str) -> str:
    if not is_tenant_id(text):
        raise ValueError("is not the id of a tenant")
    return text


Id = Annotated[str, StringConstraints(pattern=PATTERN)]
TenantId = Annotated[Id, AfterValidator(_tenant)]
StripeId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]{1,255}$")]


class Parameters(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)
