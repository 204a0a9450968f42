"""Makes the layer that `sam build` built small, quick to start, and the same from build to build.

    python -m local.layer .aws-sam/build/BillingLayer/python

`make build` runs this. What `sam build` alone makes works too, but is larger, and every cold start compiles
it anew. `tests/e2e/test_layer.py` runs every function on both (docs/decisions/0024-the-layer-is-pruned.md).
"""

import compileall
import shutil
import sys
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import Final

# Whose clients boto3 builds (`bootstrap.py`). botocore has the data of 430 services.
SERVICES: Final = frozenset({"events", "lambda"})

# What is never opened. Each pattern is relative to the layer; a folder goes with all that is in it.
PRUNED: Final = (
    # Types of parameters, and events of API version 2: only type checkers import them.
    "stripe/params",
    "stripe/events",
    # The SDK takes it if it is there, and we give the SDK a client of our own (`adapters/stripe_http.py`).
    "requests",
    "charset_normalizer",
    "idna",
    "requests-*.dist-info",
    "charset_normalizer-*.dist-info",
    "idna-*.dist-info",
    # The old pydantic inside the new one.
    "pydantic/v1",
    # All of Powertools but the logger and the metrics.
    "aws_lambda_powertools/event_handler",
    "aws_lambda_powertools/utilities/auth_alpha",
    "aws_lambda_powertools/utilities/batch",
    "aws_lambda_powertools/utilities/circuit_breaker",
    "aws_lambda_powertools/utilities/data_classes",
    "aws_lambda_powertools/utilities/data_masking",
    "aws_lambda_powertools/utilities/feature_flags",
    "aws_lambda_powertools/utilities/idempotency",
    "aws_lambda_powertools/utilities/kafka",
    "aws_lambda_powertools/utilities/parameters",
    "aws_lambda_powertools/utilities/parser",
    "aws_lambda_powertools/utilities/streaming",
    "aws_lambda_powertools/utilities/validation",
    # boto3's resources, and documentation.
    "boto3/data",
    "boto3/examples",
    # What pip knows of each file, which is not true any more. METADATA stays: scanners read the versions there.
    "*.dist-info/RECORD",
    "*.data",
)


def prune(layer: Path) -> list[str]:
    """The patterns for which there was nothing."""
    services = [path for path in (layer / "botocore" / "data").iterdir() if path.is_dir()]
    for path in services:
        if path.name not in SERVICES:
            shutil.rmtree(path)
    idle = []
    for pattern in PRUNED:
        found = [*layer.glob(pattern)]
        for path in found:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        if not found:
            idle.append(pattern)
    return idle


def compile_all(layer: Path) -> None:
    """Lambda's /opt is read-only, so Python cannot keep what it compiles there.

    The files say where they will be, not where they were made, and nothing of the time: equal sources give equal bytes.
    """
    compiled = compileall.compile_dir(
        layer, quiet=1, stripdir=layer, prependdir="/opt/python", invalidation_mode=PycInvalidationMode.UNCHECKED_HASH
    )
    if not compiled:
        sys.exit("The layer cannot be compiled.")


def main(layer: Path) -> None:
    if idle := prune(layer):
        sys.exit(f"Nothing to prune in {layer}: {', '.join(idle)}. Was a package renamed, or was this done before?")
    compile_all(layer)
    size = sum(path.stat().st_size for path in layer.rglob("*") if path.is_file())
    print(f"The layer has {size / 2**20:.1f} MiB.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
