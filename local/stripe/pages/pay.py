"""The pages for payments: the hosted page of an invoice, and the page for a PaymentIntent's client secret."""

import hmac
from typing import Final
from urllib.parse import urlencode

from werkzeug.utils import redirect
from werkzeug.wrappers import Response

from local.stripe.engine import collecting, invoices, payments
from local.stripe.engine.store import Object
from local.stripe.errors import ApiError, missing
from local.stripe.pages.components import (
    Link,
    Route,
    Visit,
    agreed,
    chosen,
    confirmation,
    done,
    entry,
    local_link,
    payable,
    sums,
    under_way,
    way_back,
)
from local.web import money, page

_OTHER: Final = "other"  # in the query of a customer who wants to take another card
_REFUSED: Final = "Your bank refused the payment."

# -- invoices


def _show_invoice(visit: Visit, id: str) -> Response:
    return _invoice(visit, visit.store.get("invoice", id))


def _print_invoice(visit: Visit, id: str) -> Response:
    return _invoice(visit, visit.store.get("invoice", id), printed=True)


def _pay_invoice(visit: Visit, id: str) -> Response:
    invoice = visit.store.get("invoice", id)
    try:
        collecting.pay_invoice(visit.store, invoice, chosen(visit))
    except ApiError as error:
        return _invoice(visit, invoice, error.status, str(error))
    intent = invoices.intent_of(visit.store, invoice)
    if intent and intent["status"] == "requires_action":
        text = f"Invoice {invoice['number']}: {_due(invoice)}"
        return confirmation(visit, _invoice_at(visit, id, "/confirm"), text, _invoice_at(visit, id))
    return _paid(visit, id)


def _confirm_invoice(visit: Visit, id: str) -> Response:
    """Takes the bank's answer. A refusal is a failed attempt and changes the invoice and its subscription."""
    invoice = visit.store.get("invoice", id)
    intent = invoices.intent_of(visit.store, invoice)
    if intent is None or intent["status"] != "requires_action":
        return redirect(_invoice_at(visit, id), 303)
    if agreed(visit):
        collecting.answer_intent(visit.store, intent, paid=True)
        return _paid(visit, id)
    collecting.answer_intent(visit.store, intent, paid=False)
    return _invoice(visit, invoice, 402, _REFUSED)


def _paid(visit: Visit, id: str) -> Response:
    return redirect(_invoice_at(visit, id, done="paid"), 303)


def _from(visit: Visit) -> dict[str, str]:
    """What the address of the invoice says about the way back. It goes along to the next page."""
    given = {name: visit.request.args.get(name, "") for name in ("portal", "return_url")}
    return {name: value for name, value in given.items() if value}


def _invoice_at(visit: Visit, id: str, step: str = "", **more: str) -> str:
    query = urlencode(_from(visit) | more)
    return f"/i/{id}{step}?{query}" if query else f"/i/{id}{step}"


def _invoice(visit: Visit, invoice: Object, status: int = 200, alert: str = "", *, printed: bool = False) -> Response:
    address = _invoice_at(visit, invoice["id"])
    paid = visit.request.args.get("done") == "paid" and invoice["status"] == "paid"
    values = {
        "alert": alert,
        "said": f"Thank you: {money(invoice['amount_paid'], invoice['currency'])} arrived." if paid else "",
        "invoice": invoice,
        "bill": sums(visit.store, invoice) | {"due": invoice["amount_remaining"]},
        "waits": invoice["status"] == "open" and under_way(visit.store, invoice),
        "payable": payable(visit.store, invoice) and not printed,
        "printed": printed,
        "due": _due(invoice),
        "action": address,
        "pdf": _invoice_at(visit, invoice["id"], "/pdf"),
        "back": Link(address, "Back to the invoice") if printed else way_back(visit, invoice["customer"]),
    }
    return page("invoice.html", status, **values, **entry(visit, f"/i/{invoice['id']}", **_from(visit)))


def _due(invoice: Object) -> str:
    return money(invoice["amount_remaining"], invoice["currency"])


