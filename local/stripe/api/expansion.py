"""`expand` replaces ids by the objects that they name. https://docs.stripe.com/api/expanding_objects"""

from typing import Any, Final

from local.stripe import document
from local.stripe.engine import invoices
from local.stripe.engine.store import Object, Store, shown
from local.stripe.errors import invalid

MAX_DEPTH: Final = 4


def check(method: str, path: str, expand: list[str]) -> None:
    """Raises `ApiError` for a property that the answer of this operation cannot expand."""
    for named in expand:
        if len(named.split(".")) > MAX_DEPTH:
            raise invalid(f"You cannot expand more than {MAX_DEPTH} levels of a property.", "expand")
        if not document.expands(method, path, named):
            # https://github.com/stripe/stripe-python/issues/316
            listed = document.expands(method, path, f"data.{named}")
            hint = f" You may want to try expanding 'data.{named}' instead." if listed else ""
            raise invalid(f"This property cannot be expanded ({named}).{hint}", "expand")


def expanded(store: Store, obj: Object, paths: list[str]) -> Object:
    """A copy of an object or a list for the answer."""
    copy = {**obj, "data": [shown(one) for one in obj["data"]]} if obj.get("object") == "list" else shown(obj)
    for path in paths:
        _expand(store, copy, path.split("."))
    return copy


def _expand(store: Store, node: Any, steps: list[str]) -> None:
    if isinstance(node, list):
        for one in node:
            _expand(store, one, steps)
    if not isinstance(node, dict) or not steps:
        return
    head, *rest = steps
    kind = node.get("object", "")
    if (kind, head) in _COMPUTED:
        node[head] = _COMPUTED[kind, head](store, node)
    found = store.find(node[head]) if isinstance(node.get(head), str) else None
    if found:
        node[head] = shown(found)
    _expand(store, node.get(head), rest)


def _payments(store: Store, invoice: Object) -> Object:
    found = [shown(payment) for payment in store.all("invoice_payment", invoice=invoice["id"])]
    return {"object": "list", "data": found, "has_more": False, "url": f"/v1/invoices/{invoice['id']}/payments"}


def _confirmation_secret(store: Store, invoice: Object) -> Object | None:
    intent = invoices.intent_of(store, invoice)
    if intent is None or invoice["status"] not in ("open", "uncollectible"):
        return None
    return {"type": "payment_intent", "client_secret": intent["client_secret"]}


def _refunds(store: Store, charge: Object) -> Object:
    found = [shown(refund) for refund in store.all("refund", charge=charge["id"])]
    return {"object": "list", "data": found, "has_more": False, "url": f"/v1/charges/{charge['id']}/refunds"}


_COMPUTED: Final = {
    ("invoice", "payments"): _payments,
    ("invoice", "confirmation_secret"): _confirmation_secret,
    ("charge", "refunds"): _refunds,
}
