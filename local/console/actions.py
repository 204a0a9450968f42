"""What the console's buttons do: a frontend's calls of the HTTP API, and the stand-in's controls.

An action takes the form and answers where the browser goes next.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

import requests

from billing.domain.caller import ADMIN_SCOPE
from billing.domain.ids import is_id
from local.desk import Desk

type Form = Mapping[str, str]

_TIMEOUT: Final = 600  # seconds; a busy machine is no reason to give up
_STRIPE_ID: Final = re.compile(r"[A-Za-z0-9_]{1,255}")

# The stand-in's controls, the fields that they take, and what the reader is told afterwards.
_CONTROLS: Final[Mapping[str, tuple[tuple[str, ...], str]]] = {
    "clock": (("days",), "Time has moved; things that became due on the way: {happened}."),
    "weather": (("copies", "late", "lost", "shuffled", "down"), "The weather is set."),
    "failures": (("status", "count", "seconds"), "The next {count} calls of Stripe's API are answered badly."),
    "dunning": (("ends",), "Where dunning ends is set: {ends}."),
}


class Refused(Exception):
    """Why nothing was done, in words for the reader."""


class Actions:
    """`here`: the console's own address, as the browser knows it, for Stripe's pages to come back to."""

    def __init__(self, stack: Desk) -> None:
        self._stack = stack
        self._actions: dict[str, Callable[[Form, str], str]] = {
            "checkout": self._checkout,
            "portal": self._portal,
            "pay": self._pay,
            "reconcile": self._reconcile,
        }
        if stack.stripe:
            self._actions |= {"deliver": self._deliver, "roll-secret": self._roll_secret}
            self._actions |= {name: self._control(name) for name in _CONTROLS}

    def __contains__(self, name: str) -> bool:
        return name in self._actions

    def act(self, name: str, form: Form, here: str) -> str:
        """Where to go next: on to Stripe, or back to the page with a word about what was done or refused."""
        try:
            return self._actions[name](form, here)
        except Refused as refused:
            return back(problem=str(refused)[:500])

    # -- as a frontend does

    def _checkout(self, form: Form, here: str) -> str:
        wanted = {"tenantId": form.get("tenantId", "").strip(), "planId": form.get("planId", "")}
        return str(self._api(form, "stripe/checkout", wanted)["sessionUrl"])

    def _portal(self, form: Form, here: str) -> str:
        wanted = {"customerId": form.get("customerId", ""), "returnUrl": here}
        return str(self._api(form, "stripe/portal", wanted)["portalUrl"])

    def _pay(self, form: Form, here: str) -> str:
        invoice_id = quote(form.get("invoiceId", ""), safe="")
        secret = str(self._api(form, f"invoices/{invoice_id}/payment-intent")["clientSecret"])
        intent_id = secret.partition("_secret_")[0]
        if self._stack.stripe is None:
            return back(note=f"{intent_id} is ready: with its client secret a frontend confirms it by Stripe.js.")
        query = urlencode({"client_secret": secret, "return_url": here})
        return f"{self._stack.stripe_base}/pay/{intent_id}?{query}"

    def _api(self, form: Form, path: str, wanted: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Calls the stack's API with the tenant's own token. Raises `Refused` with the problem document's words."""
        tenant_id = form.get("tenantId", "").strip()
        if not is_id(tenant_id):
            raise Refused("A tenant's id has 1 to 64 characters of A-Z a-z 0-9 _ -.")
        headers = {"Authorization": f"Bearer {self._stack.token(tenant_id)}"}
        return _post(f"{self._stack.api_url}/api/v1/billing/{path}", headers=headers, json=wanted)

    def _reconcile(self, form: Form, here: str) -> str:
        """As an operator."""
        headers = {"Authorization": f"Bearer {self._stack.token(None, ADMIN_SCOPE)}"}
        _post(f"{self._stack.api_url}/api/v1/billing/stripe/reconcile", headers=headers)
        return back("controls", note="The table is being compared with Stripe; what was missed appears in a moment.")

    # -- as people, time and bad days do at Stripe

    def _control(self, name: str) -> Callable[[Form, str], str]:
        fields, told = _CONTROLS[name]

        def act(form: Form, _here: str) -> str:
            given = {field: form[field] for field in fields if form.get(field)}
            answer = _post(f"{self._stack.stripe_base}/_control/{name}", data=given)
            return back("controls", note=told.format_map(answer))

        return act

    def _deliver(self, form: Form, here: str) -> str:
        event_id = form.get("eventId", "")
        if not _STRIPE_ID.fullmatch(event_id):
            raise Refused("This is no event's id.")
        _post(f"{self._stack.stripe_base}/_control/events/{event_id}/deliver")
        return back("timeline", note=f"{event_id} is on its way again.")

    def _roll_secret(self, form: Form, here: str) -> str:
        self._stack.roll_webhook_secret()
        return back("controls", note="The webhook secret is rolled; the one before stays valid beside it.")


def back(section: str = "", **said: str) -> str:
    """The page, with a word (`problem` or `note`) for the reader."""
    return f"/?{urlencode(said)}" + (f"#{section}" if section else "")


def _post(url: str, **request: Any) -> dict[str, Any]:
    """The answer's JSON. Raises `Refused`."""
    try:
        answer = requests.post(url, timeout=_TIMEOUT, **request)
    except requests.RequestException as error:
        raise Refused(f"There was no answer: {error}") from error
    try:
        body: dict[str, Any] = answer.json()
    except ValueError:
        raise Refused(f"{answer.status_code} {answer.reason}") from None
    if not answer.ok:
        raise Refused(f"{answer.status_code} {_words(body)}")
    return body


def _words(body: Mapping[str, Any]) -> str:
    """Of a problem document, of API Gateway's message, or of Stripe's error."""
    if "title" in body:
        return f"{body['title']}: {body.get('detail', '')} ({body.get('requestId')}; logs in .local/logs)"
    return str(body.get("message") or (body.get("error") or {}).get("message") or body)
