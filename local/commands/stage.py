"""Plays the steps of a story on a stack, and shows and checks what each step changed in the table."""

import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import requests
from rich.console import Console

from local.account import Items, account
from local.commands.account import grid
from local.commands.changes import changes
from local.commands.seed import TENANT
from local.commands.words import counted
from local.stack import Stack

WIDTH: Final = 80  # columns; no line is wider
SETTLE_SECONDS: Final = 600
_TIMEOUT: Final = 600  # seconds; long, so that a busy machine causes no failure
_API: Final = "/api/v1/billing/"


class Failed(Exception):
    """A call had the wrong answer, so the story cannot go on."""


@dataclass(frozen=True)
class Claim:
    """`sentence` is true if the items of `kind` (TENANT, SUBSCRIPTION, INVOICE, PAYMENT) have these statuses."""

    kind: str
    statuses: tuple[str, ...]
    sentence: str


def tenant(status: str, sentence: str) -> Claim:
    return Claim("TENANT", (status,), sentence)


def subscription(status: str, sentence: str) -> Claim:
    """Without a status, there is no subscription."""
    return Claim("SUBSCRIPTION", tuple(status.split()), sentence)


def invoices(statuses: str, sentence: str) -> Claim:
    """The statuses are separated by spaces, in any order. Without one, there are no invoices."""
    return Claim("INVOICE", tuple(statuses.split()), sentence)


def payments(statuses: str, sentence: str) -> Claim:
    return Claim("PAYMENT", tuple(statuses.split()), sentence)


class Stage:
    """`full`: each step shows the whole table too. `failures` has a text for each check that failed."""

    def __init__(self, stack: Stack, console: Console, *, full: bool = False) -> None:
        self.stack = stack
        self.failures: list[str] = []
        self._console = console
        self._full = full
        self._steps = 0
        self._checks = 0
        self._began = time.monotonic()
        self._seen = self.account()

    # -- calls

    def api(self, path: str, expected: int = 200) -> dict[str, Any]:
        """Calls the API as the tenant. Returns the answer's body. Raises `Failed` if it has another status."""
        headers = {"Authorization": f"Bearer {self.stack.token(TENANT)}"}
        answer = requests.post(self.stack.api_url + _API + path, headers=headers, timeout=_TIMEOUT)
        self._console.print(f"  [dim]POST …/{path}  {answer.status_code}[/]")
        if answer.status_code != expected:
            raise Failed(f"POST {path}: {answer.status_code} {answer.text}")
        body: dict[str, Any] = answer.json()
        return body

    def stripe(self, method: str, path: str, expected: int = 200, **form: str) -> dict[str, Any]:
        """Does what a person, a bank or the passing of time does at Stripe. Raises `Failed` for another status."""
        headers = {"Authorization": f"Bearer {self.stack.api_key}"}
        answer = requests.request(method, self.stack.stripe_base + path, data=form, headers=headers, timeout=_TIMEOUT)
        if answer.status_code != expected:
            raise Failed(f"Stripe {method} {path}: {answer.status_code} {answer.text}")
        body: dict[str, Any] = answer.json()
        return body

    def account(self) -> Items:
        return account(self.stack.aws, TENANT)

    # -- what people see

    def tell(self, text: str) -> None:
        for line in textwrap.wrap(text, WIDTH - 4):
            self._console.print(f"  {line}", markup=False)

    def title(self, text: str) -> None:
        self._console.print()
        self._console.rule(f"[bold]{text}[/]", align="left")

    def show(self) -> None:
        """The whole table."""
        self._console.print(grid(self.account()))

    def step(self, title: str, story: str, act: Callable[[], object], *claims: Claim) -> None:
        """Calls `act`, waits for the webhooks that follow, shows what changed, and checks the claims."""
        self._steps += 1
        self.title(f"{self._steps}. {title}")
        self.tell(story)
        act()
        self._settle()
        found = self.account()
        self._show_changes(found)
        self._seen = found
        for claim in claims:
            seen = sorted(item["status"] for item in found[claim.kind])
            self.that(claim.sentence, seen == sorted(claim.statuses), f"the table has {', '.join(seen) or 'none'}")

    def that(self, sentence: str, holds: bool, otherwise: str) -> None:  # noqa: FBT001 - `holds` says whether it is true
        """Checks a sentence. `otherwise` says what is the case if it does not hold."""
        self._checks += 1
        if holds:
            self._print(sentence, "[green]✓[/] ")
        else:
            self.failed(f"{sentence} No: {otherwise}")

    def failed(self, text: str) -> None:
        self.failures.append(text)
        self._print(f"FAILED: {text}", "[bold red]✗[/] ")

    def summary(self) -> int:
        """Says how it went. Returns the exit status: 0 if every check held."""
        deliveries = self.stripe("GET", "/_control/deliveries")["data"]
        lost = sum(delivery["status"] is None for delivery in deliveries)
        again = sum(delivery["attempt"] > 0 for delivery in deliveries)
        self.title("Summary")
        self.tell(
            f"{counted(self._steps, 'step')}, {counted(self._checks, 'check')} in "
            f"{time.monotonic() - self._began:.0f} s. Stripe sent {counted(len(deliveries), 'webhook')}: "
            f"{lost} got lost, {again} had to be sent again."
        )
        if not self.failures:
            self._print("Everything held.", "[green]✓[/] ")
            return 0
        self._print(f"{counted(len(self.failures), 'check')} FAILED:", "[bold red]✗[/] ")
        for failure in self.failures:
            self._print(failure, "  ")
        return 1

    def _settle(self) -> None:
        if not self.stripe("GET", f"/_control/deliveries?wait={SETTLE_SECONDS}")["idle"]:
            raise Failed("Webhooks are still being delivered.")

    def _show_changes(self, found: Items) -> None:
        lines = changes(self._seen, found)
        for line in lines or ["  [dim]= nothing changed[/]"]:
            self._console.print(line)
        if self._full:
            self._console.print(grid(found))

    def _print(self, text: str, mark: str) -> None:
        """`mark` has markup and two columns. The lines after the first begin below the text."""
        lines = textwrap.wrap(text, WIDTH - 4)
        for n, line in enumerate(lines):
            self._console.print("  " + ("  " if n else mark), end="")
            self._console.print(line, markup=False)
