"""The pages that a customer sees at Stripe: Checkout, the portal, hosted invoices, and payment with a client secret."""

from functools import cache
from http import HTTPStatus
from typing import Final

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from local.stripe.account import Account
from local.stripe.errors import ApiError
from local.stripe.pages import checkout as pages_checkout
from local.stripe.pages import links as pages_links
from local.stripe.pages import pay as pages_pay
from local.stripe.pages import portal as pages_portal
from local.stripe.pages.components import Visit, way_back
from local.web import page, static

_ROUTES: Final = (*pages_checkout.ROUTES, *pages_links.ROUTES, *pages_portal.ROUTES, *pages_pay.ROUTES)


class Pages:
    """A page holds the account's lock while it acts, like an API call. An error is a page too."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def answer(self, request: Request) -> Response:
        try:
            return self._answer(request)
        except ApiError as error:
            return self._problem(request, error.status, str(error))
        except HTTPException as error:
            return self._problem(request, error.code or 500, error.description or error.name)

    def _answer(self, request: Request) -> Response:
        if request.path.startswith("/static/"):
            return static(request)
        act, found = _map().bind_to_environ(request.environ).match()
        with self._account.lock:
            answer: Response = act(Visit(self._account.store, request), **found)
            return answer

    def _problem(self, request: Request, status: int, text: str) -> Response:
        title = "That did not work"
        if status == HTTPStatus.NOT_FOUND:
            title, text = "Nothing is here", "No page has this address. Was it cut short?"
        with self._account.lock:
            back = way_back(Visit(self._account.store, request))
        return page("missing.html", status, title=title, text=text, back=back)


@cache
def _map() -> Map:
    rules = [Rule(path, methods=[method], endpoint=act) for method, path, act in _ROUTES]
    return Map(rules, strict_slashes=False, merge_slashes=False)
