"""Checks every function in the real Lambda runtime.

`sam build` builds the functions. `sam local` runs them in containers, which call the local stack.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from billing.inbox.signature import sign
from local import template
from local.aws.clients import UNHURRIED_SECONDS
from local.ports import free_port
from local.stack import Stack
from local.template import ROOT
from tests.e2e.invocations import FUNCTIONS, check, event

IMAGE = "public.ecr.aws/lambda/python:3.13-x86_64"
SAM = Path(sys.executable).with_name("sam")


def _docker() -> str:
    """Returns why these tests cannot run here, or an empty text if they can."""
    docker = shutil.which("docker")
    if not docker or subprocess.run([docker, "info"], capture_output=True, check=False).returncode:
        return "no Docker engine answers: `sam local` is not tested"
    if subprocess.run([docker, "image", "inspect", IMAGE], capture_output=True, check=False).returncode:
        pulled = subprocess.run([docker, "pull", "--quiet", IMAGE], capture_output=True, check=False)
        if pulled.returncode:
            return f"{IMAGE} cannot be pulled: `sam local` is not tested (.ci/lambda-base-image makes one)"
    return ""


REASON = _docker()
pytestmark = [pytest.mark.skipif(bool(REASON), reason=REASON)]


@pytest.fixture(scope="module")
def built(sam_build: Path) -> Path:
    return sam_build / "template.yaml"


def _environment(stack: Stack) -> dict[str, str]:
    """As in a shell that has read `stack.env`: the functions get its credentials from sam."""
    settings = {"AWS_ENDPOINT_URL": stack.aws.url, **stack.aws.credentials.environment}
    return {**os.environ, "SAM_CLI_TELEMETRY": "0", **settings}


def _arguments(stack: Stack, built: Path) -> list[str | Path]:
    config: list[str | Path] = ["--config-file", ROOT / "samconfig.toml", "--env-vars", stack.state / "sam-env.json"]
    return ["--template", built, "--skip-pull-image", *config]


@pytest.fixture(scope="module")
def serving(stack: Stack, built: Path) -> Iterator[str]:
    """Yields the address of `sam local start-lambda`.

    One process serves all functions, because sam takes longer to start than a function.
    """
    with _started("start-lambda", stack, built) as url:
        yield url


@contextmanager
def _started(command: str, stack: Stack, built: Path) -> Iterator[str]:
    port = free_port()
    line: list[str | Path] = [SAM, "local", command, *_arguments(stack, built), "--port", str(port)]
    # sam first asks STS for the account. The stack answers this request too.
    with subprocess.Popen(line, cwd=ROOT, env=_environment(stack), stderr=subprocess.PIPE, text=True) as sam:
        assert sam.stderr
        try:
            assert any("Running on" in text for text in sam.stderr), f"sam local {command} did not start"
            threading.Thread(target=sam.stderr.read, daemon=True).start()  # sam would stop if the pipe were full
            yield f"http://127.0.0.1:{port}"
        finally:
            sam.terminate()


def invoke_alone(stack: Stack, built: Path, function: str, event: str) -> dict[str, Any]:
    command: list[str | Path] = [SAM, "local", "invoke", function, *_arguments(stack, built), "--event", "-"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=_environment(stack),
        input=event,
        capture_output=True,
        text=True,
        check=False,
        timeout=UNHURRIED_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert "errorMessage" not in answer, (answer, done.stderr)
    return answer


def invoke(url: str, function: str, event: str) -> dict[str, Any]:
    path = f"{url}/2015-03-31/functions/{function}/invocations"
    answer = requests.post(path, event.encode(), timeout=UNHURRIED_SECONDS)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    assert "errorMessage" not in result, result
    return result


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.name)
def test_every_function_in_lambdas_runtime(stack: Stack, serving: str, function: template.Function) -> None:
    check(function, invoke(serving, function.name, event(stack, function, "sam")))


@pytest.mark.parametrize("name", ["StripeWebhookFunction", "GetTenantHistoryFunction"])
def test_sam_local_invoke(stack: Stack, built: Path, name: str) -> None:
    """Runs the command that docs/local-stack.md shows."""
    function = next(f for f in FUNCTIONS if f.name == name)
    check(function, invoke_alone(stack, built, name, event(stack, function, "sam")))


def test_sam_local_start_api(stack: Stack, built: Path) -> None:
    """The webhook accepts Stripe's deliveries. sam has no JWT authorizer, so calls have no claims and are refused."""
    with _started("start-api", stack, built) as api:
        url = f"{api}/api/v1/billing/stripe"
        body = (ROOT / "events/stripe/customer.subscription.updated.json").read_bytes()
        signed = {"Stripe-Signature": sign(body, stack.webhook_secret, int(time.time()))}
        answer = requests.post(f"{url}/webhook", body, headers=signed, timeout=UNHURRIED_SECONDS)
        assert answer.status_code == 200, answer.text
        refused = requests.post(f"{url}/checkout?tenantId=550e8400&planId=plan-pro", timeout=UNHURRIED_SECONDS)
        assert refused.status_code == 403, refused.text
