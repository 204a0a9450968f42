"""Who calls, as the gateway's authorizer read it from the token."""

from dataclasses import dataclass
from typing import Final

from billing.errors import AdminOnly, Forbidden

DEFAULT_ADMIN_SCOPE: Final = "billing:admin"  # the default of the template's parameter AdminScope


@dataclass(frozen=True)
class Caller:
    tenant_id: str | None
    is_admin: bool = False

    def act_for(self, tenant_id: str) -> None:
        """Raises `Forbidden` unless the caller is that tenant or an admin."""
        if not self.is_admin and tenant_id != self.own_tenant():
            raise Forbidden("The token does not belong to this tenant.")

    def own_tenant(self) -> str:
        """The tenant that the token names. Raises `Forbidden` when it names none."""
        if self.tenant_id is None:
            raise Forbidden("The token names no tenant: its tenant claim is missing or is not a valid id.")
        return self.tenant_id

    def administer(self) -> None:
        """Raises `AdminOnly` unless the caller is an admin."""
        if not self.is_admin:
            raise AdminOnly("The token needs the scope of operators (template parameter AdminScope).")
