"""The actions of the console's buttons: calls of the HTTP API, like a frontend's, and the stand-in's controls.

An action takes the form and answers with the page to which the browser goes next, or with a message to the reader.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

import requests

from billing.domain.caller import DEFAULT_ADMIN_SCOPE
from billing.domain.ids import is_id
from local import scenarios
from local.desk import Desk

type Form = Mapping[str, str]

_TIMEOUT: Final = 600  # seconds; long, so that a busy machine causes no failure
_STRIPE_ID: Final = re.compile(r"[A-Za-z0-9_]{1,255}")

# The stand-in's controls: name -> (the fields of the form, the message to the reader after the action).
_CONTROLS: Final[Mapping[str, tuple[tuple[str, ...], str]]] = {
    "clock": (("days",), "Time has moved; {happened} due on the way."),
    "weather": (("copies", "late", "lost", "shuffled", "down"), "The weather is set."),
    "failures": (("status", "count", "seconds"), "The next {count} calls of Stripe's API fail."),
    "dunning": (("ends",), "After the last failed charge, a subscription now becomes {ends}."),
}


@dataclass(frozen=True)
class Said:
    """`go`: the page that the browser goes to. Otherwise a `note` about what was done, or the `problem` why it was not.

    `more`: what stands behind a problem: the status, the type, the id of the request.
    `at`: the part of the page that the form stands in.
    """

    go: str = ""
    note: str = ""
    problem: str = ""
    more: str = ""
    at: str = ""

    @property
    def address(self) -> str:
        """Where a browser without JavaScript goes."""
        message = {name: getattr(self, name)[:500] for name in ("note", "problem", "more") if getattr(self, name)}
        return self.go or f"/?{urlencode(message)}" + (f"#{self.at}" if self.at else "")


class Refused(Exception):
    """The action was not done. The message tells the reader why and what to do; `more` is what stands behind it."""

    def __init__(self, message: str, more: str = "") -> None:
        super().__init__(message)
        self.more = more


class Actions:
    """`here` is the console's own address in the browser. Stripe's pages lead back to it."""

    def __init__(self, stack: Desk) -> None:
        self._stack = stack
        self._actions: dict[str, Callable[[Form, str], Said]] = {
            "checkout": self._checkout,
            "portal": self._portal,
            "pay": self._pay,
            "reconcile": self._reconcile,
        }
        if stack.stripe:
            self._actions |= {"deliver": self._deliver, "roll-secret": self._roll_secret, "reset": self._reset}
            self._actions |= {"scenario": self._scenario}
            self._actions |= {name: self._control(name) for name in _CONTROLS}

    def __contains__(self, name: str) -> bool:
        return name in self._actions

    def act(self, name: str, form: Form, here: str) -> Said:
        try:
            return self._actions[name](form, here)
        except Refused as refused:
            return Said(problem=str(refused), more=refused.more, at=_PLACES.get(name, "controls"))

    # -- calls that a frontend makes

    def _checkout(self, form: Form, here: str) -> Said:
        body = {"tenantId": form.get("tenantId", "").strip(), "planId": form.get("planId", "")}
        return Said(go=str(self._api(form, "stripe/checkout", body)["sessionUrl"]))

    def _portal(self, form: Form, here: str) -> Said:
        body = {"customerId": form.get("customerId", ""), "returnUrl": here}
        return Said(go=str(self._api(form, "stripe/portal", body)["portalUrl"]))

    def _pay(self, form: Form, here: str) -> Said:
        invoice_id = quote(form.get("invoiceId", ""), safe="")
        secret = str(self._api(form, f"invoices/{invoice_id}/payment-intent")["clientSecret"])
        intent_id = secret.partition("_secret_")[0]
        if self._stack.stripe is None:
            return Said(note=f"{intent_id} is ready. A frontend confirms it with Stripe.js and its client secret.")
        query = urlencode({"client_secret": secret, "return_url": here})
        return Said(go=f"{self._stack.stripe_base}/pay/{intent_id}?{query}")

    def _call(self, path: str, token: str, body: Mapping[str, str] | None = None) -> dict[str, Any]:
        url = f"{self._stack.api_url}/api/v1/billing/{path}"
        logs = os.path.relpath(self._stack.logs)
        return _post(url, logs, headers={"Authorization": f"Bearer {token}"}, json=body)

    def _api(self, form: Form, path: str, body: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Calls the stack's API with the tenant's own token. Raises `Refused` with the text of the problem document."""
        tenant_id = form.get("tenantId", "").strip()
        if not is_id(tenant_id):
            raise Refused("A tenant's id has 1 to 64 characters of A-Z a-z 0-9 _ -.")
        return self._call(path, self._stack.token(tenant_id), body)

    def _reconcile(self, form: Form, here: str) -> Said:
        """Calls the API with an operator's token."""
        self._call("stripe/reconcile", self._stack.token(None, DEFAULT_ADMIN_SCOPE))
        return Said(note="The table is being compared with Stripe. The card shows the result.", at="reconcile")

    # -- what people, the passing of time and failures do at Stripe

    def _control(self, name: str) -> Callable[[Form, str], Said]:
        fields, message = _CONTROLS[name]

        def act(form: Form, _here: str) -> Said:
            given = {field: form[field] for field in fields if form.get(field)}
            answer = _post(f"{self._stack.stripe_base}/_control/{name}", data=given)
            if "happened" in answer:
                answer["happened"] = _number(answer["happened"], "action was", "actions were")
            return Said(note=message.format_map(answer), at=name)

        return act

    def _deliver(self, form: Form, here: str) -> Said:
        event_id = form.get("eventId", "")
        if not _STRIPE_ID.fullmatch(event_id):
            raise Refused("This is not the id of an event.")
        _post(f"{self._stack.stripe_base}/_control/events/{event_id}/deliver")
        return Said(note=f"{event_id} is being delivered again.", at=f"event-{event_id}")

    def _scenario(self, form: Form, here: str) -> Said:
        name = form.get("scenario", "")
        try:
            seed = scenarios.seed_of(name, form.get("seed") or "1")
            tenant = scenarios.play(self._stack, name, seed)
        except scenarios.NoStory as unknown:
            raise Refused(str(unknown)) from unknown
        except scenarios.Played as there:
            raise Refused(f"{there} Choose another seed, or reset everything.") from there
        except scenarios.NotPlayed as error:
            raise Refused("The story could not be played to its end.", str(error)) from error
        return Said(go=f"/?{urlencode({'scenario': name, 'seed': seed, 'tenant': tenant})}")

    def _roll_secret(self, form: Form, here: str) -> Said:
        self._stack.roll_webhook_secret()
        return Said(note="The webhook secret is rolled. The previous one stays valid, too.", at="roll-secret")

    def _reset(self, form: Form, here: str) -> Said:
        self._stack.reset()
        return Said(note="Everything is as it was after the start.", at="reset")


