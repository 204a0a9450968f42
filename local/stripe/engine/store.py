"""The objects of one Stripe account, by kind and id, and the events that tell of their changes."""

import copy
import itertools
import json
import random
import string
import time
from collections.abc import Callable
from typing import Any, Final

from local.stripe import document
from local.stripe.errors import invalid, missing

type Object = dict[str, Any]

API_VERSION: Final = "2026-10-28.endive"  # the one that the pinned stripe-python speaks

HOUR: Final = 3600  # seconds
DAY: Final = 24 * HOUR

PREFIXES: Final = {
    "billing_portal.configuration": "bpc",
    "billing_portal.session": "bps",
    "charge": "ch",
    "checkout.session": "cs_test",
    "customer": "cus",
    "dispute": "du",
    "event": "evt",
    "invoice": "in",
    "invoice_payment": "inpay",
    "invoiceitem": "ii",
    "line_item": "il",
    "payment_intent": "pi",
    "payment_method": "pm",
    "price": "price",
    "product": "prod",
    "refund": "re",
    "subscription": "sub",
    "subscription_item": "si",
    "webhook_endpoint": "we",
}
_ALPHABET: Final = string.ascii_letters + string.digits

# Ids are drawn from here: with a seeded one, a history comes again as it was.
chance: random.Random = random.SystemRandom()


def new_id(prefix: str) -> str:
    return f"{prefix}_{''.join(chance.choices(_ALPHABET, k=24))}"


class Clock:
    """The time of the stand-in, in seconds: this machine's, and as much later as it was moved."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead

    def move_to(self, moment: float) -> None:
        """Never back."""
        self.ahead = max(self.ahead, moment - time.time())


class Store:
    """`on_event` is called with each new event, after the objects stand as it says.

    `public_url` is where a browser finds the pages. `dunning_ends` is the account's setting: what becomes of a
    subscription when the last attempt to charge failed (canceled, unpaid or past_due).
    What a field with a leading underscore says, Stripe knows and does not show.
    """

    def __init__(self, on_event: Callable[[Object], None], clock: Callable[[], float] = time.time) -> None:
        self.objects: dict[str, dict[str, Object]] = {}
        self._told: dict[str, Object] = {}
        self._on_event = on_event
        self.clock = clock
        self.request: Object = {"id": None, "idempotency_key": None}
        self.public_url = "https://invoice.stripe.com"
        self.dunning_ends = "canceled"

    def now(self) -> int:
        """Stripe's time, in whole seconds."""
        return int(self.clock())

    def create(self, kind: str, **values: Any) -> Object:
        thing: Object = json.loads(document.shape(kind))
        thing |= {"id": new_id(PREFIXES[kind])}
        if "created" in thing:
            thing["created"] = self.now()
        thing |= values
        self.objects.setdefault(kind, {})[thing["id"]] = thing
        return thing

    def add(self, thing: Object) -> None:
        """Takes an object in as it is, and those inside it."""
        self.objects.setdefault(thing["object"], {})[thing["id"]] = thing
        for item in (thing.get("items") or {}).get("data", []):
            self.add(item)
            self.add(item["price"])

    def forget(self, kind: str) -> None:
        self.objects.pop(kind, None)

    def delete(self, thing: Object) -> Object:
        """What Stripe answers to a deletion."""
        del self.objects[thing["object"]][thing["id"]]
        return {"id": thing["id"], "object": thing["object"], "deleted": True}

    def get(self, kind: str, object_id: str) -> Object:
        """Raises `ApiError`, a 404."""
        try:
            return self.objects[kind][object_id]
        except KeyError:
            raise missing(kind, object_id) from None

    def named(self, kind: str, object_id: str, param: str) -> Object:
        """The object that a parameter names. One that is not there is a bad request, where one in a path is a 404."""
        found = self.objects.get(kind, {}).get(object_id)
        if found is None:
            raise invalid(f"No such {kind}: '{object_id}'", param, code="resource_missing")
        return found

    def find(self, object_id: str) -> Object | None:
        """Whatever has this id."""
        return next((things[object_id] for things in self.objects.values() if object_id in things), None)

    def all(self, kind: str, **filters: Any) -> list[Object]:
        """Newest first, as Stripe lists."""
        things = reversed(self.objects.get(kind, {}).values())
        return [thing for thing in things if all(thing.get(name) == value for name, value in filters.items())]

    def emit(self, event_type: str, thing: Object) -> Object:
        told = shown(thing)
        data: Object = {"object": told}
        if event_type.endswith(".updated"):
            before = {name: old for name, old in self._told.get(thing["id"], {}).items() if name not in _ADDRESSES}
            data["previous_attributes"] = {name: before[name] for name in before if before[name] != told.get(name)}
        self._told[thing["id"]] = told
        event = self.create(
            "event",
            type=event_type,
            api_version=API_VERSION,
            data=data,
            pending_webhooks=1,
            request=self.request,
        )
        self._on_event(event)
        return event


_ADDRESSES: Final = ("hosted_invoice_url", "invoice_pdf")
_readings: Final = itertools.count(1)


def shown(thing: Object) -> Object:
    """A copy without what Stripe does not show. An invoice's addresses are others at each reading, as at Stripe."""
    seen = copy.deepcopy({name: value for name, value in thing.items() if not name.startswith("_")})
    if thing.get("object") == "invoice":
        seen |= {name: f"{seen[name]}?s={next(_readings)}" for name in _ADDRESSES if seen.get(name)}
    return seen
