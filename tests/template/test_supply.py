"""Checks that what comes from elsewhere is pinned by its hash, and that the repository has what could vanish."""

import hashlib
import json
import lzma
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from local.stripe import document
from local.template import ROOT

LAYER = ROOT / "layers" / "billing" / "requirements.txt"
TOOLS = ROOT / "requirements-dev.txt"
VENV = Path(sys.executable).parent


def pinned(path: Path) -> dict[str, list[str]]:
    """The hashes of each `name==version` in a requirements file. Fails if a line is anything else."""
    text = re.sub(r"^ *#.*\n", "", path.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        requirement, *options = line.split()
        requirement = requirement.partition(";")[0]
        assert re.fullmatch(r"[a-z0-9-]+==[\w.]+", requirement), line
        found[requirement] = [option for option in options if option.startswith("--hash=sha256:")]
    return found


def test_the_layer_and_the_tools_are_pinned_with_hashes() -> None:
    layer, tools = pinned(LAYER), pinned(TOOLS)
    assert all(layer.values())
    assert all(tools.values())
    assert layer.items() <= tools.items(), "what is tested is what is deployed"
    names = {requirement.split("==")[0] for requirement in layer}
    assert {"aws-lambda-powertools", "stripe", "boto3", "pydantic"} <= names


def test_the_requirements_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    named = {re.sub(r"\[.*\]", "", one).lower() for one in project["dependency-groups"]["dev"]}
    assert set(project["project"]["dependencies"]) <= pinned(LAYER).keys()
    assert named <= pinned(TOOLS).keys()


def test_the_set_up_checks_the_hashes() -> None:
    makefile = (ROOT / "Makefile").read_text()
    fetching = [line for line in makefile.splitlines() if "pip install" in line or "pip download" in line]
    assert fetching
    assert all("--require-hashes" in line for line in fetching)


def test_stripes_document_is_in_the_repository() -> None:
    text = (document.PATH.parent / "README.md").read_text()
    [expected] = re.findall(r"`([0-9a-f]{64})`", text)
    spec = lzma.decompress(document.PATH.read_bytes())
    assert hashlib.sha256(spec).hexdigest() == expected
    assert json.loads(spec)["info"]["version"] in text
    assert "MIT License" in (document.PATH.parent / "LICENSE").read_text()


def make(target: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    settings = [f"{name}={value}" for name, value in variables.items()]
    environment = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    return subprocess.run(
        ["make", "-s", target, *settings], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of what `make` needs, with this environment as its `.venv`."""
    shutil.copytree(ROOT / "layers", tmp_path / "layers")
    for name in ("Makefile", "pyproject.toml", "requirements-dev.txt"):
        shutil.copy2(ROOT / name, tmp_path)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(VENV)
    (tmp_path / ".venv" / "ready").touch()
    return tmp_path


def test_the_layer_is_built_from_checked_wheels_of_both_architectures(copy: Path) -> None:
    done = make("wheels", copy)
    assert done.returncode == 0, done.stderr
    wheels = {path.name for path in (copy / ".aws-sam" / "wheels").iterdir()}
    assert all(name.endswith(".whl") for name in wheels), "no package is built from its source"
    for architecture in ("x86_64", "aarch64"):
        for package in ("pydantic_core", "charset_normalizer"):
            assert any(name.startswith(f"{package}-") and architecture in name for name in wheels), wheels


def test_a_package_that_was_replaced_is_refused(copy: Path) -> None:
    """Another file under the same name and version: its hash is none of those that we know."""
    requirements = copy / "layers" / "billing" / "requirements.txt"
    requirements.write_text(f"six==1.17.0 --hash=sha256:{'0' * 64}\n")
    (copy / ".venv" / "ready").touch()
    done = make("wheels", copy)
    assert done.returncode != 0
    assert "HASHES" in done.stderr.upper()


def test_the_bill_of_materials_names_every_package_of_the_layer(copy: Path) -> None:
    done = make("sbom", copy)
    assert done.returncode == 0, done.stderr
    bill = json.loads((copy / ".aws-sam" / "sbom.cdx.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert {f"{one['name']}=={one['version']}" for one in bill["components"]} == set(pinned(LAYER))
    assert all(one["purl"].startswith("pkg:pypi/") for one in bill["components"])
