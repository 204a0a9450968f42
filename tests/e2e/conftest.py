import fcntl
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from local.commands import seed
from local.stack import FREE, Stack
from local.template import ROOT


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Yields one seeded stack on free ports for all tests in this folder. Each test uses its own tenants.

    The stack ends after the last of these tests, because its moto runs in this process. The integration tests use moto
    in the same process.
    """
    settings = os.environ | {"DYNAMODB": "moto"}  # which is everywhere; `make demo` and `make up` run over the other
    with Stack(FREE, tmp_path_factory.mktemp("state"), settings) as running:
        running.begin = partial(seed.seed, running)
        running.begin()
        running.write_environment()
        yield running


@pytest.fixture(scope="session")
def sam_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make build` makes for this machine, once for all workers. `plain` has the layer as `sam build` left it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "sam"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "build").exists():
            _sam_build(folder)
    return folder / "build"


def _sam_build(folder: Path) -> None:
    making = folder / "making"
    architecture = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
    command: list[str | Path] = [Path(sys.executable).with_name("sam"), "build", "--build-dir", making]
    command += ["--cache-dir", folder / "cache", "--parameter-overrides", f"Architecture={architecture}"]
    environment = {**os.environ, "SAM_CLI_TELEMETRY": "0"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = making / "BillingLayer" / "python"
    shutil.copytree(made, making / "plain" / "python")
    finish: list[str | Path] = [sys.executable, "-m", "local.layer", made]
    subprocess.run(finish, cwd=ROOT, env={"PYTHONPATH": "layers/billing:."}, check=True, capture_output=True)
    making.rename(folder / "build")
