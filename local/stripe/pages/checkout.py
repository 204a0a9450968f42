"""Stripe Checkout: the page of a session, the bank's question, and the redirect back to the app."""

from typing import Final

from werkzeug.utils import redirect
from werkzeug.wrappers import Response

from local.stripe.engine.checkout import NeedsAction, complete_checkout, refuse_checkout, trial_days
from local.stripe.engine.store import Object, Store
from local.stripe.errors import ApiError
from local.stripe.pages.components import (
    Link,
    Route,
    Visit,
    agreed,
    chosen,
    confirmation,
    done,
    entry,
    known,
    per,
    product_name,
    web_link,
)
from local.web import money, page


def _show(visit: Visit, id: str) -> Response:
    session = _session(visit, id)
    return _page(visit, session) if session["status"] == "open" else _closed(session)


def _pay(visit: Visit, id: str) -> Response:
    session = _session(visit, id)
    if session["status"] != "open":
        return _closed(session)
    try:
        return _complete(visit, session, chosen(visit), confirmed=False)
    except ApiError as error:
        return _page(visit, session, error.status, str(error))


def _confirm(visit: Visit, id: str) -> Response:
    session = _session(visit, id)
    if session["status"] != "open":
        return _closed(session)
    if not agreed(visit):
        refuse_checkout(visit.store, session)
        return _page(visit, session, 402, "Your bank refused the payment.")
    try:
        return _complete(visit, session, known(visit.field("name")), confirmed=True)
    except ApiError as error:
        return _page(visit, session, error.status, str(error))


def _reload(visit: Visit, id: str) -> Response:
    """Redirects to the first page, because the page with the bank's question exists only as an answer to a form."""
    return redirect(_address(_session(visit, id)), 303)


def _session(visit: Visit, id: str) -> Object:
    return visit.store.get("checkout.session", id)


def _address(session: Object) -> str:
    return f"/c/pay/{session['id']}"


def _complete(visit: Visit, session: Object, name: str, *, confirmed: bool) -> Response:
    try:
        complete_checkout(visit.store, session, name, confirmed=confirmed)
    except NeedsAction:
        asked = f"Payment: {_today(session)}"
        return confirmation(visit, f"{_address(session)}/confirm", asked, _address(session), name)
    if session["success_url"]:
        return redirect(session["success_url"].replace("{CHECKOUT_SESSION_ID}", session["id"]), 303)
    back = Link(web_link(session["cancel_url"]))
    return done("Thank you", "Your checkout is complete. You can close this page.", back)


def _closed(session: Object) -> Response:
    if session["status"] == "complete":
        text = "It was completed already; nothing is charged twice."
        address = (session["success_url"] or session["cancel_url"] or "").replace(
            "{CHECKOUT_SESSION_ID}", session["id"]
        )
        return done("This checkout is complete", text, Link(web_link(address)))
    text, back = "Start again in the app to get a new one.", Link(web_link(session["cancel_url"]))
    return done("This checkout has expired", text, back, 410)


# -- the page


def _page(visit: Visit, session: Object, status: int = 200, alert: str = "") -> Response:
    values = {
        "alert": alert,
        "title": _title(visit.store, session),
        "action": _address(session),
        "lines": [_line(visit.store, price, quantity) for price, quantity in session["_lines"]],
        "email": _email(visit.store, session),
        "trial": _trial(session),
        "today": _today(session),
        "submit": _submit(session),
        "back": Link(web_link(session["cancel_url"])),
    }
    return page("checkout.html", status, **values, **entry(visit, _address(session)))


def _line(store: Store, price: Object, quantity: int) -> Object:
    each = per(price["unit_amount"], price)
    total = money(price["unit_amount"] * quantity, price["currency"])
    return {"name": product_name(store, price), "each": each, "quantity": quantity, "total": total}


def _email(store: Store, session: Object) -> str:
    customer = store.find(session["customer"]) if session["customer"] else None
    return session["customer_email"] or (customer or {}).get("email") or ""


def _trial(session: Object) -> str:
    days = trial_days(session)
    if not days:
        return ""
    recurring = [(price, quantity) for price, quantity in session["_lines"] if price["recurring"]]
    total = sum(price["unit_amount"] * quantity for price, quantity in recurring)
    return f"{days} {'day' if days == 1 else 'days'} free, then {per(total, recurring[0][0])}"


def _today(session: Object) -> str:
    return money(session["amount_total"], session["currency"])


def _title(store: Store, session: Object) -> str:
    if session["mode"] == "payment":
        return f"Pay {_today(session)}"
    name = product_name(store, session["_lines"][0][0])
    return f"Try {name}" if trial_days(session) else f"Subscribe to {name}"


def _submit(session: Object) -> str:
    if session["mode"] == "payment":
        return f"Pay {_today(session)}"
    return "Start trial" if trial_days(session) else "Subscribe"


ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/c/pay/<id>", _show),
    ("POST", "/c/pay/<id>", _pay),
    ("GET", "/c/pay/<id>/confirm", _reload),
    ("POST", "/c/pay/<id>/confirm", _confirm),
)
