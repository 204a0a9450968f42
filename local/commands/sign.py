"""`make sign` signs a Stripe event with the present time and prints it in the form that the webhook function gets.

    make -s sign EVENT=events/stripe/invoice.paid.json | sam local invoke StripeWebhookFunction --event -

The secret is `STRIPE_WEBHOOK_SECRET`, or else that of the running stack, or else the one with which every stack starts.
"""

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from billing.inbox.signature import sign
from local import running
from local.aws.gateway import http_event
from local.commands.variables import Variables
from local.stack import LOCAL_WEBHOOK_SECRET, WEBHOOK_PATH
from local.template import Route
from local.tokens import STATE

ROUTE: Final = Route("POST", WEBHOOK_PATH, open=True)


def delivery(body: bytes, secret: str, timestamp: int) -> dict[str, Any]:
    """The API Gateway event (payload format 2.0) of one delivery."""
    headers = {"Stripe-Signature": sign(body, secret, timestamp), "Content-Type": "application/json; charset=utf-8"}
    builder = EnvironBuilder(path=ROUTE.path, method=ROUTE.method, data=body, headers=list(headers.items()))
    return http_event(Request(builder.get_environ()), ROUTE, {}, None)


def _secret() -> str:
    named = os.environ.get("STRIPE_WEBHOOK_SECRET")
    if named:
        return named
    with suppress(running.NotRunning):
        return running.read(STATE)["STRIPE_WEBHOOK_SECRET"]
    return LOCAL_WEBHOOK_SECRET


if __name__ == "__main__":
    takes = "EVENT STRIPE_WEBHOOK_SECRET"
    path = Path(Variables("sign", takes, sys.argv[1:]).needed("EVENT", "events/stripe/invoice.paid.json"))
    if not path.is_file():
        sys.exit(f"There is no file {path}; events/stripe has one for every event type.")
    print(json.dumps(delivery(path.read_bytes(), _secret(), int(time.time()))))
