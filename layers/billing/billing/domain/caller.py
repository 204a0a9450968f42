"""Who calls: what the gateway's authorizer read from the token."""

from dataclasses import dataclass
from typing import Final

from billing.errors import AdminOnly, Forbidden

ADMIN_SCOPE: Final = "billing:admin"


@dataclass(frozen=True)
class Caller:
    tenant_id: str | None
    is_admin: bool = False

    def act_for(self, tenant_id: str) -> None:
        """Raises `Forbidden` unless the caller is that tenant or an admin."""
        if not self.is_admin and tenant_id != self.tenant_id:
            raise Forbidden("The token does not belong to this tenant.")

    def administer(self) -> None:
        """Raises `AdminOnly`."""
        if not self.is_admin:
            raise AdminOnly(f"The token needs the scope {ADMIN_SCOPE}.")