# The part of the page to which a browser without JavaScript returns, for actions of which the console has several.
_PLACES: Final[Mapping[str, str]] = {
    "checkout": "tenants",
    "portal": "tenants",
    "pay": "tenants",
    "deliver": "timeline",
}


def _number(count: int, one: str, several: str) -> str:
    return f"{count} {one if count == 1 else several}"


def _post(url: str, logs: str = "", **request: Any) -> dict[str, Any]:
    """Returns the JSON of the answer. Raises `Refused`."""
    try:
        answer = requests.post(url, timeout=_TIMEOUT, **request)
    except requests.RequestException as error:
        raise Refused("The server did not answer. Is the stack still running?", str(error)) from error
    try:
        body: dict[str, Any] = answer.json()
    except ValueError:
        raise Refused("The server did not answer in JSON.", f"{answer.status_code} {answer.reason}") from None
    if not answer.ok:
        raise Refused(*_words(answer.status_code, body, logs))
    return body


def _words(status: int, body: Mapping[str, Any], logs: str) -> tuple[str, str]:
    """The text of a problem document, of a message of API Gateway, or of an error of Stripe; and what is behind it."""
    if "title" in body:
        problem = str(body.get("type", "")).rpartition(":")[2]
        behind = f"{status} {problem}, request {body.get('requestId')}. The function's log is in {logs}."
        return f"{body['title']}. {body.get('detail', '')}".strip(), behind
    return str(body.get("message") or (body.get("error") or {}).get("message") or body), str(status)
