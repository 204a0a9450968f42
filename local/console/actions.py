"""The actions of the console's buttons: calls of the HTTP API, like a frontend's, and the stand-in's controls.

An action takes the form and returns the address to which the browser goes next.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

import requests

from billing.domain.caller import DEFAULT_ADMIN_SCOPE
from billing.domain.ids import is_id
from local.desk import Desk

type Form = Mapping[str, str]

_TIMEOUT: Final = 600  # seconds; long, so that a busy machine causes no failure
_STRIPE_ID: Final = re.compile(r"[A-Za-z0-9_]{1,255}")

# The stand-in's controls: name -> (the fields of the form, the message to the reader after the action).
_CONTROLS: Final[Mapping[str, tuple[tuple[str, ...], str]]] = {
    "clock": (("days",), "Time has moved. Number of actions that became due: {happened}."),
    "weather": (("copies", "late", "lost", "shuffled", "down"), "The weather is set."),
    "failures": (("status", "count", "seconds"), "The next {count} calls of Stripe's API fail."),
    "dunning": (("ends",), "After the last failed charge, a subscription now becomes: {ends}."),
}


class Refused(Exception):
    """The action was not done. The message explains the reason to the reader."""


class Actions:
    """`here` is the console's own address in the browser. Stripe's pages lead back to it."""

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
        """Does the action and returns the next address.

        This is a page of Stripe, or the console with a message about what was done or refused.
        """
        try:
            return self._actions[name](form, here)
        except Refused as refused:
            return back(problem=str(refused)[:500])

    # -- calls that a frontend makes

    def _checkout(self, form: Form, here: str) -> str:
        body = {"tenantId": form.get("tenantId", "").strip(), "planId": form.get("planId", "")}
        return str(self._api(form, "stripe/checkout", body)["sessionUrl"])

    def _portal(self, form: Form, here: str) -> str:
        body = {"customerId": form.get("customerId", ""), "returnUrl": here}
        return str(self._api(form, "stripe/portal", body)["portalUrl"])

    def _pay(self, form: Form, here: str) -> str:
        invoice_id = quote(form.get("invoiceId", ""), safe="")
        secret = str(self._api(form, f"invoices/{invoice_id}/payment-intent")["clientSecret"])
        intent_id = secret.partition("_secret_")[0]
        if self._stack.stripe is None:
            return back(note=f"{intent_id} is ready. A frontend confirms it with Stripe.js and its client secret.")
        query = urlencode({"client_secret": secret, "return_url": here})
        return f"{self._stack.stripe_base}/pay/{intent_id}?{query}"

    def _api(self, form: Form, path: str, body: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Calls the stack's API with the tenant's own token. Raises `Refused` with the text of the problem document."""
        tenant_id = form.get("tenantId", "").strip()
        if not is_id(tenant_id):
            raise Refused("A tenant's id has 1 to 64 characters of A-Z a-z 0-9 _ -.")
        headers = {"Authorization": f"Bearer {self._stack.token(tenant_id)}"}
        return _post(f"{self._stack.api_url}/api/v1/billing/{path}", headers=headers, json=body)

    def _reconcile(self, form: Form, here: str) -> str:
        """Calls the API with an operator's token."""
        headers = {"Authorization": f"Bearer {self._stack.token(None, DEFAULT_ADMIN_SCOPE)}"}
        _post(f"{self._stack.api_url}/api/v1/billing/stripe/reconcile", headers=headers)
        return back("controls", note="The table is being compared with Stripe; missed changes appear in a moment.")

    # -- what people, the passing of time and failures do at Stripe

    def _control(self, name: str) -> Callable[[Form, str], str]:
        fields, message = _CONTROLS[name]

        def act(form: Form, _here: str) -> str:
            given = {field: form[field] for field in fields if form.get(field)}
            answer = _post(f"{self._stack.stripe_base}/_control/{name}", data=given)
            return back("controls", note=message.format_map(answer))

        return act

    def _deliver(self, form: Form, here: str) -> str:
        event_id = form.get("eventId", "")
        if not _STRIPE_ID.fullmatch(event_id):
            raise Refused("This is not the id of an event.")
        _post(f"{self._stack.stripe_base}/_control/events/{event_id}/deliver")
        return back("timeline", note=f"{event_id} is being delivered again.")

    def _roll_secret(self, form: Form, here: str) -> str:
        self._stack.roll_webhook_secret()
        return back("controls", note="The webhook secret is rolled; the previous one stays valid too.")


def back(section: str = "", **message: str) -> str:
    """The address of the console's page, with a message (`problem` or `note`) for the reader."""
    return f"/?{urlencode(message)}" + (f"#{section}" if section else "")


def _post(url: str, **request: Any) -> dict[str, Any]:
    """Returns the JSON of the answer. Raises `Refused`."""
    try:
        answer = requests.post(url, timeout=_TIMEOUT, **request)
    except requests.RequestException as error:
        raise Refused(f"The server did not answer: {error}") from error
    try:
        body: dict[str, Any] = answer.json()
    except ValueError:
        raise Refused(f"{answer.status_code} {answer.reason}") from None
    if not answer.ok:
        raise Refused(f"{answer.status_code} {_words(body)}")
    return body


def _words(body: Mapping[str, Any]) -> str:
    """The text of a problem document, of a message of API Gateway, or of an error of Stripe."""
    if "title" in body:
        return f"{body['title']}: {body.get('detail', '')} ({body.get('requestId')}; logs in .local/logs)"
    return str(body.get("message") or (body.get("error") or {}).get("message") or body)
