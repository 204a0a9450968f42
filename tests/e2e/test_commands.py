"""The commands of a shell, for a stack on ports of its own: they find it by themselves and answer in sentences."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from billing.inbox.signature import sign
from local import running, tokens
from local.commands import control, seed
from local.running import SettingsFile
from local.stack import LOCAL_WEBHOOK_SECRET, Stack
from local.stripe.account import Account
from local.stripe.engine.store import DAY
from local.stripe.webhooks import Weather
from local.template import ROOT

TIMEOUT = 600  # in seconds; long enough for a busy machine


def environment(state: Path, **variables: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": "layers/billing:.", "STACK_STATE": str(state), **variables}


def run(state: Path, command: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Runs a command as the Makefile does: the values in the environment, the names as arguments."""
    line = [sys.executable, "-m", *(f"local.commands.{command}").split(), *variables]
    return subprocess.run(
        line, cwd=ROOT, env=environment(state, **variables), capture_output=True, text=True, check=False
    )


def said(state: Path, command: str, **variables: str) -> str:
    done = run(state, command, **variables)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def refused(state: Path, command: str, **variables: str) -> str:
    done = run(state, command, **variables)
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr


@pytest.fixture
def stand_in(stripe_server: tuple[Account, str], tmp_path: Path) -> Iterator[Account]:
    """A stand-in for Stripe that the commands find in `tmp_path`. Nobody else calls it or moves its time."""
    account, url = stripe_server
    file = SettingsFile(tmp_path)
    file.write({"API_URL": "http://127.0.0.1:1", "STRIPE_CONTROL_URL": f"{url}/_control"})
    yield account
    file.remove()


# -- the clock


def test_time_moves(stand_in: Account, tmp_path: Path) -> None:
    before = stand_in.clock()
    answer = said(tmp_path, "control advance", DAYS="35")
    assert stand_in.clock() >= before + 35 * DAY
    pattern = r"Stripe's time moved 35 days, to \d\d \w{3} \d{4} \d\d:\d\d:\d\d UTC\. Nothing was due\.\n"
    assert re.fullmatch(pattern, answer), answer
    assert said(tmp_path, "control advance").startswith("Stripe's time moved 1 day, to ")
    assert said(tmp_path, "control advance", DAYS="0.5").startswith("Stripe's time moved 0.5 days, to ")


@pytest.mark.parametrize(
    ("due", "what"), [(0, "Nothing was due."), (1, "1 action was due."), (4, "4 actions were due.")]
)
def test_actions_are_counted(due: int, what: str) -> None:
    assert control.moved(35, 1798711200, due) == f"Stripe's time moved 35 days, to 31 Dec 2026 10:00:00 UTC. {what}"


def test_time_does_not_move_by_what_is_no_number_of_days(stand_in: Account, tmp_path: Path) -> None:
    before = stand_in.clock()
    for days in ("x", "-1", "3651"):
        sentence = f"DAYS is a number of days from 0 to 3650, not {days}.\n"
        assert refused(tmp_path, "control advance", DAYS=days) == sentence
    assert refused(tmp_path, "control advance", DAY="2") == "advance knows no DAY; it takes DAYS.\n"
    assert stand_in.clock() - before < DAY


# -- the weather


@pytest.mark.parametrize(
    ("variables", "sentence", "expected"),
    [
        ({}, "The weather is fair: from now on each event comes once, at once.", Weather()),
        (
            {"COPIES": "2", "LATE": "3", "LOST": "0.5", "SHUFFLED": "true"},
            "From now on each event comes 2 times, 3 seconds late, out of order, and 50% of\nthe events are lost.",
            Weather(2, 3, 0.5, shuffled=True),
        ),
        ({"LATE": "1"}, "From now on each event comes 1 second late.", Weather(late=1)),
        (
            {"LOST": "1"},
            "From now on each event comes once, at once, and 100% of the events are lost.",
            Weather(lost=1),
        ),
        ({"DOWN": "1"}, "From now on every delivery fails: the endpoint is down.", Weather(down=True)),
    ],
)
def test_the_weather(
    stand_in: Account, tmp_path: Path, variables: dict[str, str], sentence: str, expected: Weather
) -> None:
    stand_in.webhooks.weather = Weather(copies=9)
    assert said(tmp_path, "control weather", **variables) == sentence + "\n"
    assert stand_in.webhooks.weather == expected


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"COPY": "2"}, "weather knows no COPY; it takes COPIES, LATE, LOST, SHUFFLED, DOWN."),
        ({"LOST": "2"}, "LOST is the share of the events that are lost: a number from 0 to 1, not 2."),
        ({"LATE": "abc"}, "LATE is a number of seconds from 0 to 3600, not abc."),
        ({"COPIES": "0"}, "COPIES is a whole number from 1 to 100, not 0."),
        ({"DOWN": "x"}, "DOWN is true or false, not x."),
    ],
)
def test_what_is_no_weather_changes_nothing(
    stand_in: Account, tmp_path: Path, variables: dict[str, str], sentence: str
) -> None:
    stand_in.webhooks.weather = Weather(copies=9)
    assert refused(tmp_path, "control weather", **variables) == sentence + "\n"
    assert stand_in.webhooks.weather == Weather(copies=9)


