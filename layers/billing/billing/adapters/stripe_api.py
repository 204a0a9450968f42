"""The few calls of Stripe that billing makes, in plain values, and what their failures mean.

Only this module and `stripe_http` import stripe. A call either changes nothing or carries an idempotency key. One
attempt takes at most CONNECT_SECONDS + READ_SECONDS, and the SDK repeats it once with the same key. A call does not
begin if the invocation could end before the call does.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache
from hashlib import sha256
from http import HTTPStatus
from json import dumps, loads
from math import ceil
from operator import attrgetter
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import stripe
from aws_lambda_powertools.metrics import MetricUnit

from billing import clock, deadline
from billing.adapters.stripe_http import Urllib3Client
from billing.domain.order import FetchedKind, Snapshot
from billing.errors import (
    CardDeclined,
    CustomerGone,
    StripeFailed,
    StripeNotFound,
    StripeRateLimited,
    StripeRejected,
    StripeUnavailable,
)
from billing.observability import logger, metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECT_SECONDS: Final = 1.0
READ_SECONDS: Final = 4.0
RETRIES: Final = 1
BACKOFF_SECONDS: Final = 1.0  # the SDK sleeps at most this long before its first retry
WORST_CASE_SECONDS: Final = (CONNECT_SECONDS + READ_SECONDS) * (1 + RETRIES) + BACKOFF_SECONDS * RETRIES
RETRY_AFTER_SECONDS: Final = 5
PAGE: Final = 100  # of a list, the most that Stripe gives at once
EXPANDED_PAGE: Final = 50  # with other objects in it: fewer, so that Stripe answers within READ_SECONDS

_WRITE, _READ = "Write", "Read"
# What a restricted key must be allowed for each call, as Stripe's dashboard names it. docs/deployment.md lists the
# same, and `make stripe-setup CHECK=1` tries it. https://docs.stripe.com/keys/restricted-api-keys
PERMISSIONS: Final[Mapping[str, tuple[str, str]]] = {
    "customers.create": ("Customers", _WRITE),
    "customers.retrieve": ("Customers", _WRITE),
    "checkout.sessions.create": ("Checkout Sessions", _WRITE),
    "checkout.sessions.retrieve": ("Checkout Sessions", _WRITE),
    "checkout.sessions.expire": ("Checkout Sessions", _WRITE),
    "checkout.sessions.list": ("Checkout Sessions", _WRITE),
    "billing_portal.sessions.create": ("Customer portal", _WRITE),
    "payment_intents.create": ("PaymentIntents", _WRITE),
    "payment_intents.retrieve": ("PaymentIntents", _WRITE),
    "payment_intents.update": ("PaymentIntents", _WRITE),
    "payment_intents.cancel": ("PaymentIntents", _WRITE),
    "payment_intents.list": ("PaymentIntents", _WRITE),
    "prices.retrieve": ("Prices", _READ),
    "subscriptions.retrieve": ("Subscriptions", _READ),
    "subscriptions.list": ("Subscriptions", _READ),
    "invoices.retrieve": ("Invoices", _READ),
    "invoices.list": ("Invoices", _READ),
    "invoices.line_items.list": ("Invoices", _READ),
    "charges.retrieve": ("Charges", _READ),
    "charges.list": ("Charges", _READ),
    "disputes.list": ("Disputes", _READ),
    "events.retrieve": ("Events", _READ),
    "events.list": ("Events", _READ),
}

type Page = tuple[list[dict[str, Any]], bool]

stripe.enable_telemetry = False  # it writes a file under the home folder; a Lambda has none


@dataclass(frozen=True)
class Session:
    id: str
    status: str
    url: str | None


@dataclass(frozen=True)
class PaymentIntent:
    id: str
    status: str
    client_secret: str
    amount: int


@dataclass(frozen=True)
class Price:
    """`amount` in minor units. None where Stripe computes it (tiers, fractions of a minor unit)."""

    id: str
    amount: int | None
    currency: str
    interval: str | None
    interval_count: int
    active: bool


def idempotency_key(scope: str, parameters: Mapping[str, Any]) -> str:
    """`scope` plus a hash of the parameters, because Stripe refuses a key that comes again with other parameters."""
    return f"{scope}-{sha256(dumps(parameters, sort_keys=True).encode()).hexdigest()[:16]}"


@cache
def http_client(time_limit_factor: float) -> Urllib3Client:
    """One for a process: a rotated key keeps the connections. It needs no key, so it can be made before one is read."""
    return Urllib3Client(CONNECT_SECONDS * time_limit_factor, READ_SECONDS * time_limit_factor)


def prepare(services: Sequence[str]) -> None:
    """Loads Stripe's authorities, and what the SDK loads at the first call of a service. Makes no call."""
    http_client(1)
    found = stripe.StripeClient("sk_none").v1
    for name in services:
        attrgetter(name)(found)


