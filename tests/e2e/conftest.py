from collections.abc import Iterator

import pytest

from local import seed
from local.stack import FREE, Stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A seeded stack on free ports, one for all tests: each works with tenants of its own."""
    with Stack(FREE, tmp_path_factory.mktemp("state")) as running:
        seed.seed(running)
        running.write_environment()
        yield running
