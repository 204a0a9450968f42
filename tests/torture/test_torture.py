"""Runs a few histories. `make torture N=…` runs as many as you like."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.torture import quarter

HISTORIES = 25
SEEDS = (20261123, 20261125)  # the same histories in every run; `make torture` looks for new ones

pytestmark = [
    pytest.mark.filterwarnings("ignore::hypothesis.errors.NonInteractiveExampleWarning"),
    pytest.mark.skipif(
        not (shutil.which("java") and shutil.which("npm")),
        reason="DynamoDB Local needs java (17) and npm: the torture tests do not run",
    ),
]


def test_a_quarter_with_half_of_all_webhooks_lost() -> None:
    reached, wrong = quarter.run(tenants=6, seed=1)
    assert wrong == []
    for name in ("lost", "missed", "announcements", "differences before"):
        assert reached[name], f"no {name}: the quarter tested nothing"


def command(folder: Path, histories: int = 4, seed: int = 20261127) -> list[str]:
    """In processes of their own, the histories depend on the seed alone."""
    asked = [str(histories), "--block", str(histories // 2), "--workers", "1", "--seed", str(seed)]
    return [sys.executable, "-W", "ignore", "-m", "tests.torture", *asked, "--folder", str(folder)]


def kept(folder: Path) -> dict[str, Any]:
    [file] = folder.glob("*.json")
    found: dict[str, Any] = json.loads(file.read_text())
    return {number: block | {"seconds": 0} for number, block in found["blocks"].items()}


@pytest.mark.parametrize("seed", SEEDS)
def test_histories_end_well(seed: int, tmp_path: Path) -> None:
    done = subprocess.run(command(tmp_path, HISTORIES, seed), check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("crashes", "races", "fetches", "DynamoDB: ", "Stripe: "):
        figures = (block["figures"].items() for block in kept(tmp_path).values())
        assert any(count for block in figures for figure, count in block if figure.startswith(name)), f"no {name}"


def test_a_run_that_was_killed_goes_on(tmp_path: Path) -> None:
    """Its result is the same as that of a run that nobody stopped."""
    subprocess.run(command(tmp_path / "whole"), check=True, capture_output=True)
    with subprocess.Popen(command(tmp_path / "killed"), stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout
        next(line for line in killed.stdout if "block 0 is done" in line)
        killed.kill()
    assert [*kept(tmp_path / "killed")] == ["0"]
    resumed = subprocess.run(command(tmp_path / "killed"), check=True, capture_output=True, text=True)
    assert "goes on: 1 of 2 blocks are done" in resumed.stdout
    assert kept(tmp_path / "killed") == kept(tmp_path / "whole")
