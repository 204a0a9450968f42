"""`make help` and the variables of the targets."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from local.template import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
DESCRIBED = re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE)
CHECKING = {"up", "demo", "show", "advance", "weather", "fail", "scenario", "roll-secret", "token", "sign"}


def make(*arguments: str, state: Path) -> "subprocess.CompletedProcess[str]":
    """Runs make with this interpreter, as if nobody had called it from another make."""
    of_make = ("MAKEFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "MFLAGS")
    environment = {name: value for name, value in os.environ.items() if name not in of_make}
    command = ["make", "-o", ".venv/ready", f"BIN={Path(sys.executable).parent}", f"STACK_STATE={state}", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_help_fits_into_80_columns_and_has_every_target(tmp_path: Path) -> None:
    lines = make("help", state=tmp_path).stdout.splitlines()
    assert max(map(len, lines)) <= 80, max(lines, key=len)
    assert {line.split()[0] for line in lines if re.match(r"  [a-z]", line)} == set(DESCRIBED)
    assert len(DESCRIBED) > 20


def test_make_without_a_target_is_help(tmp_path: Path) -> None:
    assert make(state=tmp_path).stdout == make("help", state=tmp_path).stdout


@pytest.mark.parametrize("target", sorted(CHECKING))
def test_unknown_variables_are_refused(target: str, tmp_path: Path) -> None:
    done = make(target, "COPY=2 'x; exit 0", state=tmp_path)
    assert done.returncode != 0
    assert f"{target} knows no COPY; it takes " in done.stderr
    assert not list(tmp_path.iterdir())
    assert done.stdout == ""


def test_every_command_that_takes_variables_is_tested() -> None:
    assert len(re.findall(r"\$\(GIVEN\)$", MAKEFILE, re.MULTILINE)) == len(CHECKING)


@pytest.mark.parametrize(
    "target",
    [
        "show TENANT=550e8400",
        "advance",
        "weather",
        "fail STATUS=500",
        "scenario NAME=won-dispute",
        "roll-secret",
        "token",
    ],
)
def test_without_a_stack_a_command_says_so(target: str, tmp_path: Path) -> None:
    done = make(*target.split(), state=tmp_path)
    assert done.returncode != 0
    assert "No local stack is running; `make up` starts one." in done.stderr.splitlines()
    assert done.stdout == ""
