"""Stripe's API: credit notes. https://docs.stripe.com/api/credit_notes"""

from typing import Final

from local.stripe.api.lists import paged
from local.stripe.engine import creditnotes
from local.stripe.engine.objects import Operation, on
from local.stripe.engine.store import Object, Store


def _create(store: Store, form: Object, _: str) -> Object:
    return creditnotes.issue(store, store.named("invoice", form["invoice"], "invoice"), form)


def _lines(store: Store, form: Object, id: str) -> Object:
    return paged(store.get("credit_note", id)["lines"]["data"], f"/v1/credit_notes/{id}/lines", form)


OPERATIONS: Final[tuple[tuple[str, str, Operation], ...]] = (
    ("POST", "/v1/credit_notes", _create),
    ("GET", "/v1/credit_notes/{credit_note}/lines", _lines),
    ("POST", "/v1/credit_notes/{id}/void", on("credit_note", creditnotes.void)),
)
