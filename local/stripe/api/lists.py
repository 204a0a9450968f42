"""Lists: filters and pages, as Stripe's. https://docs.stripe.com/api/pagination"""

from typing import Any, Final

from local.stripe.engine.store import DAY, Object, Store
from local.stripe.engine.subscriptions import ENDED
from local.stripe.errors import invalid

KEPT_DAYS: Final = 30  # of events: https://docs.stripe.com/api/events
_PAGING: Final = ("limit", "starting_after", "ending_before", "expand")
_ONE_OF: Final = {"lookup_keys": "lookup_key", "types": "type", "ids": "id"}


def listed(kind: str, path: str, store: Store, form: Object, _: str) -> Object:
    """A page of the objects that the filters let through, newest first."""
    found = [thing for thing in store.all(kind) if is_kept(store, thing) and _passes(thing, form)]
    if kind == "subscription" and "status" not in form:
        found = [thing for thing in found if thing["status"] != "canceled"]
    limit = form.get("limit", 10)
    if not 1 <= limit <= 100:
        raise invalid("Invalid integer: limit must be between 1 and 100.", "limit")
    start = 0
    if "starting_after" in form:
        start = _position(found, form["starting_after"], "starting_after") + 1
    if "ending_before" in form:
        end = _position(found, form["ending_before"], "ending_before")
        start = max(0, end - limit)
        return _page(found[start:end], path, more=start > 0)
    return _page(found[start : start + limit], path, more=len(found) > start + limit)


def is_kept(store: Store, thing: Object) -> bool:
    """Whether the API still has it: events are there for 30 days."""
    return bool(thing["object"] != "event" or thing["created"] >= store.now() - KEPT_DAYS * DAY)


def _page(data: list[Object], path: str, *, more: bool) -> Object:
    return {"object": "list", "data": data, "has_more": more, "url": path}


def _position(found: list[Object], object_id: str, param: str) -> int:
    for n, thing in enumerate(found):
        if thing["id"] == object_id:
            return n
    raise invalid(f"No such object: '{object_id}'", param, code="resource_missing")


def _passes(thing: Object, form: Object) -> bool:
    return all(_matches(thing, name, wanted) for name, wanted in form.items() if name not in _PAGING)


def _matches(thing: Object, name: str, wanted: Any) -> bool:
    if name in _ONE_OF:
        return thing.get(_ONE_OF[name]) in wanted
    if name == "status" and wanted in ("all", "ended"):
        return wanted == "all" or thing["status"] in ENDED
    if name == "type" and str(wanted).endswith("*"):
        return bool(thing["type"].startswith(wanted[:-1]))
    value = _value(thing, name)
    if isinstance(wanted, dict):
        return _fits(value, wanted)
    return bool(value == wanted)


def _fits(value: Any, wanted: Object) -> bool:
    """A range of times, or fields of a nested object."""
    if isinstance(value, int):
        tests = {"gt": value.__gt__, "gte": value.__ge__, "lt": value.__lt__, "lte": value.__le__}
        return all(tests[test](bound) for test, bound in wanted.items())
    return isinstance(value, dict) and all(value.get(key) == inner for key, inner in wanted.items())


def _value(thing: Object, name: str) -> Any:
    if name == "pending":
        return thing["invoice"] is None
    if name == "delivery_success":
        return not thing["pending_webhooks"]
    if name == "price" and thing["object"] == "subscription":
        return thing["items"]["data"][0]["price"]["id"]
    if name == "subscription" and thing["object"] == "invoice":
        return ((thing["parent"] or {}).get("subscription_details") or {}).get("subscription")
    return thing.get(name)
