import os
from collections.abc import Iterator
from functools import partial

import pytest

from local.commands import seed
from local.stack import FREE, Stack


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
