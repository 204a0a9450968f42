"""`make advance`, `make weather`, `make fail`, `make roll-secret`: set the clock and the failures of the local stack.

These commands do the same as the buttons of the console. `local/stripe/controls.py` describes their parameters.
"""

import json
import os
import sys
from datetime import UTC, datetime

import requests

from local.stack import LOOPBACK, Ports

_TIMEOUT_SECONDS = 600  # to move the clock by ten years takes minutes


def main() -> int:
    """Runs `python -m local.commands.control ACTION name=value …`. It leaves out empty values."""
    action, *pairs = sys.argv[1:]
    form = dict(pair.split("=", 1) for pair in pairs)
    given = {name.lower(): value for name, value in form.items() if value}
    # The console also does the operator's part: it puts the new secret into Secrets Manager.
    # A shell that sourced stack.env knows the address. Otherwise the address follows from the ports of the stack.
    if action == "roll-secret":
        url = f"{os.environ.get('API_URL') or f'http://{LOOPBACK}:{Ports().gateway}'}/console/{action}"
    else:
        url = f"{os.environ.get('STRIPE_API_BASE') or f'http://{LOOPBACK}:{Ports().stripe}'}/_control/{action}"
    try:
        answer = requests.post(url, given, timeout=_TIMEOUT_SECONDS, allow_redirects=False)
    except requests.ConnectionError:
        print(f"The local stack does not answer at {url}: start it with `make up`.", file=sys.stderr)
        return 1
    if answer.status_code == requests.codes.see_other:
        print("The webhook secret is rolled; the previous one stays valid too.")
    elif answer.ok and action == "clock":
        moved = answer.json()
        now = datetime.fromtimestamp(moved["now"], UTC)
        print(f"Stripe's time is {now:%d %b %Y %H:%M:%S}; {moved['happened']} things became due.")
    else:
        print(json.dumps(answer.json(), indent=2))
    return 0 if answer.ok else 1


if __name__ == "__main__":
    sys.exit(main())
