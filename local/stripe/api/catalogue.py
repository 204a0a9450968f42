"""Stripe's API: customers, products and prices."""

from typing import Any, Final

from local.stripe.api.legacy import save_card
from local.stripe.check import missing
from local.stripe.engine import invoices, payments, subscriptions
from local.stripe.engine.cards import CARDS
from local.stripe.engine.objects import Operation, change, make, needed, on
from local.stripe.engine.store import Object, Sold, Store
from local.stripe.errors import invalid


def _create_customer(store: Store, form: Object, _: str) -> Object:
    method = form.pop("payment_method", None)
    settings = form.pop("invoice_settings", {})
    source = form.pop("source", None)
    if "test_clock" in form:
        store.named("test_helpers.test_clock", form["test_clock"], "test_clock")
    customer = make(store, "customer", form)
    customer["invoice_prefix"] = customer["id"][-8:].upper()
    if method:
        payments.payment_method(store, method, customer["id"])
    if source:
        save_card(store, customer, source)
    _set_default(store, customer, settings)
    return customer


def _set_default(store: Store, customer: Object, settings: Object) -> None:
    name = settings.get("default_payment_method")
    if name:
        method = payments.payment_method(store, name, customer["id"] if name in CARDS else None)
        customer["invoice_settings"]["default_payment_method"] = method["id"]


def _update_customer(store: Store, form: Object, id: str) -> Object:
    customer = store.get("customer", id)
    source = form.pop("source", None)
    if source:  # it takes the place of the default one: https://docs.stripe.com/api/customers/update
        customer["default_source"] = None
        save_card(store, customer, source)
    _set_default(store, customer, form.pop("invoice_settings", {}))
    return change(store, "customer", customer, form)


def _delete_customer(store: Store, _: Object, id: str) -> Object:
    """Also ends the customer's subscriptions, as Stripe does."""
    customer = store.get("customer", id)
    for subscription in store.all("subscription", customer=id):
        if subscription["status"] not in subscriptions.ENDED:
            subscriptions.cancel_subscription(store, subscription)
    for invoice in store.all("invoice", customer=id, status="draft"):
        invoices.delete_draft(store, invoice)
    store.emit("customer.deleted", customer)
    return store.delete(customer)


def _create_product(store: Store, form: Object, _: str) -> Object:
    needed(form, "name")
    return make(store, "product", {"active": True, **form}, updated=store.now())


def _delete_product(store: Store, product: Object) -> Object:
    if any(price["product"] == product["id"] for price in store.all("price")):
        raise invalid("This product cannot be deleted because it has one or more user-created prices.", "id")
    store.emit("product.deleted", product)
    return store.delete(product)


def _create_tax_rate(store: Store, form: Object, _: str) -> Object:
    return make(store, "tax_rate", {"active": True, **form}, effective_percentage=None)


def recurring(interval: str = "month", **values: Any) -> Object:
    """The field `recurring` of a price: how many days, weeks, months or years lie between two payments."""
    unset: Object = {"meter": None, "trial_period_days": None, "usage_type": "licensed", "interval_count": 1}
    return {**unset, "interval": interval, **values}


def create_price(store: Store, form: Object, _: str) -> Object:
    """Creates a product for the price too if `product_data` describes one."""
    data = form.pop("product_data", None)
    product = _create_product(store, data, "") if data else store.named("product", needed(form, "product"), "product")
    amount = form.get("unit_amount")
    if amount is None:
        raise missing("unit_amount")
    every = form.pop("recurring", None)
    values = {"recurring": recurring(**every) if every else None, "type": "recurring" if every else "one_time"}
    values |= {"unit_amount_decimal": str(amount), "billing_scheme": "per_unit"}
    return make(store, "price", {"active": True, **form, "product": product["id"]}, **values)


def sold_in(store: Store, lines: list[Object]) -> Sold:
    """The price and the quantity of each of `line_items`. Raises `ApiError`."""
    made = []
    for n, line in enumerate(lines):
        given = f"line_items[{n}][price]"
        if "price_data" in line:
            price = create_price(store, line["price_data"], "")
        else:
            price = store.named("price", needed(line, "price"), given)
        if not price["active"]:
            raise invalid("The price specified is inactive.", given)
        made.append((price, line.get("quantity", 1)))
    return made


OPERATIONS: Final[tuple[tuple[str, str, Operation], ...]] = (
    ("POST", "/v1/customers", _create_customer),
    ("POST", "/v1/customers/{customer}", _update_customer),
    ("DELETE", "/v1/customers/{customer}", _delete_customer),
    ("POST", "/v1/products", _create_product),
    ("DELETE", "/v1/products/{id}", on("product", _delete_product)),
    ("POST", "/v1/tax_rates", _create_tax_rate),
    ("POST", "/v1/prices", create_price),
)
