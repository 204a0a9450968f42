"""One invocation of each function on its main path: the events, and what must come of them."""

import os
import subprocess
import sys
from typing import Any

from local import template
from local.stack import Stack
from local.template import ROOT

FUNCTIONS = template.functions(dict.fromkeys(template.raw()["Parameters"], "x"), {})

# The statuses that are not 200: 201 for a new object, 404 for an unknown one, 202 for work in the background.
STATUS = {"create_invoice": 201, "get_checkout": 404, "get_stripe_event": 404, "replay_stripe_event": 404}
STATUS |= {"start_reconciliation": 202}


def event(stack: Stack, function: template.Function, tenant: str) -> str:
    """`tenant` subscribes. All tests share the stack, so each of them needs another one."""
    if function.code.name != "stripe_webhook":
        [path] = (ROOT / "events").glob(f"*/{function.code.name}.json")
        # The tenant and the invoice in the files may exist. The others buy the plan in the file, without a trial.
        mine = {
            "start_checkout": ("acme", tenant),
            "create_invoice": ("inv-100", f"inv-{tenant}"),
            "put_plan": (r"\"trialDays\": 14", r"\"trialDays\": 0"),
        }
        return path.read_text().replace(*mine.get(function.code.name, ("", "")))
    sign = [sys.executable, "-m", "local.commands.sign", "EVENT"]
    given = {"EVENT": "events/stripe/customer.subscription.created.json", "STRIPE_WEBHOOK_SECRET": stack.webhook_secret}
    environment = {**os.environ, "PYTHONPATH": "layers/billing:.", **given}
    return subprocess.run(sign, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout


def check(function: template.Function, answer: dict[str, Any]) -> None:
    match function.code.name:
        case "publish_billing_events":
            assert answer == {"batchItemFailures": []}
        case "reconcile_stripe":
            assert (answer["complete"], answer["dryRun"]) == (True, True), answer
        case "sweep_due_items":
            assert (answer["complete"], answer["failed"]) == (True, 0), answer
        case name:
            assert answer["statusCode"] == STATUS.get(name, 200), answer
