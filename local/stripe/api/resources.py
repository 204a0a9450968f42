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
from local.stripe.api import creditnotes as api_creditnotes
from local.stripe.api import discounts as api_discounts
from local.stripe.api import events as api_events
from local.stripe.api import legacy as api_legacy
from local.stripe.api import payments as api_payments
from local.stripe.api import quotes as api_quotes
from local.stripe.api import schedules as api_schedules
from local.stripe.api import setups as api_setups
from local.stripe.api import testclocks as api_testclocks
from local.stripe.api.lists import is_kept, listed
from local.stripe.engine.objects import Operation, change
from local.stripe.engine.store import Object, Store
from local.stripe.errors import invalid, missing

# Kind -> the path of its collection.
COLLECTIONS: Final = {
    "charge": "/v1/charges",
    "checkout.session": "/v1/checkout/sessions",
    "coupon": "/v1/coupons",
    "credit_note": "/v1/credit_notes",
    "customer": "/v1/customers",
    "dispute": "/v1/disputes",
    "event": "/v1/events",
    "invoice": "/v1/invoices",
    "invoice_payment": "/v1/invoice_payments",
    "invoiceitem": "/v1/invoiceitems",
    "payment_intent": "/v1/payment_intents",
    "payment_link": "/v1/payment_links",
    "payment_method": "/v1/payment_methods",
    "plan": "/v1/plans",
    "price": "/v1/prices",
    "product": "/v1/products",
    "promotion_code": "/v1/promotion_codes",
    "quote": "/v1/quotes",
    "refund": "/v1/refunds",
    "setup_intent": "/v1/setup_intents",
    "subscription": "/v1/subscriptions",
    "subscription_item": "/v1/subscription_items",
    "subscription_schedule": "/v1/subscription_schedules",
    "tax_rate": "/v1/tax_rates",
    "test_helpers.test_clock": "/v1/test_helpers/test_clocks",
    "webhook_endpoint": "/v1/webhook_endpoints",
}

# For these kinds, a change only sets the fields that the parameters name. Other operations have functions in the other
# modules of `local/stripe/api/`.
CHANGED_PLAINLY: Final = (
    "charge",
    "checkout.session",
    "coupon",
    "credit_note",
    "invoiceitem",
    "payment_method",
    "plan",
    "price",
    "product",
    "promotion_code",
    "tax_rate",
)

_MODULES: Final = (
    api_account,
    api_billing,
    api_catalogue,
    api_checkout,
    api_creditnotes,
    api_discounts,
    api_events,
    api_legacy,
    api_payments,
    api_quotes,
    api_schedules,
    api_setups,
    api_testclocks,
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
    for module in _MODULES:
        yield from module.OPERATIONS


def _get(kind: str, store: Store, _: Object, id: str) -> Object:
    if kind == "customer" and id in store.deleted:
        return store.deleted[id]  # https://docs.stripe.com/api/customers/retrieve: "deleted": true, and not a 404
    found = store.get(kind, id)
    if not is_kept(store, found):
        raise missing(kind, id)
    return found


def _change(kind: str, store: Store, form: Object, id: str) -> Object:
    if form.get("discounts"):
        raise invalid("Discounts are set when the object is created: this stand-in changes none.", "discounts")
    return change(store, kind, store.get(kind, id), form)
