"""`make up`: runs the stack with its first data until Ctrl-C."""

import logging
import signal
import threading
from functools import partial

import stripe

from local import template
from local.commands import seed
from local.stack import Stack


def main() -> None:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        with Stack() as stack:
            stack.begin = partial(seed.seed, stack)
            seeded = seed.seed(stack)
            stack.write_environment()
            _tell(stack, seeded)
            stop.wait()
    except (OSError, RuntimeError, stripe.StripeError) as error:
        raise SystemExit(f"The stack cannot start: {error}") from error
    print("stopped")


def _tell(stack: Stack, seeded: str) -> None:
    stripe = "the stand-in" if stack.stripe else "not the stand-in"
    print(
        f"""
  console   {stack.api_url}/  in a browser: start a checkout and see its results
  API       {stack.api_url}   every function has its own process; logs in .local/logs
  Stripe    {stack.stripe_base}  ({stripe})
  AWS       {stack.aws.url}   ({stack.database} for DynamoDB, table {template.TABLE_NAME})
  seeded    {seeded}
  settings  .local/stack.env, for a shell:   set -a; . .local/stack.env; set +a

  curl -X POST "{stack.api_url}/api/v1/billing/stripe/checkout?tenantId=550e8400&planId=plan-pro" \\
       -H "Authorization: Bearer ${{TOKEN}}"

  Ctrl-C stops it.
""",
        flush=True,
    )


if __name__ == "__main__":
    main()
