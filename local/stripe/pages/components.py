"""The shared parts of the hosted pages: the visit, the card form, texts for prices, and safe links."""

from collections.abc import Callable
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from werkzeug.wrappers import Request, Response

from local.stripe.engine import invoices
from local.stripe.engine.cards import BANK, CARDS, named_by, refusal_of_number
from local.stripe.engine.store import Object, Store
from local.stripe.errors import ApiError
from local.web import money, page

# (method, path, the function that answers)
type Route = tuple[str, str, Callable[..., Response]]

FIRST_CARD: Final = "4242 4242 4242 4242"


class Visit(NamedTuple):
    store: Store
    request: Request

    def field(self, name: str) -> str:
        """A field of the sent form. It is empty if the form does not have it."""
        return self.request.form.get(name, "")


# -- the card form


def chosen(visit: Visit) -> str:
    """The name of the test card that the customer entered. Raises `ApiError`."""
    if visit.field("method") == "bank":
        return BANK
    number = visit.field("card")
    name = named_by(number)
    if name is None:
        refused = refusal_of_number(number)
        raise ApiError(402, "card_error", refused.pop("message"), **refused)
    return name


def known(name: str | None) -> str:
    if name not in CARDS:
        raise ApiError(400, "card_error", "Only Stripe's test cards work here.")
    return name


def entry(visit: Visit) -> Object:
    """The values of the card form. They are those that the customer sent, so after an error they can be corrected."""
    card, bank = visit.field("card") or FIRST_CARD, visit.field("method") == "bank"
    return {"cards": _cards(), "card": card, "bank": bank}


def _cards() -> dict[str, str]:
    """Number -> the effect of the card. Some cards have several names, but only one number."""
    return {_spaced(card.number): card.label for name, card in CARDS.items() if name != BANK}


def _spaced(number: str) -> str:
    return " ".join(number[n : n + 4] for n in range(0, len(number), 4))


def confirmation(action: str, text: str, name: str = "") -> Response:
    """The page with the bank's question, which is a page of its own as at Stripe. It sends the answer to `action`."""
    return page("confirm.html", action=action, text=text, name=name)


def agreed(visit: Visit) -> bool:
    return visit.field("answer") == "yes"


# -- due invoices


def under_way(store: Store, invoice: Object) -> bool:
    """Whether a bank must still answer. A second payment is refused until then."""
    intent = invoices.intent_of(store, invoice)
    return intent is not None and intent["status"] == "processing"


def payable(store: Store, invoice: Object) -> bool:
    return invoice["status"] == "open" and invoice["amount_remaining"] > 0 and not under_way(store, invoice)


# -- texts


def product_name(store: Store, price: Object | None) -> str:
    product = store.find(price["product"]) if price else None
    return product["name"] if product else "Item"


def per(amount: int, price: Object) -> str:
    """An amount with the interval of the price: `49.00 USD per month`."""
    text, every = money(amount, price["currency"]), price["recurring"]
    if not every:
        return text
    count, interval = every["interval_count"], every["interval"]
    return f"{text} per {interval}" if count == 1 else f"{text} every {count} {interval}s"


def done(title: str, text: str, status: int = 200, *, link: str = "", link_text: str = "Continue") -> Response:
    return page("done.html", status, title=title, text=text, link=link, link_text=link_text)


# -- links


def web_link(url: str | None) -> str:
    """The address if it is a web address, else an empty text. A `javascript:` address would run in this page."""
    return url if url and urlsplit(url).scheme in ("http", "https") else ""


def local_link(url: str) -> str:
    """The address if it is on this machine, else an empty text.

    The address comes from the query, which anyone can write. So a link from it must not lead to another machine.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    is_local = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost")
    return url if is_local and "\\" not in url else ""  # browsers read a backslash as a slash, Python does not
