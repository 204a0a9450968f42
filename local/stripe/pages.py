"""The pages that a customer sees at Stripe: Checkout, the portal, hosted invoices, and paying by a client secret."""

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from werkzeug.exceptions import Forbidden, HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from local.stripe import pages_checkout, pages_pay, pages_portal
from local.stripe.errors import ApiError
from local.stripe.pages_parts import Visit
from local.web import of_another_site, page, static

if TYPE_CHECKING:
    from local.stripe.server import StripeServer

_ROUTES: Final = (*pages_checkout.ROUTES, *pages_portal.ROUTES, *pages_pay.ROUTES)


class Pages:
    """A page acts under the server's lock, as a call of the API does. Raises nothing: errors are pages too."""

    def __init__(self, server: "StripeServer") -> None:
        self._server = server
        rules = [Rule(path, methods=[method], endpoint=act) for method, path, act in _ROUTES]
        self._map = Map(rules, strict_slashes=False, merge_slashes=False)

    def answer(self, request: Request) -> Response:
        try:
            return self._answer(request)
        except ApiError as error:
            return _problem(error.status, str(error))
        except HTTPException as error:
            return _problem(error.code or 500, error.description or error.name)

    def _answer(self, request: Request) -> Response:
        if request.path.startswith("/static/"):
            return static(request)
        if of_another_site(request):
            raise Forbidden("This form was sent from another site.")
        act, found = self._map.bind_to_environ(request.environ).match()
        with self._server.lock:
            answer: Response = act(Visit(self._server.store, request), **found)
            return answer


def _problem(status: int, text: str) -> Response:
    if status == HTTPStatus.NOT_FOUND:
        return page("missing.html", status, title="Nothing is here", text="No page has this address. Was it cut short?")
    return page("missing.html", status, title="That did not work", text=text)
