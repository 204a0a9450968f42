"""The objects of one Stripe account, by kind and id, and the events that tell of their changes."""

import copy
import json
import random
import string
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from local.stripe.errors import missing

type Object = dict[str, Any]

# Every field that Stripe's OpenAPI document requires or marks nullable, at its empty value.
SHAPES: Final[dict[str, Object]] = json.loads(Path(__file__).with_name("shapes.json").read_text())

API_VERSION: Final = "2026-10-28.endive"  # the one that the pinned stripe-python speaks

_PREFIX: Final = {
    "customer": "cus",
    "product": "prod",
    "price": "price",
    "checkout.session": "cs_test",
    "billing_portal.session": "bps",
    "subscription": "sub",
    "subscription_item": "si",
    "invoice": "in",
    "invoice_payment": "inpay",
    "payment_intent": "pi",
    "charge": "ch",
    "event": "evt",
}
_ALPHABET: Final = string.ascii_letters + string.digits

# Ids are drawn from here: with a seeded one, a history comes again as it was.
chance: random.Random = random.SystemRandom()


def new_id(prefix: str) -> str:
    return f"{prefix}_{''.join(chance.choices(_ALPHABET, k=24))}"


class Store:
    """`on_event` is called with each new event, after the objects stand as it says."""

    def __init__(self, on_event: Callable[[Object], None], clock: Callable[[], float] = time.time) -> None:
        self._objects: dict[str, dict[str, Object]] = {}
        self._on_event = on_event
        self._clock = clock

    def now(self) -> int:
        """Stripe's time, in whole seconds."""
        return int(self._clock())

    def create(self, kind: str, **values: Any) -> Object:
        thing = copy.deepcopy(SHAPES[kind]) | {"id": new_id(_PREFIX[kind]), "created": self.now()} | values
        self._objects.setdefault(kind, {})[thing["id"]] = thing
        return thing

    def add(self, thing: Object) -> None:
        """Takes an object in as it is, and those inside it."""
        self._objects.setdefault(thing["object"], {})[thing["id"]] = thing
        for item in (thing.get("items") or {}).get("data", []):
            self.add(item)
            self.add(item["price"])

    def forget(self, kind: str) -> None:
        self._objects.pop(kind, None)

    def get(self, kind: str, object_id: str) -> Object:
        try:
            return self._objects[kind][object_id]
        except KeyError:
            raise missing(kind, object_id) from None

    def all(self, kind: str, **filters: str) -> list[Object]:
        """Newest first, as Stripe lists."""
        things = reversed(self._objects.get(kind, {}).values())
        return [thing for thing in things if all(thing.get(name) == value for name, value in filters.items())]

    def emit(self, event_type: str, thing: Object) -> Object:
        event = self.create(
            "event",
            type=event_type,
            api_version=API_VERSION,
            data={"object": copy.deepcopy(thing)},
            pending_webhooks=1,
            request={"id": None, "idempotency_key": None},
        )
        self._on_event(event)
        return event
