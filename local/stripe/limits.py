"""What Stripe refuses beyond the types of its OpenAPI document: sizes, ranges, and parameters that exclude each other.

`check` looks at the whole form of a request, and `amount_to_charge` at one amount. Each rule names its source. Where
Stripe's own words are not known, only the status, the type, the code and the parameter are Stripe's.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from local.stripe.currencies import CURRENCIES, MINIMUM, most, written
from local.stripe.engine.cards import CARDS
from local.stripe.engine.store import DAY, Object, Store
from local.stripe.errors import ApiError, invalid

MOST_TRIAL_DAYS: Final = 730  # https://github.com/arlyon/async-stripe/issues/445

# Each pair excludes each other: https://github.com/laravel/cashier-stripe/issues/1078 (the words too),
# https://docs.stripe.com/api/events/list#list_events-types ("but not both"),
# https://docs.stripe.com/api/payment_intents/create#create_payment_intent-automatic_payment_methods
_ONE_OF: Final = (
    ("customer", "customer_email"),
    ("type", "types"),
    ("automatic_payment_methods", "payment_method_types"),
)

# The most that a list holds, by path and parameter: https://docs.stripe.com/api/events/list#list_events-types (a 400:
# https://github.com/FriendlyCaptcha/friendly-stripe-sync/pull/20),
# https://docs.stripe.com/api/subscriptions/create#create_subscription-items,
# https://docs.stripe.com/api/checkout/sessions/create#create_checkout_session-line_items (20 are recurring, 20 not)
_MOST: Final = {
    ("/v1/events", "types"): 20,
    ("/v1/subscriptions", "items"): 20,
    ("/v1/subscriptions", "add_invoice_items"): 20,
    ("/v1/checkout/sessions", "line_items"): 100,
}

# The ranges of numbers. The words are of https://github.com/stripe/stripe-php/issues/982.
# https://docs.stripe.com/api/pagination, https://docs.stripe.com/api/payment_intents/create ("a positive integer"),
# https://docs.stripe.com/api/refunds/create ("a positive integer"), https://docs.stripe.com/api/prices/create ("a
# positive integer … or 0"), https://docs.stripe.com/api/checkout/sessions/create ("has to be at least 1")
_RANGES: Final[Mapping[str, tuple[int, int | None]]] = {
    "limit": (1, 100),
    "amount": (1, None),
    "amount_to_capture": (1, None),
    "unit_amount": (0, 99_999_999),
    "quantity": (0, None),
    "line_items[quantity]": (1, None),
    "subscription_data[trial_period_days]": (1, None),
}
# An invoice item may take money off: https://docs.stripe.com/api/invoiceitems/create#create_invoiceitem-amount
_MAY_BE_NEGATIVE: Final = frozenset({"amount", "unit_amount"})
_OF_INVOICES: Final = ("/v1/invoiceitems", "/v1/invoices")

_INDEX: Final = re.compile(r"\[\d+\]")
_ADDRESS: Final = re.compile(r"[!-?A-~]+@[!-?A-~]+\.[!-?A-~]+")
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/]\S*")


def check(store: Store, path: str, form: Object) -> None:
    """Raises `ApiError`, a 400, for values that the types allow and Stripe refuses. `path` is the document's."""
    for first, second in _ONE_OF:
        if form.get(first) and form.get(second):
            raise invalid(f"You may only specify one of these parameters: {first}, {second}.", first)
    if "starting_after" in form and "ending_before" in form:  # https://github.com/stripe/stripe-python/issues/585
        raise invalid("Received both starting_after and ending_before parameters. Please pass in only one.")
    for (of, name), most_items in _MOST.items():
        if path == of and len(form.get(name, ())) > most_items:
            raise invalid(f"You may only specify up to {most_items} {name}.", name)
    _values(store, path, form, "")


def _values(store: Store, path: str, value: Any, at: str) -> None:
    """Checks each value by its name, wherever it is in the form."""
    if isinstance(value, list):
        for n, inner in enumerate(value):
            _values(store, path, inner, f"{at}[{n}]")
        return
    name = _last(at)
    if isinstance(value, dict) and name != "metadata":
        for key, inner in value.items():
            _values(store, path, inner, f"{at}[{key}]" if at else key)
        return
    if type(value) is int and not (name in _MAY_BE_NEGATIVE and path.startswith(_OF_INVOICES)):
        _in_range(value, at)
    if name in _RULES and value != "":  # an empty text takes the present value away
        _RULES[name](store, value, at)


