"""Stripe's API: the kinds of objects, their paths, and their operations.

Stripe's OpenAPI document (`local/stripe/document.py`) defines the parameters of an operation and their types. With it,
this module can list and read objects of every kind, and make plain changes. An operation with further effects has a
function in another module of `local/stripe/api/`.
"""

import re
from collections.abc import Iterator
from functools import partial
from typing import Final

from local.stripe import document
from local.stripe.api import account as api_account
from local.stripe.api import billing as api_billing
from local.stripe.api import catalogue as api_catalogue
from local.stripe.api import checkout as api_checkout
from local.stripe.api import payments as api_payments
from local.stripe.api.lists import is_kept, listed
from local.stripe.engine.objects import Operation, change
from local.stripe.engine.store import Object, Store
from local.stripe.errors import missing

# Kind -> the path of its collection.
COLLECTIONS: Final = {
    "charge": "/v1/charges",
    "checkout.session": "/v1/checkout/sessions",
    "customer": "/v1/customers",
    "dispute": "/v1/disputes",
    "event": "/v1/events",
    "invoice": "/v1/invoices",
    "invoice_payment": "/v1/invoice_payments",
    "invoiceitem": "/v1/invoiceitems",
    "payment_intent": "/v1/payment_intents",
    "payment_method": "/v1/payment_methods",
    "price": "/v1/prices",
    "product": "/v1/products",
    "refund": "/v1/refunds",
    "subscription": "/v1/subscriptions",
    "subscription_item": "/v1/subscription_items",
    "webhook_endpoint": "/v1/webhook_endpoints",
}

# For these kinds, a change only sets the fields that the parameters name. Other operations have functions in the other
# modules of `local/stripe/api/`.
CHANGED_PLAINLY: Final = (
    "charge",
    "checkout.session",
    "invoiceitem",
    "payment_method",
    "price",
    "product",
    "refund",
)


def routes() -> Iterator[tuple[str, str, Operation]]:
    """Yields (method, path in the document, the function that answers)."""
    paths = document.load()["paths"]
    for kind, path in COLLECTIONS.items():
        one = next(p for p in paths if re.fullmatch(re.escape(path) + r"/\{\w+\}", p))
        yield "GET", path, partial(listed, kind, path)
        yield "GET", one, partial(_get, kind)
        if kind in CHANGED_PLAINLY:
            yield "POST", one, partial(_change, kind)
    for subject in (api_account, api_catalogue, api_checkout, api_billing, api_payments):
        yield from subject.OPERATIONS


def _get(kind: str, store: Store, _: Object, id: str) -> Object:
    if kind == "customer" and id in store.deleted:
        return store.deleted[id]  # https://docs.stripe.com/api/customers/retrieve: "deleted": true, and not a 404
    found = store.get(kind, id)
    if not is_kept(store, found):
        raise missing(kind, id)
    return found


def _change(kind: str, store: Store, form: Object, id: str) -> Object:
    return change(store, kind, store.get(kind, id), form)
