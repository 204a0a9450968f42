"""A small sample of each attack. `make attack N=…` makes as many attempts as you like."""

import shutil

import pytest

from tests.attack import ATTACKS, NODE
from tests.attack.ground import run
from tests.world import World

ATTEMPTS = {
    "signatures": 150,
    "fuzz": 200,
    "tenants": 100,
    "tokens": 300,
    "claims": 150,
    "returns": 150,
    "neighbours": 1000,
}
SEED = 20261125  # the same attempts in every run; `make attack` looks for new ones


@pytest.mark.parametrize("name", ATTACKS)
def test_nothing_is_found(world: World, name: str) -> None:
    if name in NODE and not shutil.which("node"):
        pytest.skip(
            "node, which reads addresses like a browser, is not there: the attack by return addresses does not run"
        )
    tally = run(name, ATTACKS[name], world, ATTEMPTS[name], SEED)
    assert tally.findings == []
    assert tally.refused, "nothing was refused: the attack attacked nothing"
    assert tally.accepted, "nothing was accepted: a world that refuses everything proves nothing"