def _last(at: str) -> str:
    """`items[0][price]` ends with `price`."""
    return _INDEX.sub("", at).rpartition("[")[2].rstrip("]")


def _in_range(value: int, at: str) -> None:
    known = _RANGES.get(_INDEX.sub("", at)) or _RANGES.get(_last(at))
    if known is None:
        return
    least, most_allowed = known
    if value < least:
        message = f"This value must be greater than or equal to {least}."
        raise invalid(message, at, code="parameter_invalid_integer")
    if most_allowed is not None and value > most_allowed:
        message = f"This value must be less than or equal to {most_allowed} (it currently is '{value}')."
        raise invalid(message, at, code="parameter_invalid_integer")


def _metadata(_: Store, value: Object, at: str) -> None:
    """https://docs.stripe.com/api/metadata

    The words: https://github.com/FlowFuse/flowfuse/issues/1948, https://github.com/stripe/stripe-php/issues/246
    """
    if len(value) > 50:
        raise invalid(f"Metadata can have up to 50 keys, but you've set {len(value)}.", at)
    for name, text in value.items():
        if len(name) > 40:
            raise invalid(f"Invalid key: {name} must be a string under 40 characters", at)
        if len(text) > 500:
            raise invalid(f"Invalid val: {text} must be a string under 500 characters", at)


def _email(_: Store, value: str, at: str) -> None:
    """https://docs.stripe.com/error-codes#email-invalid

    What is refused: https://github.com/fjordllc/bootcamp/issues/4134 (no dot), /3927 (a space), /7638 (not ASCII).
    """
    if not _ADDRESS.fullmatch(value):
        raise invalid(f"Invalid email address: {value}", at, code="email_invalid")


def _currency(_: Store, value: str, at: str) -> None:
    """https://docs.stripe.com/currencies. The words: https://github.com/lukec/stripe-perl/issues/156"""
    if value.lower() not in CURRENCIES:
        known = ", ".join(CURRENCIES)
        raise invalid(f"Invalid currency: {value}. Stripe currently supports these currencies: {known}", at)


def _payment_method(store: Store, value: str, at: str) -> None:
    """The test cards have names; everything else is the id of a PaymentMethod.

    https://docs.stripe.com/error-codes#resource-missing, https://github.com/stripe/stripe-node/issues/1264 (tokens)
    """
    if value.startswith("tok_"):
        use = f"Instead, use payment_method_data with type=card and card[token]={value}"
        raise invalid(f"A token may not be passed in as a PaymentMethod. {use}", at)
    if value not in CARDS and value not in store.objects.get("payment_method", {}):
        raise invalid(f"No such PaymentMethod: '{value}'", at, code="resource_missing")


def _trial_days(_: Store, value: int, at: str) -> None:
    if value > MOST_TRIAL_DAYS:
        raise invalid(f"The maximum number of trial period days is {MOST_TRIAL_DAYS} (2 years).", at)


def _trial_end(store: Store, value: int | str, at: str) -> None:
    """Counted from now: https://github.com/stripe/stripe-ruby/issues/804"""
    if isinstance(value, int):
        _trial_days(store, (value - store.now()) // DAY, at)


def _url(_: Store, value: str, at: str) -> None:
    """https://docs.stripe.com/error-codes#url-invalid"""
    if not _URL.fullmatch(value):
        raise invalid("Not a valid URL", at, code="url_invalid")


_RULES: Final[Mapping[str, Callable[[Store, Any, str], None]]] = {
    "metadata": _metadata,
    "email": _email,
    "customer_email": _email,
    "receipt_email": _email,
    "currency": _currency,
    "payment_method": _payment_method,
    "default_payment_method": _payment_method,
    "trial_period_days": _trial_days,
    "trial_end": _trial_end,
    "success_url": _url,
    "cancel_url": _url,
    "return_url": _url,
}


def amount_to_charge(amount: int, currency: str, words: str = "Amount must be", param: str | None = "amount") -> None:
    """Raises `ApiError`, a 400, for an amount in minor units that Stripe does not charge.

    The account is paid out in each currency, so none is converted first.
    https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts
    The words: https://github.com/EuroPython/epcon/issues/1259
    """
    least, largest = MINIMUM.get(currency, 1), most(currency)
    error: ApiError | None = None
    if amount < least:
        error = invalid(f"{words} at least {written(least, currency)}", param, code="amount_too_small")
    if amount > largest:
        error = invalid(f"{words} no more than {written(largest, currency)}", param, code="amount_too_large")
    if error:
        raise error
