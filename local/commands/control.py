"""`make advance`, `make weather`, `make fail`, `make roll-secret`: set the clock and the failures of the running stack.

These commands do the same as the buttons of the console. `local/stripe/controls.py` describes their parameters.
"""

import sys
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, Final

import requests

from local import web
from local.commands.environment import settings
from local.commands.variables import Variables
from local.commands.words import counted

_TIMEOUT_SECONDS: Final = 600  # to move the clock by ten years takes minutes
_DAYS: Final = 3650
_SECONDS: Final = 3600
_MANY: Final = 1000
_WIDTH: Final = 80  # columns


def advance(given: Variables) -> str:
    days = given.number("DAYS", 1, _DAYS, "a number of days")
    answer = _control("clock", days=days)
    return moved(days, answer["now"], answer["happened"])


def moved(days: float, now: float, due: int) -> str:
    """Says that Stripe's time moved to `now` (seconds since the epoch), and how many actions were due."""
    what = f"{counted(due, 'action')} {'was' if due == 1 else 'were'} due" if due else "Nothing was due"
    return f"Stripe's time moved {counted(days, 'day')}, to {web.moment(now)} UTC. {what}."


def weather(given: Variables) -> str:
    """A variable that is not given means fair weather."""
    answer = _control(
        "weather",
        copies=given.whole("COPIES", 1, 1, 100),
        late=given.number("LATE", 0, _SECONDS, "a number of seconds"),
        lost=given.number("LOST", 0, 1, "the share of the events that are lost: a number"),
        shuffled=str(given.flag("SHUFFLED")).lower(),
        down=str(given.flag("DOWN")).lower(),
    )
    if answer["down"]:
        return "From now on every delivery fails: the endpoint is down."
    bad = [f"{answer['copies']} times"] if answer["copies"] > 1 else []
    bad += [f"{counted(answer['late'], 'second')} late"] if answer["late"] else []
    bad += ["out of order"] if answer["shuffled"] else []
    lost = f", and {answer['lost']:.0%} of the events are lost" if answer["lost"] else ""
    if not bad and not lost:
        return "The weather is fair: from now on each event comes once, at once."
    return f"From now on each event comes {', '.join(bad) or 'once, at once'}{lost}."


def fail(given: Variables) -> str:
    status = given.whole("STATUS", 0, 400, 599)
    count = given.whole("COUNT", 1, 1, _MANY)
    seconds = given.number("SECONDS", 0, _SECONDS, "a number of seconds")
    if not status and not seconds:
        raise SystemExit("fail needs STATUS, such as STATUS=500, or SECONDS, such as SECONDS=12.")
    _control("failures", status=status, count=count, seconds=seconds)
    calls, s = (f"The next {count} calls", "") if count > 1 else ("The next call", "s")
    if not status:
        return f"{calls} to Stripe's API take{s} {counted(seconds, 'second')}."
    late = f" after {counted(seconds, 'second')}" if seconds else ""
    return f"{calls} to Stripe's API fail{s} with the status {status}{late}."


def roll_secret(_: Variables) -> str:
    """The console does the operator's part, too: it puts the new secret into Secrets Manager."""
    _control_url()
    _post(f"{settings()['API_URL']}/console/roll-secret", {})
    return "The webhook secret is rolled; the previous one stays valid, too."


# The variables that each command takes.
_COMMANDS: Final[Mapping[str, tuple[Callable[[Variables], str], str]]] = {
    "advance": (advance, "DAYS"),
    "weather": (weather, "COPIES LATE LOST SHUFFLED DOWN"),
    "fail": (fail, "STATUS COUNT SECONDS"),
    "roll-secret": (roll_secret, ""),
}


def _control(name: str, **form: object) -> dict[str, Any]:
    """Calls a control of the stand-in. Raises `SystemExit` with a sentence."""
    body: dict[str, Any] = _post(f"{_control_url()}/{name}", form).json()
    return body


def _control_url() -> str:
    url = settings().get("STRIPE_CONTROL_URL")
    if not url:
        raise SystemExit("This stack uses another Stripe than the stand-in, which nobody can control from here.")
    return url


def _post(url: str, form: Mapping[str, object]) -> requests.Response:
    try:
        answer = requests.post(url, form, timeout=_TIMEOUT_SECONDS, allow_redirects=False)
    except requests.ConnectionError:
        raise SystemExit(f"The local stack does not answer at {url}.") from None
    if not answer.ok:
        raise SystemExit(f"The local stack refused: {answer.status_code} {answer.text}")
    return answer


if __name__ == "__main__":
    command, *names = sys.argv[1:]
    act, takes = _COMMANDS[command]
    print(textwrap.fill(act(Variables(command, takes, names)), _WIDTH))
