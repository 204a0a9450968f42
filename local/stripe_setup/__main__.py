"""`make stripe-setup` sets up the webhook endpoint, its signing secret and the portal's configuration.

Every run brings the account to the state that `expected.py` describes. The exit status says what happened:
- 0: the account has that state.
- 1: a person has something left to do, or the check (`--check`) found a difference.
- 2: the set-up failed.

The key comes only from the environment, because every user of the machine can read the arguments of a process.
"""

import argparse
import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

import stripe
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from local.stripe_setup.expected import VERSION, Account, Wish, live
from local.stripe_setup.plan import Plan, findings, mixed, plan
from local.stripe_setup.stores import Refused, Stores

_OFF: Final = ("", "0", "false", "no")
_KEY: Final = re.compile(r"[sr]k_\w+")
_CREDENTIAL: Final = re.compile(r"\b((?:[sr]k_(?:test|live)|whsec)_)[\w/+=*-]+")
PRORATIONS: Final = ("always_invoice", "create_prorations", "none")  # the first one if none is named
DOWNGRADES: Final = ("at_period_end", "at_once")
_LOOPBACK: Final = ("127.0.0.1", "localhost")


class Output:
    """Prints lines for people. It hides every credential, also in the messages of other programs."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)

    def say(self, text: str, style: str = "") -> None:
        self._console.print(_CREDENTIAL.sub(r"\1…", text), style=style)

    def each(self, mark: str, texts: Sequence[str], style: str) -> None:
        for text in texts:
            self.say(f"{mark} {text}", style)

    def plan(self, made: Plan) -> None:
        for change in made.changes:
            self.say(f"{change.act} {change.id}".strip(), "bold")
            self.each("   ", [str(difference) for difference in change.differences], "")
        self.each("note:", made.remarks, "yellow")
        self.each("to do:", made.left, "bold red")


# -- the options


def arguments(given: Sequence[str], environment: Mapping[str, str]) -> argparse.Namespace:
    """Each option may also come from an environment variable, because make passes its variables on in this way."""
    parser = argparse.ArgumentParser(prog="make stripe-setup", description="Sets up Stripe for billing.")
    for name in ("webhook-url", "secret-arn", "prices", "proration", "downgrades"):
        parser.add_argument(f"--{name}", default=environment.get(_variable(name), ""))
    for name in ("check", "dry-run", "retire"):
        on = environment.get(_variable(name), "").lower() not in _OFF
        parser.add_argument(f"--{name}", action="store_true", default=on)
    options, more = parser.parse_known_args(given)
    if more:  # the message does not repeat the argument, because it may be a key
        raise Refused("An argument is not known (--help lists them). The key is taken from the environment only.")
    return options


def _variable(name: str) -> str:
    return name.upper().replace("-", "_")


def checked(options: argparse.Namespace, key: str) -> None:
    """Raises `Refused` if an option is missing or cannot be right."""
    given = {"STRIPE_API_KEY": key, "WEBHOOK_URL": options.webhook_url, "SECRET_ARN": options.secret_arn}
    missing = [name for name, value in given.items() if not value]
    if missing:
        raise Refused(f"Missing: {', '.join(missing)}. They are named as in: make stripe-setup WEBHOOK_URL=https://…")
    if options.proration not in ("", *PRORATIONS):
        raise Refused(f"PRORATION is one of {', '.join(PRORATIONS)}.")
    if options.downgrades not in ("", *DOWNGRADES):
        raise Refused(f"DOWNGRADES is one of {', '.join(DOWNGRADES)}.")
    if not _KEY.fullmatch(key):
        raise Refused("STRIPE_API_KEY is no secret or restricted key (sk_… or rk_…).")
    if not _whole(options.webhook_url):
        raise Refused("WEBHOOK_URL must be a whole address that begins with https://.")


def _whole(address: str) -> bool:
    """Whether the address is complete. It needs https, except for the local stack on this machine."""
    try:
        url = urlsplit(address)
    except ValueError:
        return False
    return bool(url.hostname) and (url.scheme == "https" or (url.scheme == "http" and url.hostname in _LOOPBACK))


# -- the work


def check(account: Account, wish: Wish, out: Output, lacking: Sequence[str] = ()) -> int:
    """`lacking`: what the functions' key may not do."""
    found = [*findings(account, wish), *lacking]
    out.each("found:", found, "bold red")
    out.say(f"{_count(len(found), 'finding')}." if found else "Stripe is set up as we expect.", "bold")
    return 1 if found else 0


def change(stores: Stores, account: Account, wish: Wish, out: Output, *, dry_run: bool) -> int:
    unusable = [account.secret.problem] if account.secret.problem else [*mixed(account.secret, wish)]
    if unusable:  # check this first: a new endpoint would have a secret that cannot be stored
        raise Refused(" ".join(unusable))
    made = plan(account, wish)
    out.plan(made)
    for one in () if dry_run else made.changes:
        out.say(f"done: {one.act} {stores.do(one)}".rstrip(), "green")
    out.say(_summary(made, dry_run=dry_run), "bold")
    return 1 if made.left else 0


def _summary(made: Plan, *, dry_run: bool) -> str:
    count = _count(len(made.changes), "change")
    done = f"A dry run: {count} to make, nothing was changed." if dry_run else f"{count} made."
    if not made.changes:
        done = "Nothing to change."
    return f"{done} {_count(len(made.left), 'thing')} left for you." if made.left else done


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def run(given: Sequence[str], environment: Mapping[str, str], out: Output) -> int:
    options = arguments(given, environment)
    key = environment.get("STRIPE_API_KEY", "").strip()
    checked(options, key)
    if "STRIPE_API_KEY=" in environment.get("MAKEFLAGS", ""):
        out.say("note: the process list shows a key that is an argument of make. Export the key instead.", "yellow")
    base = environment.get("STRIPE_API_BASE", "")
    mode = "live" if live(key) else "test"
    out.say(f"Stripe{f' at {base}' if base else ''}, {mode} mode, API version {VERSION}, {options.webhook_url}")
    stores = Stores(key, options.secret_arn, base)
    wished = {"proration": options.proration or PRORATIONS[0], "downgrades_wait": options.downgrades != "at_once"}
    prices = [price.strip() for price in options.prices.split(",") if price.strip()]
    wish = Wish(options.webhook_url, live(key), stores.products(prices), options.retire, **wished)
    account = stores.account(wish)
    if options.check:
        usable = not account.secret.problem and not [*mixed(account.secret, wish)]
        return check(account, wish, out, stores.lacking(base, account.secret.value["api-key"]) if usable else ())
    return change(stores, account, wish, out, dry_run=options.dry_run)


def main(given: Sequence[str], environment: Mapping[str, str] = os.environ) -> int:
    out = Output()
    try:
        return run(given, environment, out)
    except Refused as error:
        out.say(str(error), "bold red")
    except stripe.APIConnectionError:
        out.say("Stripe cannot be reached. Is there a network? Is STRIPE_API_BASE right?", "bold red")
    except stripe.StripeError as error:
        out.say(f"Stripe refuses: {error.user_message or type(error).__name__} ({error.request_id})", "bold red")
    except (ClientError, BotoCoreError) as error:
        out.say(f"AWS: {error}", "bold red")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
