"""The console shows the tenants, Stripe's events and their results on one page, for newcomers and for operators.

It has no special rights. Its buttons call the HTTP API with the tenant's token, as a frontend does, and the stand-in's
controls. It works without JavaScript. With JavaScript, the page updates itself.
"""

import hashlib
import json
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup
from werkzeug.exceptions import NotFound
from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

from local import web
from local.console import view
from local.console.actions import Actions
from local.desk import Desk

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


_ACTION: Final = "/console/"


class Console:
    """Answers every path of the gateway that does not belong to the API. It needs a running stack."""

    def __init__(self, stack: Desk) -> None:
        self._stack = stack

    def answer(self, request: Request) -> Response:
        try:
            return self._act(request) if request.method == "POST" else self._show(request)
        except NotFound:
            return _text(404, "There is no such page.")

    # -- reading

    def _show(self, request: Request) -> Response:
        if request.path == "/":
            return self._page(request)
        if request.path == "/console/state":
            return self._live(request)
        return web.static(request)

    def _page(self, request: Request) -> Response:
        live = self._state().get_data(as_text=True)
        values: dict[str, Any] = {name: request.args.get(name, "")[:600] for name in ("problem", "note")}
        values["live"] = Markup(live)  # noqa: S704 - our own template made it and escaped its values
        values["version"] = _version(live)
        values["now"] = view.stripe_now(self._stack)
        return web.page("console.html", stripe=self._stack.stripe and self._stack.stripe_base, **values)

    def _live(self, request: Request) -> Response:
        """The part of the page that changes. A reader who already has this version gets 304.

        Stripe's time is in a header, because it is not a part of that version.
        """
        response = self._state()
        response.set_etag(_version(response.get_data(as_text=True)))
        response.headers["X-Stripe-Time"] = web.moment(view.stripe_now(self._stack))
        return response.make_conditional(request)

    def _state(self) -> Response:
        held = view.held(self._table)
        values: dict[str, Any] = {"held": held, "timeline": view.timeline(self._stack, held.records)}
        # The stream delivers each write at least once. So this code, like any consumer, drops equal ids.
        values["announcements"] = list({one["id"]: one for one in self._stack.announcements}.values())
        return web.page("console_live.html", server=self._stack.stripe, json=_json, view=view, **values)

    @cached_property
    def _table(self) -> "DynamoDBClient":
        return self._stack.aws.dynamodb()

    # -- actions

    def _act(self, request: Request) -> Response:
        name = request.path.removeprefix(_ACTION)
        if name == request.path or name not in self._actions:
            raise NotFound
        return redirect(self._actions.act(name, request.form.to_dict(), request.host_url), 303)

    @cached_property
    def _actions(self) -> Actions:
        return Actions(self._stack)


def _version(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def _text(status: int, words: str) -> Response:
    return Response(words, status, {"X-Content-Type-Options": "nosniff"}, content_type="text/plain; charset=utf-8")
