"""`make advance`, `make weather`, `make fail`, `make roll-secret`: the local stack's clock and bad days, from a shell.

The same as the console's buttons; what each takes says `local/stripe/controls.py`.
"""

import json
import os
import sys
from datetime import UTC, datetime

import requests

from local.stack import LOOPBACK, Ports

_TIMEOUT_SECONDS = 600  # a decade takes a while


def main() -> int:
    """`python -m local.commands.control ACTION name=value …`; values that are empty are left out."""
    action, *pairs = sys.argv[1:]
    form = dict(pair.split("=", 1) for pair in pairs)
    given = {name.lower(): value for name, value in form.items() if value}
    # The secret is also an operator's matter: the console puts it into Secrets Manager.
    # Where it is, a shell says that sourced stack.env, or by the ports that the stack was started with.
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
        print("The webhook secret is rolled; the one before stays valid beside it.")
    elif answer.ok and action == "clock":
        moved = answer.json()
        now = datetime.fromtimestamp(moved["now"], UTC)
        print(f"Stripe's time is {now:%d %b %Y %H:%M:%S}; {moved['happened']} things became due.")
    else:
        print(json.dumps(answer.json(), indent=2))
    return 0 if answer.ok else 1


if __name__ == "__main__":
    sys.exit(main())
