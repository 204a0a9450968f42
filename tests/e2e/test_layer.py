"""The layer as it is deployed holds all that the functions need, and a function imports only what it uses.

Each function runs in a process that has nothing but Python, the built layer and the function's own folder.
"""

import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from local import layer, template
from local.stack import Stack
from local.template import Function
from tests.e2e.invocations import FUNCTIONS, check, event

_RUN = """
import json, sys, time, uuid
ends = time.monotonic() + 1000
sys.path.insert(0, sys.argv[1])
import app
imported = [*sys.modules]

class Context:
    aws_request_id = str(uuid.uuid4())
    function_name = function_version = invoked_function_arn = "walk"
    memory_limit_in_mb = 512
    def get_remaining_time_in_millis(self):
        return (ends - time.monotonic()) * 1000

answer = app.handler(json.load(sys.stdin), Context())
print(json.dumps([answer, imported, [*sys.modules]]))
"""

MIB = 2**20

# What costs more than 10 ms of a start, by a module that tells.
HEAVY = {
    "asyncio": "asyncio.base_events",
    "boto3": "boto3.session",
    "botocore": "botocore.client",
    "pydantic": "pydantic.main",
    "requests": "requests",
    "stripe": "stripe",
    "urllib3": "urllib3.connectionpool",
}


_STRIPE = {"asyncio", "stripe"}
# What each function may import: at its start, and what more in its first request.
MAY: dict[str, tuple[set[str], set[str]]] = {
    "create_invoice": ({"pydantic"}, set()),
    "create_payment_intent": ({"pydantic"} | _STRIPE, set()),
    "get_checkout": ({"pydantic"} | _STRIPE, set()),
    "get_stripe_event": ({"pydantic"}, set()),
    "get_tenant_history": ({"pydantic"}, set()),
    "list_stripe_events": ({"pydantic"}, set()),
    "open_portal": ({"pydantic"} | _STRIPE, set()),
    "publish_billing_events": ({"boto3", "botocore"}, set()),
    "put_plan": ({"pydantic"} | _STRIPE, set()),
    "reconcile_stripe": ({"pydantic"} | _STRIPE, set()),
    "replay_stripe_event": ({"pydantic"} | _STRIPE, set()),
    "start_checkout": ({"pydantic"} | _STRIPE, set()),
    "start_reconciliation": ({"pydantic"}, {"boto3", "botocore"}),
    "stripe_webhook": (set(), set()),
    "sweep_due_items": (_STRIPE, set()),
}
_TREE = """
import importlib, pkgutil, sys
for package in sys.argv[1:]:
    found = importlib.import_module(package)
    for one in pkgutil.walk_packages(found.__path__, f"{package}."):
        importlib.import_module(one.name)
"""


@pytest.fixture
def deployed(sam_build: Path) -> Path:
    return sam_build / "BillingLayer" / "python"


@pytest.fixture
def plain(sam_build: Path) -> Path:
    """What `sam build` alone makes."""
    return sam_build / "plain" / "python"


class Walk(NamedTuple):
    """What a function answered, and the heavy packages that it had after its import and after its first request."""

    answer: Any
    at_start: set[str]
    in_the_end: set[str]


def walk(stack: Stack, name: str, build: Path, python: Path) -> Walk:
    here = {name: stack.environment[name] for name in ("AWS_ENDPOINT_URL", "STRIPE_API_BASE", "TIME_LIMIT_FACTOR")}
    [function] = [f for f in template.functions(stack.parameters(), here) if f.name == name]
    settings = function.environment | stack.aws.credentials.environment
    out = run(python, _RUN, str(build / name), settings=settings, stdin=event(stack, function, python.parent.name))
    answer, *modules = json.loads(out.splitlines()[-1])
    first, last = ({name for name, module in HEAVY.items() if module in found} for found in modules)
    return Walk(answer, first, last)


def run(python: Path, code: str, *arguments: str, settings: dict[str, str] | None = None, stdin: str = "") -> str:
    """What Python prints, with the folder as its only packages (-S: no site-packages)."""
    environment = {"PYTHONPATH": str(python), "PYTHONDONTWRITEBYTECODE": "1", **(settings or {})}
    command = [sys.executable, "-S", "-P", "-c", code, *arguments]
    done = subprocess.run(command, env=environment, input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.name)
def test_every_function_on_the_deployed_layer(
    stack: Stack, sam_build: Path, deployed: Path, function: Function
) -> None:
    """What the layer lacks, fails here. So a version that needs another file is noticed."""
    walked = walk(stack, function.name, sam_build, deployed)
    check(function, walked.answer)
    at_start, later = MAY[function.code.name]
    assert walked.at_start == at_start | {"urllib3"}
    assert walked.in_the_end == walked.at_start | later


@pytest.mark.parametrize("name", ["StripeWebhookFunction", "StartCheckoutFunction", "PublishBillingEventsFunction"])
def test_what_sam_build_alone_makes_works_too(stack: Stack, sam_build: Path, plain: Path, name: str) -> None:
    [function] = [f for f in FUNCTIONS if f.name == name]
    check(function, walk(stack, name, sam_build, plain).answer)


def test_every_module_that_is_left_can_be_imported(deployed: Path) -> None:
    """An answer of Stripe may hold an object of any kind, and the SDK imports its class then."""
    run(deployed, _TREE, "billing", "stripe", "urllib3.util")


def test_the_data_is_that_of_the_services_that_boto3_calls(deployed: Path) -> None:
    source = "".join(path.read_text() for path in (deployed / "billing").rglob("*.py"))
    assert set(re.findall(r"boto\.client\(\"(\w+)\"", source)) == layer.SERVICES
    assert {path.name for path in (deployed / "botocore" / "data").iterdir() if path.is_dir()} == layer.SERVICES


def test_the_layer_is_small(deployed: Path, plain: Path, tmp_path: Path) -> None:
    packed = Path(shutil.make_archive(str(tmp_path / "layer"), "zip", deployed.parent))
    assert size(deployed) <= 36 * MIB
    assert packed.stat().st_size <= 16 * MIB
    assert size(plain) > size(deployed) * 1.3


def test_two_builds_give_the_same_bytes(deployed: Path, plain: Path, tmp_path: Path) -> None:
    """In another folder, by another process. (`sam deploy` packs contents alone: no times, no owners.)"""
    again = tmp_path / "elsewhere"
    shutil.copytree(plain, again)
    command = [sys.executable, "-m", "local.layer", str(again)]
    environment = {"PYTHONPATH": "layers/billing:.", "PYTHONHASHSEED": "1"}
    subprocess.run(command, cwd=template.ROOT, env=environment, check=True, capture_output=True)
    assert contents(again) == contents(deployed)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_scanners_find_the_versions_of_what_is_left(deployed: Path) -> None:
    found = {(one.name.lower(), one.version) for one in distributions(path=[str(deployed)])}
    pins = re.findall(r"^([a-z0-9-]+)==([\w.]+)", (deployed / "requirements.txt").read_text(), re.MULTILINE)
    left_out = {"requests", "charset-normalizer", "idna"}
    assert {(name.replace("_", "-"), version) for name, version in found} == {p for p in pins if p[0] not in left_out}


def test_a_pattern_that_matches_nothing_stops_the_build(plain: Path, tmp_path: Path) -> None:
    """A package that was renamed would come back in full."""
    again = tmp_path / "python"
    shutil.copytree(plain, again)
    shutil.rmtree(again / "pydantic" / "v1")
    with pytest.raises(SystemExit, match="pydantic/v1"):
        layer.main(again)
