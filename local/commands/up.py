"""`make up`: runs the stack with its first data until Ctrl-C. `local/stack.py` says what its variables mean."""

import logging
import os
import signal
import sys
import textwrap
import threading
from functools import partial

import stripe
from rich.console import Console

from billing.observability import logger
from local import template
from local.commands import seed, traffic
from local.commands.variables import Variables
from local.stack import Ports, Stack
from local.tokens import STATE

_TAKES = (
    "API_PORT STRIPE_PORT AWS_PORT ORIGINS QUIET DYNAMODB WEBHOOK_URL "
    "STRIPE_API_KEY STRIPE_WEBHOOK_SECRET STRIPE_API_BASE"
)
_LAST_PORT = 65535


def main() -> None:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    logger.setLevel(logging.CRITICAL)  # of the layer's code that the console uses in this process
    given = Variables("up", _TAKES, sys.argv[1:])
    defaults = {"API_PORT": Ports.gateway, "STRIPE_PORT": Ports.stripe, "AWS_PORT": Ports.aws}
    ports = Ports(*(given.whole(name, port, 0, _LAST_PORT) for name, port in defaults.items()))
    quiet = given.flag("QUIET")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        with Stack(ports, STATE, os.environ) as stack:
            stack.begin = partial(seed.seed, stack)
            seeded = seed.seed(stack)
            stack.write_environment()
            _tell(stack, seeded)
            if not quiet:
                traffic.follow(stack, Console(highlight=False, soft_wrap=True))
            stop.wait()
    except (OSError, RuntimeError, stripe.StripeError) as error:
        raise SystemExit(f"The stack cannot start: {error}") from error
    print("stopped")


def _tell(stack: Stack, seeded: str) -> None:
    stripe = "the stand-in" if stack.stripe else "not the stand-in"
    state = os.path.relpath(stack.state)
    seeded = textwrap.fill(seeded, 78, initial_indent=" " * 12, subsequent_indent=" " * 12).lstrip()
    print(
        f"""
  console   {stack.api_url}/  (in a browser: start a checkout, see its results)
  API       {stack.api_url}   (logs of the functions in {state}/logs)
  Stripe    {stack.stripe_base}  ({stripe})
  AWS       {stack.aws.url}   ({stack.database} for DynamoDB, table {template.TABLE_NAME})
  seeded    {seeded}
  commands  make show, advance, weather, fail and token find this stack
  shell     set -a; . {state}/stack.env; set +a
            curl -X POST -H "Authorization: Bearer ${{TOKEN}}" \\
              "${{API_URL}}/api/v1/billing/stripe/portal?customerId=cus_abc123"

  Ctrl-C stops it.
""",
        flush=True,
    )


if __name__ == "__main__":
    main()