# -- failures, secrets, tokens, the table


@pytest.mark.parametrize(
    ("variables", "sentence", "expected"),
    [
        ({"STATUS": "500"}, "The next call to Stripe's API fails with the status 500.", (500, 1, 0)),
        (
            {"STATUS": "429", "COUNT": "3", "SECONDS": "1"},
            "The next 3 calls to Stripe's API fail with the status 429 after 1 second.",
            (429, 3, 1),
        ),
        ({"SECONDS": "0.5"}, "The next call to Stripe's API takes 0.5 seconds.", (0, 1, 0.5)),
        ({"SECONDS": "12", "COUNT": "2"}, "The next 2 calls to Stripe's API take 12 seconds.", (0, 2, 12)),
    ],
)
def test_failures(
    stand_in: Account, tmp_path: Path, variables: dict[str, str], sentence: str, expected: tuple[int, int, float]
) -> None:
    assert said(tmp_path, "control fail", **variables) == sentence + "\n"
    [failure] = stand_in.failures
    assert (failure["status"], failure["count"], failure["seconds"]) == expected


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({}, "fail needs STATUS, such as STATUS=500, or SECONDS, such as SECONDS=12."),
        ({"STATUS": "200"}, "STATUS is a whole number from 400 to 599, not 200."),
        ({"STATUS": "500", "COUNT": "0"}, "COUNT is a whole number from 1 to 1000, not 0."),
        ({"STATUS": "500", "TIMES": "2"}, "fail knows no TIMES; it takes STATUS, COUNT, SECONDS."),
    ],
)
def test_what_is_no_failure_changes_nothing(
    stand_in: Account, tmp_path: Path, variables: dict[str, str], sentence: str
) -> None:
    assert refused(tmp_path, "control fail", **variables) == sentence + "\n"
    assert stand_in.failures == []


def test_a_new_secret_is_also_that_of_make_sign(stack: Stack) -> None:
    assert stack.stripe
    answer = said(stack.state, "control roll-secret")
    assert answer == "The webhook secret is rolled; the previous one stays valid, too.\n"
    assert running.read(stack.state)["STRIPE_WEBHOOK_SECRET"] == stack.stripe.webhooks.secrets[0]


def test_tokens_are_bare(stack: Stack) -> None:
    tenants = tokens.verify(said(stack.state, "token", TENANT="acme").removesuffix("\n"), stack.state)
    assert (tenants[tokens.TENANT_CLAIM], tenants["scope"]) == ("acme", "")
    operators = tokens.verify(said(stack.state, "token").removesuffix("\n"), stack.state)
    assert (operators.get(tokens.TENANT_CLAIM), operators["scope"]) == (None, "billing:admin")
    assert "not a b." in refused(stack.state, "token", TENANT="a b")
    assert refused(stack.state, "token", TENNANT="x") == "token knows no TENNANT; it takes TENANT.\n"


def test_the_table_is_shown(stack: Stack) -> None:
    shown = said(stack.state, "show", TENANT=seed.TENANT)
    assert re.search(r"tenant +550e8400 +\w+ +cus_abc123", shown), shown
    assert said(stack.state, "show", TENANT="nobody") == "The table has no items of tenant nobody.\n"
    assert refused(stack.state, "show") == "show needs TENANT, such as `make show TENANT=550e8400`.\n"