# -- the page for a client secret


def _show(visit: Visit, id: str) -> Response:
    """A payment that waits for the customer goes on with the bank's question, as Stripe.js does without a new card.

    https://docs.stripe.com/js/payment_intents/handle_next_action
    """
    intent = _intent(visit, id)
    waits = intent["status"] == "requires_action" and not {_OTHER, "use"} & visit.request.args.keys()
    return _asked(visit, intent) if waits else _state(visit, intent)


def _pay(visit: Visit, id: str) -> Response:
    intent = _intent(visit, id)
    if intent["status"] not in payments.CONFIRMABLE:
        return _state(visit, intent)
    try:
        method = payments.payment_method(visit.store, chosen(visit), intent["customer"])
        intent["payment_method"] = method["id"]
        collecting.confirm_intent(visit.store, intent, method["id"])
    except ApiError as error:
        return _form(visit, intent, error.status, str(error))
    if intent["status"] == "requires_action":
        return _asked(visit, intent)
    return redirect(_address(visit, intent), 303)


def _asked(visit: Visit, intent: Object) -> Response:
    other = f"{_address(visit, intent)}&{_OTHER}=card"
    return confirmation(visit, _address(visit, intent, "/confirm"), f"Payment: {_amount(intent)}", other)


def _confirm(visit: Visit, id: str) -> Response:
    intent = _intent(visit, id)
    if intent["status"] != "requires_action":
        return redirect(_address(visit, intent), 303)
    paid = agreed(visit)
    collecting.answer_intent(visit.store, intent, paid=paid)
    return redirect(_address(visit, intent), 303) if paid else _form(visit, intent, 402, _REFUSED)


def _intent(visit: Visit, id: str) -> Object:
    """The PaymentIntent, if the request has its client secret.

    Otherwise raises `ApiError`, a 404, as if the PaymentIntent did not exist.
    """
    intent = visit.store.get("payment_intent", id)
    secret = visit.request.args.get("client_secret", "")
    if not hmac.compare_digest(secret.encode(), intent["client_secret"].encode()):
        raise missing("payment_intent", id)
    return intent


def _address(visit: Visit, intent: Object, step: str = "") -> str:
    return f"/pay/{intent['id']}{step}?{urlencode(_query(visit, intent))}"


def _query(visit: Visit, intent: Object) -> dict[str, str]:
    back = _back(visit).to
    return {"client_secret": intent["client_secret"]} | ({"return_url": back} if back else {})


def _back(visit: Visit) -> Link:
    return Link(local_link(visit.request.args.get("return_url", "")))


def _amount(intent: Object) -> str:
    return money(intent["amount"], intent["currency"])


def _state(visit: Visit, intent: Object) -> Response:
    title, text = {
        "succeeded": ("Paid", f"Thank you: {_amount(intent)} arrived."),
        "processing": ("The payment is under way", "The bank answers in a few days."),
        "canceled": ("This payment was canceled", "Nothing is due any more."),
    }.get(intent["status"], ("", ""))
    if not title:
        return _form(visit, intent)
    return done(title, text, _back(visit))


def _form(visit: Visit, intent: Object, status: int = 200, alert: str = "") -> Response:
    values = {
        "alert": alert,
        "action": _address(visit, intent),
        "amount": _amount(intent),
        "description": intent["description"] or "",
        "back": _back(visit),
    }
    return page("pay.html", status, **values, **entry(visit, f"/pay/{intent['id']}", **_query(visit, intent)))


ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/i/<id>", _show_invoice),
    ("POST", "/i/<id>", _pay_invoice),
    ("GET", "/i/<id>/pdf", _print_invoice),
    ("GET", "/i/<id>/confirm", _show_invoice),
    ("POST", "/i/<id>/confirm", _confirm_invoice),
    ("GET", "/pay/<id>", _show),
    ("POST", "/pay/<id>", _pay),
    ("GET", "/pay/<id>/confirm", _show),
    ("POST", "/pay/<id>/confirm", _confirm),
)
