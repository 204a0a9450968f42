from collections.abc import Iterator

import pytest

from local.commands import seed
from local.stack import FREE, Stack


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A seeded stack on free ports, one for all tests here: each works with tenants of its own.

    It ends with the last of them: its moto is this process', as is the one of the tests of integration.
    """
    with Stack(FREE, tmp_path_factory.mktemp("state")) as running:
        seed.seed(running)
        running.write_environment()
        yield running