def test_the_settings_of_a_shell_do_not_count(stack: Stack) -> None:
    """A shell may have read the file of a stack that ended."""
    gone = "http://127.0.0.1:1"
    urls = dict.fromkeys(("API_URL", "STRIPE_API_BASE", "STRIPE_CONTROL_URL", "AWS_ENDPOINT_URL"), gone)
    line = [sys.executable, "-m", "local.commands.control", "advance"]
    env = environment(stack.state, **urls, API_PORT="1", STRIPE_PORT="1", DAYS="0")
    assert subprocess.run(line, cwd=ROOT, env=env, capture_output=True, check=False).returncode == 0


# -- `stack.env`


def test_a_stack_without_the_stand_in_has_no_controls(tmp_path: Path) -> None:
    file = SettingsFile(tmp_path)
    file.write({"API_URL": "http://127.0.0.1:1", "STRIPE_API_BASE": "https://api.stripe.com"})
    for command in ("advance", "weather", "roll-secret"):
        done = run(tmp_path, f"control {command}")
        assert done.returncode == 1
        assert done.stderr.startswith("This stack uses another Stripe than the stand-in")
    file.remove()


def test_the_file_is_there_as_long_as_the_stack(tmp_path: Path) -> None:
    file = SettingsFile(tmp_path)
    with pytest.raises(running.NotRunning, match=r"^No local stack is running; `make up` starts one\.$"):
        running.read(tmp_path)
    file.write({"NAME": "a=b"})
    assert running.read(tmp_path) == {"NAME": "a=b"}
    file.write({"NAME": "c"})
    assert running.read(tmp_path) == {"NAME": "c"}
    file.remove()
    assert not list(tmp_path.iterdir())


def test_the_newest_of_two_stacks_has_the_file(tmp_path: Path) -> None:
    first, second = SettingsFile(tmp_path), SettingsFile(tmp_path)
    first.write({"NAME": "first"})
    second.write({"NAME": "second"})
    first.remove()
    assert running.read(tmp_path) == {"NAME": "second"}
    third = SettingsFile(tmp_path)  # it has not started yet
    assert running.read(tmp_path) == {"NAME": "second"}
    third.write({"NAME": "third"})
    assert running.read(tmp_path) == {"NAME": "third"}
    second.remove()
    third.remove()


# -- `make up`


@contextmanager
def up(state: Path, **variables: str) -> "Iterator[subprocess.Popen[str]]":
    """A stack on free ports, as `make up` runs it. Its output is in the file `output` of the folder."""
    free = {"API_PORT": "0", "STRIPE_PORT": "0", "AWS_PORT": "0"}
    line = [sys.executable, "-m", "local.commands.up", *free, *variables]
    with (state / "output").open("w") as output:
        process = subprocess.Popen(
            line, cwd=ROOT, env=environment(state, **free, **variables), stdout=output, stderr=output, text=True
        )
        try:
            wait(state, "Ctrl-C stops it.")
            yield process
        finally:
            process.kill()
            process.wait()


def wait(state: Path, text: str) -> str:
    """The output of the stack, when it has this text in it."""
    until = time.monotonic() + TIMEOUT
    while text not in (output := (state / "output").read_text()):
        assert time.monotonic() < until, output
        time.sleep(0.05)
    return output


def subscribe(settings: dict[str, str]) -> None:
    headers = {"Authorization": f"Bearer {settings['TOKEN']}"}
    query = {"tenantId": seed.TENANT, "planId": "plan-pro"}
    url = f"{settings['API_URL']}/api/v1/billing/stripe/checkout"
    session = requests.post(url, params=query, headers=headers, timeout=TIMEOUT).json()["sessionUrl"].rsplit("/", 1)[1]
    control = settings["STRIPE_CONTROL_URL"]
    assert requests.post(f"{control}/checkout_sessions/{session}/complete", timeout=TIMEOUT).ok
    assert requests.get(f"{control}/deliveries", {"wait": TIMEOUT}, timeout=TIMEOUT).json()["idle"]