class StripeApi:
    """Raises `StripeNotFound`, `CustomerGone`, `StripeUnavailable`, `StripeRateLimited`, `StripeRejected`,
    `CardDeclined`.
    """

    def __init__(self, api_key: str, base: str, *, time_limit_factor: float = 1) -> None:
        self._client = stripe.StripeClient(
            api_key,
            base_addresses={"api": base},
            http_client=http_client(time_limit_factor),
            max_network_retries=RETRIES,
        )
        self._v1 = self._client.v1

    # -- customers

    def create_customer(self, tenant_id: str, attempt: int) -> str:
        """For at least 24 hours, the same attempt gives the same customer."""
        parameters: Any = {"metadata": {"tenantId": tenant_id}}
        with _calling("customers.create"):
            key = idempotency_key(f"customer-{tenant_id}-{attempt}", parameters)
            return self._v1.customers.create(parameters, {"idempotency_key": key}).id

    def customer_tenant(self, customer_id: str) -> str | None:
        """The tenant that the metadata of Stripe's customer names. A deleted customer raises `StripeNotFound`."""
        with _calling("customers.retrieve"):
            customer = self._v1.customers.retrieve(customer_id).to_dict()
        if customer.get("deleted"):
            raise StripeNotFound("Stripe's customer was deleted.")
        return (customer.get("metadata") or {}).get("tenantId")

    # -- checkout and portal

    def create_checkout_session(self, parameters: Mapping[str, Any], scope: str) -> Session:
        with _calling("checkout.sessions.create"):
            key = idempotency_key(scope, parameters)
            return _session(self._v1.checkout.sessions.create(parameters, {"idempotency_key": key}))  # type: ignore[arg-type]

    def checkout_session(self, session_id: str) -> Session:
        with _calling("checkout.sessions.retrieve"):
            return _session(self._v1.checkout.sessions.retrieve(session_id))

    def expire_checkout_session(self, session_id: str) -> None:
        """Each call has a new key (the SDK makes it). Under a lasting key Stripe would keep a failure for a day."""
        with _calling("checkout.sessions.expire"):
            self._v1.checkout.sessions.expire(session_id)

    def create_portal_session(self, customer_id: str, return_url: str, configuration: str | None) -> str:
        """Without a configuration the account's default one is used."""
        parameters: Any = {"customer": customer_id, "return_url": return_url}
        parameters |= {"configuration": configuration} if configuration else {}
        with _calling("billing_portal.sessions.create"):
            return self._v1.billing_portal.sessions.create(parameters).url

    # -- prices, PaymentIntents, invoices

    def price(self, price_id: str) -> Price:
        with _calling("prices.retrieve"):
            price = self._v1.prices.retrieve(price_id).to_dict()
        recurring = price.get("recurring") or {}
        return Price(
            id=price["id"],
            amount=price.get("unit_amount"),
            currency=price["currency"],
            interval=recurring.get("interval"),
            interval_count=recurring.get("interval_count") or 1,
            active=price["active"],
        )

    def create_payment_intent(self, parameters: Mapping[str, Any], scope: str) -> PaymentIntent:
        with _calling("payment_intents.create"):
            key = idempotency_key(scope, parameters)
            return _intent(self._v1.payment_intents.create(parameters, {"idempotency_key": key}))  # type: ignore[arg-type]

    def payment_intent(self, payment_intent_id: str) -> PaymentIntent:
        with _calling("payment_intents.retrieve"):
            return _intent(self._v1.payment_intents.retrieve(payment_intent_id))

    def change_amount(self, payment_intent_id: str, amount: int) -> PaymentIntent:
        """`amount` in minor units. Only a PaymentIntent that can still be paid takes another amount."""
        with _calling("payment_intents.update"):
            return _intent(self._v1.payment_intents.update(payment_intent_id, {"amount": amount}))

    def cancel_payment_intent(self, payment_intent_id: str) -> None:
        with _calling("payment_intents.cancel"):
            self._v1.payment_intents.cancel(payment_intent_id)

    def invoice_secret(self, invoice_id: str) -> tuple[str, str | None]:
        """The status of Stripe's invoice, and the client secret that pays it (None if nothing is to be paid)."""
        with _calling("invoices.retrieve"):
            invoice = self._v1.invoices.retrieve(invoice_id, {"expand": ["confirmation_secret"]}).to_dict()
        return invoice["status"], (invoice.get("confirmation_secret") or {}).get("client_secret")

    # -- the present state of one object

    def fetch(self, kind: FetchedKind, object_id: str) -> Snapshot:
        """An object as Stripe has it now. Its interval is the time of the request on Stripe's own clock.

        Stripe read the object after the request began and before it wrote the response's `Date`. So the interval ends
        at this `Date`, and begins as many seconds earlier as the request took, rounded up.

        A charge that was disputed has its disputes in `disputes`, which is no field of Stripe's. A PaymentIntent that
        an open invoice waits for has its charges in `charges`, as it had before API version 2022-11-15.
        """
        retrieve: dict[FetchedKind, Callable[[], Any]] = {
            "subscription": lambda: self._v1.subscriptions.retrieve(object_id),
            "invoice": lambda: self._v1.invoices.retrieve(
                object_id, {"expand": ["payments.data.payment.payment_intent"]}
            ),
            "payment_intent": lambda: self._v1.payment_intents.retrieve(
                object_id, {"expand": ["latest_charge.refunds"]}
            ),
            "charge": lambda: self._v1.charges.retrieve(object_id, {"expand": ["refunds"]}),
        }
        began = monotonic()
        with _calling(f"{kind}s.retrieve"):
            answer = retrieve[kind]()
        found = loads(answer.last_response.body)
        if kind == "invoice" and found["lines"]["has_more"]:
            answer, found["lines"] = self._lines(object_id)
        for intent in _awaited(found) if kind == "invoice" else ():
            answer, intent["charges"] = self._charges(intent["id"])
        charge = found if kind == "charge" else found.get("latest_charge")
        if isinstance(charge, dict) and charge.get("disputed"):
            answer, charge["disputes"] = self._disputes(charge["id"])
        took = monotonic() - began
        read_by = parsedate_to_datetime(answer.last_response.headers["date"]).timestamp()
        return Snapshot(found, clock.iso(read_by - ceil(took)), clock.iso(read_by))

    def _lines(self, invoice_id: str) -> tuple[Any, dict[str, Any]]:
        """All lines of an invoice, which shows only the first of them."""
        lines: list[Any] = []
        more = True
        while more:
            asked: Any = {"limit": PAGE} | ({"starting_after": lines[-1]["id"]} if lines else {})
            with _calling("invoices.line_items.list"):
                answer: Any = self._v1.invoices.line_items.list(invoice_id, asked)
            page, more = _page(answer)
            lines += page
        return answer, {"data": lines, "has_more": False}

    def _charges(self, payment_intent_id: str) -> tuple[Any, dict[str, Any]]:
        """One for each attempt of which the customer's bank was asked. https://docs.stripe.com/api/charges/list"""
        with _calling("charges.list"):
            answer: Any = self._v1.charges.list({"payment_intent": payment_intent_id, "limit": PAGE})
        charges, more = _page(answer)
        return answer, {"data": charges, "has_more": more}

    def _disputes(self, charge_id: str) -> tuple[Any, list[Any]]:
        """The charge itself does not name its disputes. https://docs.stripe.com/api/disputes/list"""
        with _calling("disputes.list"):
            answer: Any = self._v1.disputes.list({"charge": charge_id, "limit": PAGE})
        return answer, _page(answer)[0]

    # -- one event, for a replay

    def event(self, event_id: str) -> bytes:
        """The event as JSON, like the body of a webhook. Stripe keeps it for 30 days.

        It has the account's API version of that time, which may differ from the webhook endpoint's.
        """
        with _calling("events.retrieve"):
            answer: Any = self._v1.events.retrieve(event_id)
        body: str = answer.last_response.body
        return body.encode()

    # -- lists, for reconciliation: one page, newest first, and whether more follow

    def list_events(self, types: Sequence[str], **filters: Any) -> Page:
        """Events of the last 30 days, of at most 20 types. https://docs.stripe.com/api/events/list"""
        return self._list("events.list", limit=PAGE, types=[*types], **filters)

    def list_checkout_sessions(self, **filters: Any) -> Page:
        return self._list("checkout.sessions.list", limit=PAGE, **filters)

    def list_subscriptions(self, **filters: Any) -> Page:
        """Also the ended ones, which Stripe lists only if it is asked for all."""
        return self._list("subscriptions.list", limit=PAGE, status="all", **filters)

    def list_invoices(self, **filters: Any) -> Page:
        """With their payments."""
        return self._list("invoices.list", limit=EXPANDED_PAGE, expand=["data.payments"], **filters)

    def list_payment_intents(self, **filters: Any) -> Page:
        """With their latest charges expanded, as `fetch` does for one PaymentIntent."""
        return self._list("payment_intents.list", limit=EXPANDED_PAGE, expand=["data.latest_charge"], **filters)

    def _list(self, call: str, **parameters: Any) -> Page:
        """By the SDK's raw request: to make its objects of a page costs four times what the rest of the call does."""
        with _calling(call):
            path = f"/v1/{call.removesuffix('.list').replace('.', '/')}"
            page: Any = self._client.raw_request("get", path, **parameters).data
        return page["data"], page["has_more"]

    # -- the state of a checkout

    def checkout_state(self, session_id: str) -> dict[str, Any]:
        """The whole Checkout Session, as in the payload of its events."""
        with _calling("checkout.sessions.retrieve"):
            return self._v1.checkout.sessions.retrieve(session_id).to_dict()


