"""`make migrate` gives old items of a table the fields that this version added. See `docs/operations.md`.

It needs TABLE and SECRET_ARN, and AWS credentials that may read the secret and write the table. The exit status is 0
if nothing is left to do.
"""

import os
import sys

from billing import bootstrap
from billing.operate.migration import Migration


def main() -> int:
    given = {"TABLE_NAME": os.environ.get("TABLE", ""), "STRIPE_SECRET_ARN": os.environ.get("SECRET_ARN", "")}
    if not all(given.values()):
        print("Which? make migrate TABLE=billing-… SECRET_ARN=arn:… (DRY_RUN=1 changes nothing)", file=sys.stderr)
        return 2
    os.environ.update(given)
    dry_run = os.environ.get("DRY_RUN", "").lower() not in ("", "0", "false", "no")
    done = Migration(bootstrap.table(), bootstrap.decider(), dry_run).run(print)
    if not done and not dry_run:
        print("Some items are left. The log says why; run it again.", file=sys.stderr)
    return 0 if done or dry_run else 1


if __name__ == "__main__":
    sys.exit(main())
