"""`make token` prints a token for the stack that runs now, and nothing else.

It is a tenant's token with TENANT, and without it an operator's: it has the scope `billing:admin`.
"""

import sys

from billing.domain.caller import DEFAULT_ADMIN_SCOPE
from billing.domain.ids import is_tenant_id
from local import tokens
from local.commands.environment import settings
from local.commands.variables import Variables


def main() -> None:
    tenant_id = Variables("token", "TENANT", sys.argv[1:]).text("TENANT")
    if tenant_id and not is_tenant_id(tenant_id):
        raise SystemExit(f"TENANT is a tenant's id: 1 to 64 characters of A-Z a-z 0-9 _ -, not {tenant_id}.")
    settings()  # without a stack, there is nobody to show the token to
    print(tokens.issue(tenant_id or None, scope="" if tenant_id else DEFAULT_ADMIN_SCOPE))


if __name__ == "__main__":
    main()
