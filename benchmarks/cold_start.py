"""Measures how long each function needs to import its handler from the layer that `make build` makes.

    make build && python benchmarks/cold_start.py

A result is the median of several starts, minus the start time of an empty Python process. The first column uses the
layer with its .pyc files. The second column uses the layer without them: this is what `sam build` alone makes. The time
that Lambda needs to start its sandbox comes on top.
"""

import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / ".aws-sam" / "build"
STARTS = 9


def start(path: Path, statement: str) -> float:
    """Runs the statement in a new process. Returns the time in milliseconds."""
    environment = {
        "PATH": os.defpath,
        "PYTHONPATH": str(path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_REGION": "eu-west-1",
    }
    began = time.perf_counter()
    subprocess.run([sys.executable, "-S", "-c", statement], env=environment, check=True)  # noqa: S603
    return (time.perf_counter() - began) * 1000


def median(path: Path, statement: str) -> float:
    return statistics.median(start(path, statement) for _ in range(STARTS))


def main() -> None:
    layer = BUILD / "BillingLayer" / "python"
    if not layer.is_dir():
        sys.exit("there is no built layer: make build")
    if not any(layer.glob(f"pydantic_core/*{platform.machine()}*.so")):
        sys.exit(f"the built layer is not for this machine ({platform.machine()}): make build")
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder) / "python"
        shutil.copytree(layer, bare, ignore=shutil.ignore_patterns("__pycache__"))
        empty = median(layer, "pass")
        print(f"{'import of':32}{'compiled':>12}{'not compiled':>16}")
        for app in sorted(BUILD.glob("*Function/app.py")):
            load = f"import sys; sys.path.insert(0, {str(app.parent)!r}); import app"
            first, second = median(layer, load) - empty, median(bare, load) - empty
            print(f"{app.parent.name:32}{first:9.0f} ms{second:13.0f} ms")


if __name__ == "__main__":
    main()
