"""Signs a Stripe event with the present time and prints it in the form that the webhook function gets.

    python -m local.commands.sign events/stripe/invoice.paid.json | sam local invoke StripeWebhookFunction --event -

The secret is `STRIPE_WEBHOOK_SECRET`, or else that of the running stack (`.local/stack.env`).
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Final

from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from billing.inbox.signature import sign
from local.aws.gateway import http_event
from local.commands.environment import stored
from local.stack import LOCAL_WEBHOOK_SECRET, WEBHOOK_PATH
from local.template import Route

ROUTE: Final = Route("POST", WEBHOOK_PATH, open=True)


def delivery(body: bytes, secret: str, timestamp: int) -> dict[str, Any]:
    """The API Gateway event (payload format 2.0) of one delivery."""
    headers = {"Stripe-Signature": sign(body, secret, timestamp), "Content-Type": "application/json; charset=utf-8"}
    builder = EnvironBuilder(path=ROUTE.path, method=ROUTE.method, data=body, headers=list(headers.items()))
    return http_event(Request(builder.get_environ()), ROUTE, {}, None)


def _secret() -> str:
    return os.environ.get("STRIPE_WEBHOOK_SECRET") or stored().get("STRIPE_WEBHOOK_SECRET") or LOCAL_WEBHOOK_SECRET


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Signs a Stripe event and prints the API Gateway event.")
    parser.add_argument("event", type=Path, help="a file of events/stripe")
    path = parser.parse_args().event
    if not path.is_file():
        sys.exit(f"{path}: there is no such file; events/stripe has one for every event type")
    print(json.dumps(delivery(path.read_bytes(), _secret(), int(time.time()))))
