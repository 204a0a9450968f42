import pytest

from local.stripe.engine.store import Object
from tests.world import World


@pytest.fixture
def bought(world: World) -> list[Object]:
    """The events of a first subscription by card, undelivered, in Stripe's order."""
    world.plan()
    world.subscribe()
    return world.new_events()


@pytest.fixture
def active(world: World, bought: list[Object]) -> World:
    for event in bought:
        world.deliver(event)
    return world
