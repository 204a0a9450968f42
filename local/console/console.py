"""The console shows the tenants, Stripe's events and their results on one page, for newcomers and for operators.

It has no special rights. Its buttons call the HTTP API with the tenant's token, as a frontend does, and the stand-in's
controls. It works without JavaScript. With JavaScript, the page updates itself, and messages appear without leaving it.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from markupsafe import Markup
from werkzeug.exceptions import NotFound
from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

from local import scenarios, web
from local.aws.exchanges import Seen
from local.console import events, requests, view
from local.console.actions import Actions
from local.console.sides import Sides
from local.desk import Desk
from local.masks import masked

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
        if request.path == "/console/inside":
            return self._inside(request)
        return web.static(request)

    def _page(self, request: Request) -> Response:
        live = self._state(request).get_data(as_text=True)
        values: dict[str, Any] = {name: request.args.get(name, "")[:600] for name in ("problem", "note", "more")}
        values["note"] = self._returned(request) or values["note"]
        values["live"] = Markup(live)  # noqa: S704 - our own template made it and escaped its values
        values["version"] = _version(live)
        values["now"] = view.stripe_now(self._stack)
        values["scenario"] = None
        if "scenario" in request.args:
            try:
                values["scenario"] = self._scenario(request)
            except scenarios.NoStory as unknown:
                values["problem"] = str(unknown)
        return web.page("console.html", stripe=self._stack.stripe and self._stack.stripe_base, **values)

    def _returned(self, request: Request) -> str:
        """Who comes back from the checkout that the address names; empty if the stand-in does not know it."""
        session = self._stack.stripe and self._stack.stripe.store.find(request.args.get("session", ""))
        if not session or session["object"] != "checkout.session" or session["status"] != "complete":
            return ""
        return f"{session['metadata'].get('tenantId', 'A tenant')} has subscribed."

    def _scenario(self, request: Request) -> dict[str, Any]:
        """The story that the address names, and whether it has been played here. Raises `NoStory`."""
        if not self._stack.stripe:
            raise scenarios.NoStory("This stack uses another Stripe than the stand-in: no story can be played here.")
        name = request.args["scenario"]
        seed = scenarios.seed_of(name, request.args.get("seed", "1"))
        played = scenarios.is_played(self._stack, name, seed)
        return {"name": name, "seed": seed, "played": played, "of": scenarios.SCENARIOS[name]}

    def _live(self, request: Request) -> Response:
        """The part of the page that changes. A reader who already has this version gets 304.

        Stripe's time is in a header, because it is not a part of that version.
        """
        response = self._state(request)
        response.set_etag(_version(response.get_data(as_text=True)))
        response.headers["X-Stripe-Time"] = web.moment(view.stripe_now(self._stack))
        return response.make_conditional(request)

    def _state(self, request: Request) -> Response:
        """What the page shows of the table and of Stripe, without the JSON that the reader may open."""
        asked = view.Filter.of(request.args)
        held = view.held(self._table)
        values: dict[str, Any] = {"held": held, "asked": asked, "view": view, "events": events}
        values["server"] = self._stack.stripe
        values["accounts"] = view.shown(held.accounts, asked)
        values |= {"timeline": events.timeline(self._stack, held, asked), "before": partial(_address, request.args)}
        values |= {"requests": requests.newest(self._stack, held.records, asked), "told": requests}
        values["logs"] = os.path.relpath(self._stack.logs)
        values["reconciled"] = self._stack.runtimes["ReconcileStripeFunction"].last
        values["scenarios"] = scenarios.SCENARIOS
        values["story"] = [(name, request.args[name]) for name in ("scenario", "seed") if name in request.args]
        values["announcements"] = [one for one in self._announced().values() if asked.takes_tenant(one["tenantId"])]
        return web.page("console_live.html", **values)

    def _announced(self) -> dict[str, dict[str, Any]]:
        """The stream delivers each write at least once. So this code, like any consumer, drops equal ids."""
        return {one["id"]: one for one in self._stack.announcements}

    def _inside(self, request: Request) -> Response:
        """What one row or item holds, loaded when the reader opens it. Raises `NotFound`."""
        kind, named = request.args.get("kind", ""), request.args.get("id", "")
        side = None
        handled: list[Seen] = []
        match kind:
            case "item":
                found: Any = view.item(self._table, named)
                side = self._sides.of_item(found) if found else None
            case "sides":
                found = self._sides.of_tenant(named)
            case "event":
                found = next((r for r in events.rows(self._stack, view.held(self._table)) if r.id == named), None)
                handled = self._stack.exchanges.of_event(named)
            case "request":
                found = self._stack.exchanges.find(named)
                handled = [found] if found else []
            case "announcement":
                found = self._announced().get(named)
            case _:
                found = None
        if found is None:
            raise NotFound
        values: dict[str, Any] = {
            "log": requests.log(handled),
            "stderr": requests.stderr(handled),
            "at_work": partial(requests.at_work, self._stack),
            "logs": os.path.relpath(self._stack.logs),
            "told": requests,
            "side": side,
            "named": named,
        }
        return web.page("console_inside.html", kind=kind, found=found, json=_json, view=view, events=events, **values)

    @cached_property
    def _sides(self) -> Sides:
        return Sides(self._stack)

    @cached_property
    def _table(self) -> "DynamoDBClient":
        return self._stack.aws.dynamodb()

    # -- actions

    def _act(self, request: Request) -> Response:
        """A script gets what was said as JSON. A browser without JavaScript goes to the page that says it."""
        name = request.path.removeprefix(_ACTION)
        if name == request.path or name not in self._actions:
            raise NotFound
        said = self._actions.act(name, request.form.to_dict(), _here(request))
        if request.accept_mimetypes.best == "application/json":
            return Response(json.dumps(asdict(said)), content_type="application/json")
        return redirect(said.address, 303)

    @cached_property
    def _actions(self) -> Actions:
        return Actions(self._stack)


def _here(request: Request) -> str:
    """The page of the console that the reader was on, with its filter and its story."""
    before = request.referrer or ""
    return before.partition("#")[0] if before.startswith(request.host_url) else request.host_url


def _address(asked: Mapping[str, str], before: str = "") -> str:
    """The events that are older than `before`, or the newest, with the filter and the story that the reader has."""
    kept = {name: asked[name] for name in ("tenant", "type", "outcome", "scenario", "seed") if asked.get(name)}
    query = urlencode(kept | ({"before": before} if before else {}))
    return f"/{'?' if query else ''}{query}#timeline"


def _version(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _json(value: Any) -> str:
    return masked(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def _text(status: int, words: str) -> Response:
    return Response(words, status, {"X-Content-Type-Options": "nosniff"}, content_type="text/plain; charset=utf-8")
