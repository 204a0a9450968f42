"""`make migrate` gives old items of a table the fields that this version added. See `docs/operations.md`.

It needs TABLE and SECRET_ARN, and AWS credentials that may read the secret and write the table. The exit status is 0
if nothing is left to do.
"""

import os
import sys
from functools import cache

import boto3

from billing import bootstrap
from billing.adapters.aws.credentials import Credentials
from billing.operate.migration import Migration


def main() -> int:
    given = {"TABLE_NAME": os.environ.get("TABLE", ""), "STRIPE_SECRET_ARN": os.environ.get("SECRET_ARN", "")}
    if not all(given.values()):
        print("Which? make migrate TABLE=billing-… SECRET_ARN=arn:… (DRY_RUN=1 changes nothing)", file=sys.stderr)
        return 2
    os.environ.update(given)
    _sign_in(boto3.Session())
    dry_run = os.environ.get("DRY_RUN", "").lower() not in ("", "0", "false", "no")
    done = Migration(bootstrap.table(), bootstrap.decider(), dry_run).run(print)
    if not done and not dry_run:
        print("Some items are left. The log says why; run it again.", file=sys.stderr)
    return 0 if done or dry_run else 1


def _sign_in(session: boto3.Session) -> None:
    """As any tool of AWS: by profile, SSO or role. boto3 renews what ends while the migration runs."""
    found = session.get_credentials()
    if found is None:
        sys.exit("There are no AWS credentials. Try: aws sts get-caller-identity")
    if session.region_name:
        os.environ["AWS_REGION"] = session.region_name

    def keys() -> Credentials:
        now = found.get_frozen_credentials()
        return Credentials(str(now.access_key), str(now.secret_key), now.token)

    bootstrap.keys = cache(lambda: keys)


if __name__ == "__main__":
    sys.exit(main())
