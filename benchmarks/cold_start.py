"""The start of each function from the layer that `make build` makes: from nothing to its handler and its first answer.

    make build && make bench, or: python -m benchmarks.cold_start [STARTS]

Each start is a new process, with the .pyc files of the layer. The opponents are a lean start of the usual design
(botocore's client of DynamoDB and Powertools' Logger), and the same with a StripeClient, both from the same packages as
the layer's, compiled too, but whole. The time in which Lambda starts its sandbox comes on top of all of them.
"""

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from itertools import count
from pathlib import Path

from benchmarks import ground
from benchmarks.measure import HEADS, ROOT, Figures, keep, low, machine, show
from billing import bootstrap, clock
from local.commands.sign import delivery

BUILD = ROOT / ".aws-sam" / "build"
STARTS = 15

LEAN = """
import botocore.session
from aws_lambda_powertools import Logger
botocore.session.get_session().create_client("dynamodb", region_name="eu-west-1")
Logger(service="lean")
"""
LEAN_WITH_STRIPE = LEAN + "import stripe\nstripe.StripeClient('sk_test_lean')\n"
IMPORT = "import sys; sys.path.insert(0, {folder!r}); import app\n"
CLIENTS = "from billing import bootstrap\nbootstrap.table(); bootstrap.stripe()\n"
ANSWER = """
import json, time
class Context:
    aws_request_id = "r"
    def get_remaining_time_in_millis(self): return 900000
answer = app.handler(json.load(open({event!r})), Context())
assert answer["statusCode"] == 200, answer
"""


def main(starts: int) -> None:
    layer = BUILD / "BillingLayer" / "python"
    if not layer.is_dir():
        sys.exit("there is no built layer: make build")
    if not any(layer.glob(f"pydantic_core/*{platform.machine()}*.so")):
        sys.exit(f"the built layer is not for this machine ({platform.machine()}): make build")
    with ground.standing(), tempfile.TemporaryDirectory() as folder:
        table = bootstrap.table()
        ground.add_plan(table)
        numbers = count()
        event = Path(folder) / "event.json"

        def prepare() -> None:
            """Another event for each first answer: one of a tenant that is new."""
            name = f"cold{next(numbers)}"
            ground.add_tenant(table, name)
            body = json.dumps(ground.life(name)[0]).encode()
            event.write_text(json.dumps(delivery(body, ground.WEBHOOK_SECRET, clock.seconds())))

        installed = _installed()
        webhook = IMPORT.format(folder=str(BUILD / "StripeWebhookFunction"))
        checkout = IMPORT.format(folder=str(BUILD / "StartCheckoutFunction"))
        first = webhook + ANSWER.format(event=str(event))
        rows: dict[str, tuple[Path, str]] = {
            "nothing": (installed, "pass"),
            "lean": (installed, LEAN),
            "lean with Stripe": (installed, LEAN_WITH_STRIPE),
            "webhook, first answer": (layer, first),
            "checkout, with clients": (layer, checkout + CLIENTS),
        }
        for app in sorted(BUILD.glob("*Function/app.py")):
            rows[f"import {app.parent.name.removesuffix('Function')}"] = (layer, IMPORT.format(folder=str(app.parent)))
        figures = {name: Figures() for name in rows}
        for _ in range(starts):
            for name, (path, statement) in rows.items():
                prepare()
                _start(path, statement, figures[name])
    show(f"Starts: ms, {starts} each. {machine()}", HEADS, [[name, *one.shown()] for name, one in figures.items()])
    ratios = {
        "a webhook, from the start to its answer: processor, x a lean start": _ratio(
            figures, "webhook, first answer", "lean"
        ),
        "a checkout, cold with clients: processor, x a lean start with Stripe": _ratio(
            figures, "checkout, with clients", "lean with Stripe"
        ),
    }
    ratios |= _sizes(layer)
    keep("cold_start", ratios)
    print()
    for name, value in ratios.items():
        print(f"{name}: {value:.2f}")


def _installed() -> Path:
    """The layer's packages as pip installs them. Not our own environment: boto3 loads more where there is more."""
    packages = ROOT / ".local" / "bench" / "packages"
    if not packages.is_dir():
        wheels, required = ROOT / ".aws-sam" / "wheels", ROOT / "layers" / "billing" / "requirements.txt"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--find-links", wheels]
        subprocess.run([*pip, "--target", packages, "--requirement", required], check=True)  # noqa: S603
        subprocess.run([sys.executable, "-m", "compileall", "-q", packages], check=True)  # noqa: S603
    return packages


def _ratio(figures: dict[str, Figures], name: str, opponent: str) -> float:
    return low(figures[name].cpu) / low(figures[opponent].cpu)


def _start(path: Path, statement: str, into: Figures) -> None:
    environment = os.environ | {"PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1", "TIME_LIMIT_FACTOR": ""}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-S", "-c", statement]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own code
    into.wall.append((time.perf_counter() - began) * 1000)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    into.cpu.append((after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) * 1000)


def _sizes(layer: Path) -> dict[str, float]:
    files = [path for path in layer.rglob("*") if path.is_file()]
    unzipped = sum(path.stat().st_size for path in files)
    with tempfile.NamedTemporaryFile(suffix=".zip") as packed:
        with zipfile.ZipFile(packed.name, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in files:
                archive.write(path, path.relative_to(layer))
        zipped = Path(packed.name).stat().st_size
    return {"the layer with .pyc files: MiB": unzipped / 2**20, "the layer, zipped: MiB": zipped / 2**20}


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else STARTS)
