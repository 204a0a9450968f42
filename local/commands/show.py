"""`make show TENANT=550e8400` shows what the table of the running stack has of a tenant."""

import sys

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from local.account import account
from local.aws.clients import AwsAccess, Credentials
from local.commands.account import grid
from local.commands.environment import settings
from local.commands.variables import Variables


def main() -> None:
    tenant_id = Variables("show", "TENANT", sys.argv[1:]).needed("TENANT", "550e8400")
    stack = settings()
    url = stack["AWS_ENDPOINT_URL"]
    credentials = Credentials(stack["AWS_ACCESS_KEY_ID"], stack["AWS_SECRET_ACCESS_KEY"])
    try:
        found = account(AwsAccess(url, credentials), tenant_id)
    except (BotoCoreError, ClientError):
        raise SystemExit(f"The local stack does not answer at {url}.") from None
    if any(found.values()):
        Console(highlight=False).print(grid(found))
    else:
        print(f"The table has no items of tenant {tenant_id}.")


if __name__ == "__main__":
    main()
