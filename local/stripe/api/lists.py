"""Lists with filters and pages like Stripe's. https://docs.stripe.com/api/pagination"""

from typing import Any, Final

from local.stripe.engine.store import DAY, Object, Store
from local.stripe.engine.subscriptions import ENDED
from local.stripe.errors import invalid

KEPT_DAYS: Final = 30  # Stripe keeps events for 30 days: https://docs.stripe.com/api/events
_PAGING: Final = ("limit", "starting_after", "ending_before", "expand")
_ONE_OF: Final = {"lookup_keys": "lookup_key", "types": "type", "ids": "id"}


def listed(kind: str, path: str, store: Store, form: Object, _: str) -> Object:
    """A page of the objects that match the filters, newest first."""
    found = [obj for obj in store.all(kind) if is_kept(store, obj) and "_unlisted" not in obj and _passes(obj, form)]
    if kind == "subscription" and "status" not in form:
        found = [obj for obj in found if obj["status"] != "canceled"]
    # By the date: https://docs.stripe.com/api/subscriptions/list. Some kinds have none, and keep their order.
    return paged(sorted(found, key=lambda obj: -obj.get("created", 0)), path, form)


def paged(found: list[Object], path: str, form: Object) -> Object:
    """The page of these objects that the parameters name."""
    limit = form.get("limit", 10)
    start = 0
    if "starting_after" in form:
        start = _position(found, form["starting_after"], "starting_after") + 1
    if "ending_before" in form:
        end = _position(found, form["ending_before"], "ending_before")
        start = max(0, end - limit)
        return _page(found[start:end], path, more=start > 0)
    return _page(found[start : start + limit], path, more=len(found) > start + limit)


def is_kept(store: Store, obj: Object) -> bool:
    """Whether the API still returns the object. It returns events for 30 days."""
    return bool(obj["object"] != "event" or obj["created"] >= store.now() - KEPT_DAYS * DAY)


def _page(data: list[Object], path: str, *, more: bool) -> Object:
    return {"object": "list", "data": data, "has_more": more, "url": path}


def _position(found: list[Object], object_id: str, param: str) -> int:
    for n, obj in enumerate(found):
        if obj["id"] == object_id:
            return n
    raise invalid(f"No such object: '{object_id}'", param, code="resource_missing")


def _passes(obj: Object, form: Object) -> bool:
    return all(_matches(obj, name, filter_value) for name, filter_value in form.items() if name not in _PAGING)


def _matches(obj: Object, name: str, filter_value: Any) -> bool:
    if name in _ONE_OF:
        return obj.get(_ONE_OF[name]) in filter_value
    if name == "status" and filter_value in ("all", "ended"):
        return filter_value == "all" or obj["status"] in ENDED
    if name == "type" and str(filter_value).endswith("*"):
        return bool(obj["type"].startswith(filter_value[:-1]))
    value = _value(obj, name)
    if isinstance(filter_value, dict):
        return _fits(value, filter_value)
    return bool(value == filter_value)


def _fits(value: Any, filter_value: Object) -> bool:
    """Compares with a range of times, or with fields of a nested object."""
    if isinstance(value, int):
        tests = {"gt": value.__gt__, "gte": value.__ge__, "lt": value.__lt__, "lte": value.__le__}
        return all(tests[test](bound) for test, bound in filter_value.items())
    return isinstance(value, dict) and all(value.get(key) == inner for key, inner in filter_value.items())


def _value(obj: Object, name: str) -> Any:
    if name == "pending":
        return obj["invoice"] is None
    if name == "delivery_success":
        return not obj["pending_webhooks"]
    if name == "price" and obj["object"] == "subscription":
        return obj["items"]["data"][0]["price"]["id"]
    if name == "subscription" and obj["object"] == "invoice":
        return ((obj["parent"] or {}).get("subscription_details") or {}).get("subscription")
    return obj.get(name)
