import pytest

from local.stripe.engine.store import Object
from tests.world import World


@pytest.fixture
def bought(world: World) -> list[Object]:
    """Returns the events of a first subscription by card, in Stripe's order. None of them is delivered yet."""
    world.plan()
    world.subscribe()
    return world.new_events()


@pytest.fixture
def active(world: World, bought: list[Object]) -> World:
    for event in bought:
        world.deliver(event)
    return world
