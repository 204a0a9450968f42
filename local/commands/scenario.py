"""`make scenario NAME=declined-renewal SEED=7`: plays a story on the running stack, and says where to look.

It does the same as the button of the console. Without NAME it says which stories there are.
"""

import sys
import textwrap

import requests

from local.commands.environment import settings
from local.commands.variables import Variables
from local.scenarios import SCENARIOS, SEEDS, tenant_of

_WIDTH = 78
_TIMEOUT = 600  # seconds; long, so that a busy machine causes no failure


def main() -> None:
    given = Variables("scenario", "NAME SEED", sys.argv[1:])
    name, seed = given.text("NAME"), given.whole("SEED", 1, 1, SEEDS)
    if not name:
        if given.text("SEED"):
            raise SystemExit("scenario needs NAME with SEED; `make scenario` says which there are.")
        print("make scenario NAME=… plays one of these:\n")
        print(*(f"  {known:24}{it.title}" for known, it in SCENARIOS.items()), sep="\n")
        return
    if name not in SCENARIOS:
        raise SystemExit(f"There is no scenario {name}; `make scenario` says which there are.")
    said = _play(settings()["API_URL"], name, seed)
    it = SCENARIOS[name]
    print(f"{it.title}\n")
    print(*textwrap.wrap(it.story, _WIDTH), sep="\n")
    print(f"\nThe tenant is {tenant_of(name, seed)}. What to look at, in the console:\n")
    for number, text in enumerate(it.look, 1):
        print(textwrap.fill(text, _WIDTH, initial_indent=f"  {number}. ", subsequent_indent="     "))
    print(f"\n  {said}")


def _play(url: str, name: str, seed: int) -> str:
    """Returns the address to look at. Raises `SystemExit` with a sentence."""
    form = {"scenario": name, "seed": str(seed)}
    try:
        answer = requests.post(
            f"{url}/console/scenario", form, headers={"Accept": "application/json"}, timeout=_TIMEOUT
        )
    except requests.ConnectionError:
        raise SystemExit(f"The local stack does not answer at {url}.") from None
    if answer.status_code == requests.codes.not_found:
        raise SystemExit("This stack uses another Stripe than the stand-in, on which nothing can be played.")
    said = answer.json()
    if said["problem"]:
        raise SystemExit(f"{said['problem']} {said['more']}".strip())
    return f"{url}{said['go']}"


if __name__ == "__main__":
    main()
