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
_COMMON: Final = (
    "pm_card_visa",
    "pm_card_chargeDeclined",
    "pm_card_chargeDeclinedInsufficientFunds",
    "pm_card_authenticationRequired",
    "pm_card_chargeCustomerFail",
)


class Link(NamedTuple):
    """A link back. Without an address there is none."""

    to: str
    text: str = "Back to the app"


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


def entry(visit: Visit, address: str, **query: str) -> Object:
    """The values of the card form. They are those that the customer sent, so after an error they can be corrected.

    A click on a test card asks for the page, at `address` with `query`, with this card in the form: it is a GET, which
    pays nothing.
    """
    used = visit.request.args.get("use", "")
    card = visit.field("card") or (used if named_by(used) else FIRST_CARD)
    shown = {"card": card, "bank": visit.field("method") == "bank"}
    # The keyboard goes on where it was: in the field that was filled in, or that is to be corrected.
    shown["focused"] = bool(used or "card" in visit.request.form)
    return {"entry": {"cards": _cards(), "address": address, "query": query, **shown}}


def _cards() -> dict[str, str]:
    """Number -> the effect of the card, those that people look for first. Some cards have several names."""
    cards = {name: CARDS[name] for name in _COMMON} | CARDS
    return {_spaced(card.number): card.label for name, card in cards.items() if name != BANK}


def _spaced(number: str) -> str:
    return " ".join(number[n : n + 4] for n in range(0, len(number), 4))


def confirmation(visit: Visit, action: str, text: str, back: str, name: str = "") -> Response:
    """The page with the bank's question, which is a page of its own as at Stripe. It sends the answer to `action`.

    The card that the customer entered goes along: after a refusal it is in the form again.
    """
    asked: Object = {"action": action, "text": text, "name": name, "card": visit.field("card")}
    return page("confirm.html", back=Link(back, "Go back"), **asked)


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


def line_text(store: Store, text: str | None, price: Object | None) -> str:
    return " · ".join(filter(None, (text, product_name(store, price) if price else None))) or "Item"


def sums(store: Store, invoice: Object) -> Object:
    """The lines of an invoice, and what reduces them to the amount that is due."""
    lines = []
    for line in invoice["lines"]["data"]:
        known = line["pricing"] and line["pricing"]["price_details"]
        lines.append((line_text(store, line["description"], known), line["amount"]))
    return {
        "lines": lines,
        "discount": invoice["total"] - invoice["subtotal"],
        "total": invoice["total"],
        "balance": invoice["amount_due"] - invoice["total"],
        "due": invoice["amount_due"],
        "currency": invoice["currency"],
    }


def described(store: Store, method: str | None) -> str:
    found = store.find(method) if method else None
    if found is None:
        return ""
    details = found[found["type"]]
    return f"{details.get('brand', 'bank account').capitalize()} ending in {details['last4']}"


def done(title: str, text: str, back: Link, status: int = 200) -> Response:
    return page("done.html", status, title=title, text=text, back=back)


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


def way_back(visit: Visit, customer: str | None = None) -> Link:
    """To the portal or to the app, by what the request's address names.

    `customer`: only a portal of this customer counts.
    """
    for name in (visit.request.args.get("portal", ""), *visit.request.path.split("/")):
        session = visit.store.find(name) or {"object": None}
        if session["object"] == "checkout.session":
            return Link(web_link(session["cancel_url"]))
        if session["object"] == "billing_portal.session" and customer in (None, session["customer"]):
            lives = visit.store.find(session["customer"])
            return (
                Link(f"/p/session/{name}", "Back to your billing") if lives else Link(web_link(session["return_url"]))
            )
    return Link(local_link(visit.request.args.get("return_url", "")))
