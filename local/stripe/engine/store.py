"""The objects of one Stripe account, by kind and id, and the events about their changes."""

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
type Sold = list[tuple[Object, int]]  # (price, quantity)

API_VERSION: Final = "2026-10-28.endive"  # the version of the pinned stripe-python

HOUR: Final = 3600  # seconds
DAY: Final = 24 * HOUR

PREFIXES: Final = {
    "billing_portal.configuration": "bpc",
    "billing_portal.session": "bps",
    "card": "card",
    "charge": "ch",
    "checkout.session": "cs_test",
    "coupon": "co",
    "credit_note": "cn",
    "customer": "cus",
    "discount": "di",
    "dispute": "du",
    "event": "evt",
    "invoice": "in",
    "invoice_payment": "inpay",
    "invoiceitem": "ii",
    "line_item": "il",
    "payment_intent": "pi",
    "payment_link": "plink",
    "payment_method": "pm",
    "plan": "plan",
    "price": "price",
    "product": "prod",
    "promotion_code": "promo",
    "quote": "qt",
    "refund": "re",
    "setup_intent": "seti",
    "subscription": "sub",
    "subscription_item": "si",
    "subscription_schedule": "sub_sched",
    "tax_rate": "txr",
    "test_helpers.test_clock": "clock",
    "webhook_endpoint": "we",
}
_ALPHABET: Final = string.ascii_letters + string.digits

# The source of random ids. A test can put a seeded one here, so that a history has the same ids again.
chance: random.Random = random.SystemRandom()


def new_id(prefix: str) -> str:
    return f"{prefix}_{''.join(chance.choices(_ALPHABET, k=24))}"


class Clock:
    """The time of the stand-in in seconds. It is this machine's time plus all the time by which it was moved."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead

    def move_to(self, moment: float) -> None:
        """Moves the clock forward. It never moves back."""
        self.ahead = max(self.ahead, moment - time.time())

    def reset(self) -> None:
        self.ahead = 0.0


class Store:
    """`on_event` gets each new event, after the objects have their new state.

    `public_url` is the address of the pages for a browser. `dunning_ends` is a setting of the account: a subscription
    gets this status after the last attempt to charge failed (canceled, unpaid or past_due).
    A field with a leading underscore is something that Stripe knows but does not show.
    """

    def __init__(self, on_event: Callable[[Object], None], clock: Callable[[], float] = time.time) -> None:
        self.objects: dict[str, dict[str, Object]] = {}
        self.deleted: dict[str, Object] = {}
        self._last_shown: dict[str, Object] = {}
        self._on_event = on_event
        self.resend = on_event  # delivers an event once more
        self.clock = clock
        self.request: Object = {"id": None, "idempotency_key": None}
        self.public_url = "https://invoice.stripe.com"
        self.dunning_ends = "canceled"

    def now(self) -> int:
        """Stripe's time, in whole seconds."""
        return int(self.clock())

    def rehearsal(self) -> "Store":
        """A copy to try something in: nobody hears of it, and nothing here changes. It has no past events."""
        trial = Store(lambda _: None, self.clock)
        kept = {kind: objects for kind, objects in self.objects.items() if kind != "event"}
        trial.objects, trial.deleted = copy.deepcopy((kept, self.deleted))
        trial.public_url, trial.dunning_ends = self.public_url, self.dunning_ends
        return trial

    def create(self, kind: str, **values: Any) -> Object:
        obj: Object = json.loads(document.shape(kind))
        obj |= {"id": new_id(PREFIXES[kind])}
        if "created" in obj:
            obj["created"] = self.now()
        obj |= values
        self.objects.setdefault(kind, {})[obj["id"]] = obj
        return obj

    def add(self, obj: Object) -> None:
        """Adds an object unchanged, and the objects inside it."""
        self.objects.setdefault(obj["object"], {})[obj["id"]] = obj
        for item in (obj.get("items") or {}).get("data", []):
            self.add(item)
            self.add(item["price"])

    def forget(self, kind: str) -> None:
        self.objects.pop(kind, None)

    def delete(self, obj: Object) -> Object:
        """Deletes the object. Returns Stripe's answer to a deletion."""
        del self.objects[obj["object"]][obj["id"]]
        self.deleted[obj["id"]] = {"id": obj["id"], "object": obj["object"], "deleted": True}
        return self.deleted[obj["id"]]

    def get(self, kind: str, object_id: str) -> Object:
        """Raises `ApiError`, a 404, if the object does not exist."""
        try:
            return self.objects[kind][object_id]
        except KeyError:
            raise missing(kind, object_id) from None

    def named(self, kind: str, object_id: str, param: str) -> Object:
        """The object that a parameter names.

        Raises `ApiError`, a 400, if it does not exist. (If the path names a missing object, the answer is a 404.)
        """
        found = self.objects.get(kind, {}).get(object_id)
        if found is None:
            raise invalid(f"No such {kind}: '{object_id}'", param, code="resource_missing")
        return found

    def find(self, object_id: str) -> Object | None:
        """The object with this id, of any kind."""
        return next((objects[object_id] for objects in self.objects.values() if object_id in objects), None)

    def all(self, kind: str, **filters: Any) -> list[Object]:
        """The objects that match the filters, newest first as in Stripe's lists."""
        objects = reversed(self.objects.get(kind, {}).values())
        return [obj for obj in objects if all(obj.get(name) == value for name, value in filters.items())]

    def emit(self, event_type: str, obj: Object) -> Object:
        visible = shown(obj)
        data: Object = {"object": visible}
        if event_type.endswith(".updated"):
            last = self._last_shown.get(obj["id"], {})
            before = {name: old for name, old in last.items() if name not in _ADDRESSES}
            data["previous_attributes"] = {name: before[name] for name in before if before[name] != visible.get(name)}
        self._last_shown[obj.get("id", event_type)] = visible  # a balance has no id
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


SHOWN_LINES: Final = 10
_ADDRESSES: Final = ("hosted_invoice_url", "invoice_pdf")
_readings: Final = itertools.count(1)


def shown(obj: Object) -> Object:
    """A copy without the fields that Stripe does not show.

    The addresses of an invoice change with each reading, as they do at Stripe.
    """
    visible = copy.deepcopy({name: value for name, value in obj.items() if not name.startswith("_")})
    if obj.get("object") == "invoice":
        visible |= {name: f"{visible[name]}?s={next(_readings)}" for name in _ADDRESSES if visible.get(name)}
        if isinstance(visible.get("lines"), dict):  # https://docs.stripe.com/api/invoices/object#invoice_object-lines
            lines = visible["lines"]["data"]
            visible["lines"] |= {"data": lines[:SHOWN_LINES], "has_more": len(lines) > SHOWN_LINES}
    return visible