def every(ask: Callable[..., Page], **filters: Any) -> "Iterator[dict[str, Any]]":
    """Every object of a list, page by page. `ask` is one of the `list_…` methods."""
    page, more = ask(**filters)
    yield from page
    while more:
        page, more = ask(**filters, starting_after=page[-1]["id"])
        yield from page


def _awaited(invoice: dict[str, Any]) -> list[dict[str, Any]]:
    """The expanded PaymentIntents of an open invoice that wait for the bank's or the customer's answer."""
    payments = (invoice.get("payments") or {}).get("data", []) if invoice["status"] == "open" else []
    intents = [one["payment"].get("payment_intent") for one in payments]
    return [one for one in intents if isinstance(one, dict) and one["status"] in ("processing", "requires_action")]


def _page(listed: Any) -> Page:
    """From the text that Stripe sent: the SDK turns some fields into Decimals, which are not JSON."""
    page = loads(listed.last_response.body)
    return page["data"], page["has_more"]


def _session(session: Any) -> Session:
    return Session(id=session.id, status=session.status, url=session.url)


def _intent(intent: Any) -> PaymentIntent:
    return PaymentIntent(id=intent.id, status=intent.status, client_secret=intent.client_secret, amount=intent.amount)


@contextmanager
def _calling(what: str) -> "Iterator[None]":
    if deadline.remaining() < WORST_CASE_SECONDS + deadline.RESERVE_SECONDS:
        raise StripeUnavailable("Stripe answers too slowly; try again.", retry_after=RETRY_AFTER_SECONDS)
    try:
        yield
    except stripe.StripeError as error:
        if isinstance(error, stripe.PermissionError):
            metrics.add_metric("StripePermissionMissing", MetricUnit.Count, 1)
            logger.error("the API key lacks a permission", extra={"permission": " ".join(PERMISSIONS[what])})
        logger.warning(
            "stripe call failed",
            extra={
                "call": what,
                "stripe_request_id": error.request_id,
                "http_status": error.http_status,
                "code": error.code,
                "error": type(error).__name__,
            },
        )
        raise _meaning(error) from error


def _meaning(error: stripe.StripeError) -> Exception:
    status = error.http_status
    if isinstance(error, stripe.RateLimitError) or status == HTTPStatus.TOO_MANY_REQUESTS:
        return StripeRateLimited("Stripe is rate limiting us; try again.", retry_after=RETRY_AFTER_SECONDS)
    if status is not None and status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return StripeFailed("Stripe failed; try again.", retry_after=RETRY_AFTER_SECONDS)
    # None: there was no answer. 409: another request with the same idempotency key has not ended yet.
    if status is None or status == HTTPStatus.CONFLICT:
        return StripeUnavailable("Stripe did not answer; try again.", retry_after=RETRY_AFTER_SECONDS)
    if isinstance(error, stripe.CardError):
        return CardDeclined("The card was declined; use another one.")
    # https://docs.stripe.com/error-codes#resource-missing
    if error.code == "resource_missing" and getattr(error, "param", None) == "customer":
        return CustomerGone("Stripe does not have the customer any more.")
    return (
        StripeNotFound("Stripe does not have an object that the request names.")
        if status == HTTPStatus.NOT_FOUND
        else StripeRejected("Stripe refused the request; operators find Stripe's request id in the log.")
    )
