"""The stand-in's HTTP API: authentication, idempotency, form encoding and errors as Stripe's, and a few controls.

`/v1/…` is Stripe's API as far as the billing life needs it. `/_control/…` makes happen what at Stripe people, banks
and time do: complete a checkout, renew a subscription, fail for a while, deliver an event once more.
"""

import json
import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from http import HTTPStatus
from threading import RLock
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import HTTPException
from werkzeug.http import http_date
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from local.stripe import billing, forms
from local.stripe.errors import ApiError, invalid
from local.stripe.store import API_VERSION, Object, Store
from local.stripe.webhooks import Webhooks

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

type Route = Callable[..., Object]


class StripeServer:
    """A WSGI application. `public_url` is where a browser finds it."""

    def __init__(self, api_key: str, public_url: str = "http://127.0.0.1:12111") -> None:
        self.api_key = api_key
        self.public_url = public_url
        self.webhooks = Webhooks()
        self.store = Store(self.webhooks.send)
        self.calls: list[tuple[str, str]] = []
        self._lock = RLock()
        self._answers: dict[str, tuple[str, int, Object]] = {}
        self._failures: list[Object] = []
        self._routes = Map([Rule(path, methods=[method], endpoint=route) for method, path, route in self._table()])

    def _table(self) -> Iterable[tuple[str, str, Route]]:
        for kind, path in (
            ("customer", "customers"),
            ("product", "products"),
            ("price", "prices"),
            ("checkout.session", "checkout/sessions"),
            ("subscription", "subscriptions"),
            ("invoice", "invoices"),
            ("invoice_payment", "invoice_payments"),
            ("payment_intent", "payment_intents"),
            ("charge", "charges"),
            ("event", "events"),
        ):
            yield "GET", f"/v1/{path}/<id>", lambda form, id, kind=kind: self.store.get(kind, id)
            yield "GET", f"/v1/{path}", lambda form, kind=kind, path=path: self._list(kind, path, form)
        yield "POST", "/v1/customers", self._create_customer
        yield "POST", "/v1/products", self._create_product
        yield "POST", "/v1/prices", self._create_price
        yield "POST", "/v1/checkout/sessions", self._create_checkout_session
        yield "POST", "/v1/checkout/sessions/<id>/expire", self._on("checkout.session", billing.expire_checkout)
        yield "POST", "/v1/billing_portal/sessions", self._create_portal_session
        yield "POST", "/v1/subscriptions", self._create_subscription
        yield "POST", "/v1/subscriptions/<id>", self._update_subscription
        yield "DELETE", "/v1/subscriptions/<id>", self._on("subscription", billing.cancel_subscription)
        yield "POST", "/v1/invoices/<id>/pay", self._pay_invoice
        yield "POST", "/v1/invoices/<id>/void", self._on("invoice", billing.close_invoice, "void")
        yield (
            "POST",
            "/v1/invoices/<id>/mark_uncollectible",
            self._on("invoice", billing.close_invoice, "uncollectible"),
        )
        yield "POST", "/v1/payment_intents", self._create_payment_intent
        yield "POST", "/v1/payment_intents/<id>/confirm", self._confirm_payment_intent
        yield "POST", "/v1/payment_intents/<id>/cancel", self._on("payment_intent", billing.cancel_intent)
        yield "GET", "/c/pay/<id>", self._hosted_page
        yield "POST", "/_control/checkout_sessions/<id>/complete", self._complete_checkout
        yield "POST", "/_control/checkout_sessions/<id>/settle", self._settle_checkout
        yield "POST", "/_control/subscriptions/<id>/renew", self._renew
        yield "POST", "/_control/events/<id>/deliver", self._deliver
        yield "POST", "/_control/failures", self._fail
        yield "GET", "/_control/deliveries", self._deliveries

    # -- HTTP

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        request = Request(environ)
        try:
            status, body = self._answer(request)
        except ApiError as error:
            status, body = error.status, error.body
        headers = {
            "Request-Id": f"req_{secrets.token_urlsafe(10)}",
            "Stripe-Version": API_VERSION,
            "Date": http_date(self.store.now()),
        }
        response = Response(json.dumps(body), status, headers, content_type="application/json")
        return response(environ, start_response)

    def _answer(self, request: Request) -> tuple[int, Object]:
        try:
            route, values = self._routes.bind_to_environ(request.environ).match()
        except HTTPException as error:
            message = f"Unrecognized request URL ({request.method}: {request.path})."
            raise ApiError(404, "invalid_request_error", message) from error
        pairs = [*request.args.items(multi=True), *request.form.items(multi=True)]
        form = forms.decode(pairs)
        if not request.path.startswith("/v1/"):
            # Waiting for deliveries keeps nobody out: what they wait for may be a call to this very server.
            with nullcontext() if request.method == "GET" else self._lock:
                return 200, route(form, **values)
        self._authenticate(request)
        self.calls.append((request.method, request.path))
        failure = self._failure(request)
        with self._lock:
            status, body = self._once(request, form, failure or (lambda: route(form, **values)))
            return status, self._shown(body, form.get("expand", []))

    def _authenticate(self, request: Request) -> None:
        sent = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if request.authorization and request.authorization.type == "basic":
            sent = request.authorization.username or ""
        if sent != self.api_key:
            raise ApiError(401, "invalid_request_error", "Invalid API Key provided.")

    def _once(self, request: Request, form: Object, act: Callable[[], Object]) -> tuple[int, Object]:
        """The first answer to an idempotency key is the answer. https://docs.stripe.com/api/idempotent_requests"""
        key = request.headers.get("Idempotency-Key")
        if request.method != "POST" or not key:
            return 200, act()
        asked = json.dumps([request.path, form], sort_keys=True)
        if key in self._answers:
            before, status, body = self._answers[key]
            if before != asked:
                message = "Keys for idempotent requests can only be used with the parameters they were first used with."
                raise ApiError(400, "idempotency_error", message)
            return status, body
        try:
            status, body = 200, act()
        except ApiError as error:
            status, body = error.status, error.body
            if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED):
                raise  # a request that was not carried out leaves no answer
        self._answers[key] = asked, status, json.loads(json.dumps(body))
        return status, body

    def _failure(self, request: Request) -> Callable[[], Object] | None:
        """A failure that was asked for. No answer in time: the call takes effect. 429: it is not looked at."""
        with self._lock:
            wanted = next((f for f in self._failures if f["path"] in request.path), None)
            if wanted is None:
                return None
            wanted["count"] -= 1
            if wanted["count"] <= 0:
                self._failures.remove(wanted)
        time.sleep(wanted["seconds"])
        if not wanted["status"]:
            return None
        error = ApiError(wanted["status"], "api_error", "A failure that was asked for.")
        if wanted["status"] == HTTPStatus.TOO_MANY_REQUESTS:
            raise error

        def fail() -> Object:
            raise error

        return fail

    def _shown(self, body: Object, expand: list[str]) -> Object:
        shown = {name: value for name, value in body.items() if not name.startswith("_")}
        for path in expand:
            if path == "payments":
                payments = self.store.all("invoice_payment", invoice=body["id"])
                url = f"/v1/invoices/{body['id']}/payments"
                shown["payments"] = {"object": "list", "data": payments, "has_more": False, "url": url}
            if path == "confirmation_secret":
                shown["confirmation_secret"] = self._confirmation_secret(body)
        return shown

    def _confirmation_secret(self, invoice: Object) -> Object | None:
        payment = billing.payment_of(self.store, invoice)
        if payment is None or invoice["status"] != "open":
            return None
        intent = self.store.get("payment_intent", payment["payment"]["payment_intent"])
        return {"type": "payment_intent", "client_secret": intent["client_secret"]}

    def _list(self, kind: str, path: str, form: Object) -> Object:
        filters = {name: form[name] for name in ("customer", "invoice", "subscription", "type") if name in form}
        found = self.store.all(kind, **filters)
        if "lookup_keys" in form:
            found = [thing for thing in found if thing.get("lookup_key") in form["lookup_keys"]]
        limit = int(form.get("limit", 10))
        data = [self._shown(thing, []) for thing in found[:limit]]
        return {"object": "list", "data": data, "has_more": len(found) > limit, "url": f"/v1/{path}"}

    def _on(self, kind: str, act: Callable[..., Object], *arguments: Any) -> Route:
        return lambda form, id: act(self.store, self.store.get(kind, id), *arguments)

    def _named(self, form: Object, kind: str) -> Object:
        """The object that a parameter names. One that is not there is a bad request, where one in a path is a 404."""
        object_id = _needed(form, kind)
        try:
            return self.store.get(kind, object_id)
        except ApiError as error:
            raise invalid(str(error), kind, code="resource_missing") from error

    # -- Stripe's API

    def _create_customer(self, form: Object) -> Object:
        return self.store.create(
            "customer", email=form.get("email"), name=form.get("name"), metadata=form.get("metadata", {})
        )

    def _create_product(self, form: Object) -> Object:
        return self.store.create("product", name=_needed(form, "name"), active=True, metadata=form.get("metadata", {}))

    def _create_price(self, form: Object) -> Object:
        recurring = form.get("recurring")
        if recurring:
            recurring = {
                "interval_count": 1,
                "usage_type": "licensed",
                "meter": None,
                "trial_period_days": None,
            } | recurring
        return self.store.create(
            "price",
            active=True,
            currency=_needed(form, "currency"),
            lookup_key=form.get("lookup_key"),
            metadata=form.get("metadata", {}),
            product=self._named(form, "product")["id"],
            recurring=recurring,
            type="recurring" if recurring else "one_time",
            unit_amount=int(_needed(form, "unit_amount")),
            unit_amount_decimal=form["unit_amount"],
        )

    def _create_checkout_session(self, form: Object) -> Object:
        if _needed(form, "mode") != "subscription":
            raise invalid("This stand-in knows mode=subscription.", "mode")
        price = self._named(_needed(form, "line_items")[0], "price")
        customer = self._named(form, "customer")
        session = self.store.create(
            "checkout.session",
            mode="subscription",
            status="open",
            payment_status="unpaid",
            customer=customer["id"],
            client_reference_id=form.get("client_reference_id"),
            currency=price["currency"],
            metadata=form.get("metadata", {}),
            success_url=form.get("success_url"),
            cancel_url=form.get("cancel_url"),
            payment_method_types=["card"],
            expires_at=self.store.now() + 24 * 3600,
            _price=price["id"],
            _subscription_data=form.get("subscription_data", {}),
        )
        session["url"] = f"{self.public_url}/c/pay/{session['id']}"
        return session

    def _create_portal_session(self, form: Object) -> Object:
        customer = self._named(form, "customer")
        session = self.store.create(
            "billing_portal.session",
            configuration="bpc_local",
            customer=customer["id"],
            return_url=form.get("return_url"),
        )
        session["url"] = f"{self.public_url}/p/session/{session['id']}"
        return session

    def _create_subscription(self, form: Object) -> Object:
        customer = self._named(form, "customer")
        price = self._named(_needed(form, "items")[0], "price")
        trial_days = int(form.get("trial_period_days", 0))
        subscription = billing.create_subscription(
            self.store, customer["id"], price, form.get("metadata", {}), trial_days
        )
        self.store.emit("customer.subscription.created", subscription)
        invoice = billing.create_invoice(
            self.store, subscription, "subscription_create", amount=0 if trial_days else None
        )
        self.store.emit("invoice.finalized", invoice)
        billing.pay_invoice(self.store, invoice, "pm_card_visa")
        return subscription

    def _update_subscription(self, form: Object, id: str) -> Object:
        return billing.update_subscription(self.store, self.store.get("subscription", id), form)

    def _pay_invoice(self, form: Object, id: str) -> Object:
        return billing.pay_invoice(
            self.store, self.store.get("invoice", id), form.get("payment_method", "pm_card_visa")
        )

    def _create_payment_intent(self, form: Object) -> Object:
        values = {name: form[name] for name in ("customer", "description", "metadata") if name in form}
        return billing.create_intent(self.store, int(_needed(form, "amount")), _needed(form, "currency"), **values)

    def _confirm_payment_intent(self, form: Object, id: str) -> Object:
        intent = self.store.get("payment_intent", id)
        return billing.confirm_intent(self.store, intent, form.get("payment_method", "pm_card_visa"))

    # -- controls

    def _hosted_page(self, form: Object, id: str) -> Object:
        session = self.store.get("checkout.session", id)
        how = f"curl -X POST {self.public_url}/_control/checkout_sessions/{id}/complete"
        return {"checkout_session": id, "status": session["status"], "to_pay_it": how}

    def _complete_checkout(self, form: Object, id: str) -> Object:
        session = self.store.get("checkout.session", id)
        return billing.complete_checkout(self.store, session, form.get("outcome", "paid"))

    def _settle_checkout(self, form: Object, id: str) -> Object:
        session = self.store.get("checkout.session", id)
        return billing.settle_checkout(self.store, session, form.get("outcome", "paid"))

    def _renew(self, form: Object, id: str) -> Object:
        return billing.renew(self.store, self.store.get("subscription", id), form.get("outcome", "paid"))

    def _deliver(self, form: Object, id: str) -> Object:
        event = self.store.get("event", id)
        self.webhooks.send(event)
        return event

    def _fail(self, form: Object) -> Object:
        """The next `count` calls whose path holds `path` get `status` after `seconds` (no status: the answer, late)."""
        failure = {
            "status": int(form.get("status", 0)),
            "count": int(form.get("count", 1)),
            "seconds": float(form.get("seconds", 0)),
            "path": form.get("path", "/"),
        }
        self._failures.append(failure)
        return failure

    def _deliveries(self, form: Object) -> Object:
        return {"idle": self.webhooks.wait_idle(float(form.get("wait", 0))), "data": list(self.webhooks.log)}


def _needed(form: Object, name: str) -> Any:
    if not form.get(name):
        raise invalid(f"Missing required param: {name}.", name, code="parameter_missing")
    return form[name]
