"""The demo: its text, its checks, and that it leaves a stack that runs alone."""

import io
import os
import subprocess
import sys

import pytest
from rich.console import Console

from local.commands import demo
from local.commands.stage import WIDTH, Failed, Stage, tenant
from local.stack import Stack
from local.template import ROOT

TIMEOUT = 600  # in seconds; long enough for a busy machine


@pytest.fixture(scope="module")
def played(stack: Stack) -> str:
    """The output of `make demo FULL=1` in a shell that has read the `stack.env` of a stack that runs."""
    assert stack.stripe
    calls, events = len(stack.stripe.calls), len(stack.stripe.store.all("event"))
    elsewhere = {
        "STRIPE_API_KEY": stack.api_key,
        "STRIPE_API_BASE": stack.stripe_base,
        "WEBHOOK_URL": stack.webhook_url,
        "STACK_STATE": str(stack.state),
        "FULL": "1",
    }
    environment = {**os.environ, "PYTHONPATH": "layers/billing:.", **elsewhere}
    command = [sys.executable, "-m", "local.commands.demo", "FULL"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (len(stack.stripe.calls), len(stack.stripe.store.all("event"))) == (calls, events)
    return done.stdout


def test_everything_holds(played: str) -> None:
    assert "11. The tenant cancels" in played
    assert "✓ The tenant is ACTIVE: its first payment came." in played
    assert "✓ Everything held." in played
    assert "FAILED:" not in played


def test_no_line_is_wider_than_80_columns(played: str) -> None:
    assert max(map(len, played.splitlines())) <= WIDTH == 80


def test_each_step_shows_what_changed(played: str) -> None:
    paid = played.split("2. The tenant pays")[1].split("✓", maxsplit=1)[0]
    assert "~ tenant" in paid
    assert "PENDING → ACTIVE" in paid
    assert "+ subscription" in paid
    assert paid.count("inv-001") == 1, "only the whole table has it: it did not change"
    assert "= nothing changed" in played.split("3. Stripe sends")[1].split("✓", maxsplit=1)[0]


def stage(stack: Stack, *, full: bool = False) -> tuple[Stage, io.StringIO]:
    output = io.StringIO()
    return Stage(stack, Console(file=output, width=WIDTH, soft_wrap=True), full=full), output


def test_the_whole_table_is_for_who_wants_it(stack: Stack) -> None:
    for full in (False, True):
        made, output = stage(stack, full=full)
        made.step("A step", "Nothing happens.", lambda: None)
        assert ("inv-001" in output.getvalue()) is full


def test_a_failed_check_is_unmistakable(stack: Stack) -> None:
    made, output = stage(stack)
    status = demo.play(made, lambda s: s.step("A step", "", lambda: None, tenant("NONE", "It is gone.")))
    text = output.getvalue()
    assert status == 1
    assert text.count("✗") == 2
    assert "✗ FAILED: It is gone. No: the table has " in text
    assert "✗ 1 check FAILED:" in text
    assert "Everything held." not in text


def test_a_story_that_cannot_go_on_fails(stack: Stack) -> None:
    made, output = stage(stack)

    def story(stage: Stage) -> None:
        raise Failed("POST stripe/checkout: 500 " + "x" * 200)

    assert demo.play(made, story) == 1
    assert "✗ FAILED: POST stripe/checkout: 500" in output.getvalue()
    assert max(map(len, output.getvalue().splitlines())) <= WIDTH
