"""`make advance`, `make weather`, `make fail`, `make roll-secret`: the local stack's clock and bad days, from a shell.

The same as the console's buttons; what each takes says `local/stripe/controls.py`.
"""

import json
import sys

import requests

from local.stack import LOOPBACK, Ports

_TIMEOUT_SECONDS = 600  # a decade takes a while


def main() -> int:
    """`python -m local.control ACTION name=value …`; values that are empty are left out."""
    action, *pairs = sys.argv[1:]
    form = dict(pair.split("=", 1) for pair in pairs)
    given = {name.lower(): value for name, value in form.items() if value}
    # The secret is also an operator's matter: the console puts it into Secrets Manager.
    port, path = (Ports().gateway, "/console") if action == "roll-secret" else (Ports().stripe, "/_control")
    try:
        answer = requests.post(
            f"http://{LOOPBACK}:{port}{path}/{action}", given, timeout=_TIMEOUT_SECONDS, allow_redirects=False
        )
    except requests.ConnectionError:
        print("The local stack does not answer: start it with `make up`.", file=sys.stderr)
        return 1
    if answer.status_code == requests.codes.see_other:
        print("The webhook secret is rolled; the one before stays valid beside it.")
    else:
        print(json.dumps(answer.json(), indent=2))
    return 0 if answer.ok else 1


if __name__ == "__main__":
    sys.exit(main())