def test_requests_and_deliveries_are_printed_as_they_happen(tmp_path: Path) -> None:
    with up(tmp_path, ORIGINS="https://one.example.com, http://localhost:4321") as process:
        settings = running.read(tmp_path)
        subscribe(settings)
        output = wait(tmp_path, "invoice.paid")
        assert re.search(r"^POST +/stripe/checkout +200 +\d+ ms +\S{16} +550e8400$", output, re.MULTILINE), output
        assert re.search(r"^webhook invoice\.paid +200 +evt_\w+ +(PROCESSED|STALE)$", output, re.MULTILINE), output
        events = re.findall(r"evt_\w+", output)
        assert len(events) == len(set(events)), "a delivery has one line, and its request has no other"
        assert "/stripe/webhook" not in output
        lines = [line for line in output.splitlines() if re.match("POST|webhook", line)]
        assert max(map(len, lines)) <= 100
        assert "\x1b" not in output
        secret = ("AWS_SECRET_ACCESS_KEY", "STRIPE_WEBHOOK_SECRET", "TOKEN", "ADMIN_TOKEN")
        assert not any(settings[name] in output for name in secret)

        assert allowed(settings, "https://one.example.com", "http://localhost:4321", "http://localhost:5173") == [
            "https://one.example.com",
            "http://localhost:4321",
        ]
        process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT) == 0
    assert not (tmp_path / running.FILE).exists()


def allowed(settings: dict[str, str], *origins: str) -> list[str]:
    """Those of the origins whose pages may call."""
    url = f"{settings['API_URL']}/api/v1/billing/stripe/checkout"
    answers = [requests.post(url, headers={"Origin": origin}, timeout=TIMEOUT) for origin in origins]
    return [o for o, a in zip(origins, answers, strict=True) if a.headers.get("Access-Control-Allow-Origin") == o]


def test_a_quiet_stack_and_what_is_left_when_it_is_killed(tmp_path: Path) -> None:
    with up(tmp_path, QUIET="1") as process:
        settings = running.read(tmp_path)
        subscribe(settings)
        output = (tmp_path / "output").read_text()
        assert "webhook" not in output
        assert "POST  " not in output
        process.kill()
        process.wait()
    assert (tmp_path / running.FILE).exists()
    done = run(tmp_path, "control advance")
    assert done.returncode == 1
    assert re.fullmatch(
        r"No local stack is running \(the one of \S+/stack\.env was killed\); `make up` starts one\.\n", done.stderr
    )
    SettingsFile(tmp_path)  # the next stack starts
    assert not (tmp_path / running.FILE).exists()


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"API_PORT": "abc"}, "API_PORT is a whole number from 0 to 65535, not abc."),
        ({"QUIET": "perhaps"}, "QUIET is true or false, not perhaps."),
        ({"API_PROT": "1"}, "up knows no API_PROT; it takes "),
        ({"ORIGINS": "http://localhost:5173/"}, "The stack cannot start: ORIGINS: http://localhost:5173/ is no origin"),
        ({"ORIGINS": "*"}, "The stack cannot start: ORIGINS: * is no origin"),
    ],
)
def test_a_stack_does_not_start_with_wrong_variables(tmp_path: Path, variables: dict[str, str], sentence: str) -> None:
    done = run(tmp_path, "up", **variables)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(sentence)


# -- `make sign`


def test_a_delivery_is_signed_with_the_secret_of_the_stack_that_runs(tmp_path: Path) -> None:
    """Without a stack, it is the secret with which every stack starts."""
    event = ROOT / "events" / "stripe" / "invoice.paid.json"
    file = SettingsFile(tmp_path)
    for secret in (LOCAL_WEBHOOK_SECRET, "whsec_rolled"):
        delivery = json.loads(said(tmp_path, "sign", EVENT=str(event), STRIPE_WEBHOOK_SECRET=""))
        signature = delivery["headers"]["stripe-signature"]
        timestamp = int(signature.split(",")[0].removeprefix("t="))
        assert signature == sign(event.read_bytes(), secret, timestamp)
        file.write({"STRIPE_WEBHOOK_SECRET": "whsec_rolled"})
    file.remove()
    assert refused(tmp_path, "sign", EVENT="none.json").startswith("There is no file none.json;")
    assert refused(tmp_path, "sign") == "sign needs EVENT, such as `make sign EVENT=events/stripe/invoice.paid.json`.\n"
