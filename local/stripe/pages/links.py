"""Payment links: an address that anyone may open. It leads to a new Checkout Session.

https://docs.stripe.com/payment-links
"""

from typing import Final

from werkzeug.utils import redirect
from werkzeug.wrappers import Response

from local.stripe.engine.sessions import open_link
from local.stripe.pages.components import Route, Visit


def _open(visit: Visit, id: str) -> Response:
    link = visit.store.get("payment_link", id)
    session = open_link(visit.store, link, visit.request.args.get("client_reference_id"))
    return redirect(f"/c/pay/{session['id']}", 303)


ROUTES: Final[tuple[Route, ...]] = (("GET", "/b/<id>", _open),)
