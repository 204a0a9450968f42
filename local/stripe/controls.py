"""`/_control/…`: does what people, banks and the passing of time do at Stripe, and makes Stripe fail.

A request has a form; the answer is JSON.
"""

import json
from collections.abc import Callable
from functools import cache
from typing import Final

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from local.stripe.account import Account
from local.stripe.engine import checkout, collecting, payments, periods, setups, subscriptions, timetravel
from local.stripe.engine.cards import BANK
from local.stripe.engine.store import DAY, Object, shown
from local.stripe.errors import ApiError, invalid
from local.stripe.webhooks import Weather

METHODS: Final = {
    "paid": "pm_card_visa",
    "declined": "pm_card_chargeDeclined",
    "failed": "pm_card_chargeCustomerFail",
    "processing": BANK,
}

type Form = dict[str, str]

# (method, path, the name of the method that answers)
_ROUTES: Final = (
    ("POST", "checkout_sessions/<id>/complete", "complete"),
    ("POST", "checkout_sessions/<id>/settle", "settle"),
    ("POST", "subscriptions/<id>/renew", "renew"),
    ("POST", "subscriptions/<id>/status", "status"),
    ("POST", "payment_intents/<id>/answer", "answer_intent"),
    ("POST", "setup_intents/<id>/answer", "answer_setup"),
    ("POST", "charges/<id>/dispute", "dispute"),
    ("POST", "disputes/<id>/escalate", "escalate"),
    ("POST", "disputes/<id>/close", "close_dispute"),
    ("POST", "refunds/<id>/fail", "fail_refund"),
    ("POST", "invoices/<id>/part", "pay_part"),
    ("POST", "events/<id>/deliver", "deliver"),
    ("GET", "deliveries", "deliveries"),
    ("POST", "clock", "advance"),
    ("POST", "dunning", "dunning"),
    ("POST", "weather", "weather"),
    ("POST", "failures", "fail"),
    ("POST", "webhook_secret", "roll_secret"),
)


class Controls:
    """Every route takes form fields and answers with the object that it changed.

    It raises nothing: the answer to an error has the form of Stripe's errors.
    """

    def __init__(self, account: Account) -> None:
        self._account = account

    def answer(self, request: Request) -> Response:
        try:
            name, found = _map().bind_to_environ(request.environ).match()
            act: Callable[..., Object] = getattr(self, name)
            form = {**request.args.to_dict(), **request.form.to_dict()}
            if request.method == "GET":  # without the lock: this call may wait for another call to this server
                return _json(200, act(form, **found))
            with self._account.lock:
                return _json(200, shown(act(form, **found)))
        except ApiError as error:
            return _json(error.status, error.body)
        except HTTPException as error:
            return _json(error.code or 500, {"error": {"message": f"{request.method} {request.path}: {error.name}"}})

    # -- people, banks and time

    def complete(self, form: Form, id: str) -> Object:
        store = self._account.store
        session = store.get("checkout.session", id)
        return checkout.complete_checkout(store, session, _method(form), confirmed=True)

    def settle(self, form: Form, id: str) -> Object:
        store = self._account.store
        return checkout.settle_checkout(store, store.get("checkout.session", id), paid=_paid(form))

    def renew(self, form: Form, id: str) -> Object:
        store = self._account.store
        return periods.renew(store, store.get("subscription", id), _method(form))

    def status(self, form: Form, id: str) -> Object:
        store = self._account.store
        return subscriptions.set_status(store, store.get("subscription", id), form.get("status", "paused"))

    def answer_intent(self, form: Form, id: str) -> Object:
        store = self._account.store
        return collecting.answer_intent(store, store.get("payment_intent", id), paid=_paid(form))

    def answer_setup(self, form: Form, id: str) -> Object:
        store = self._account.store
        return setups.answer(store, store.get("setup_intent", id), accepted=_paid(form))

    def dispute(self, form: Form, id: str) -> Object:
        """With `inquiry=true` the bank only asks."""
        inquiry = form.get("inquiry") == "true"
        return payments.dispute(self._account.store, self._account.store.get("charge", id), inquiry=inquiry)

    def escalate(self, _: Form, id: str) -> Object:
        return payments.escalate_inquiry(self._account.store, self._account.store.get("dispute", id))

    def close_dispute(self, form: Form, id: str) -> Object:
        """`outcome` is won or lost."""
        outcome = form.get("outcome", "won")
        if outcome not in ("won", "lost"):
            raise invalid("An outcome is won or lost.", "outcome")
        return payments.close_dispute(self._account.store, self._account.store.get("dispute", id), won=outcome == "won")

    def fail_refund(self, _: Form, id: str) -> Object:
        return payments.fail_refund(self._account.store, self._account.store.get("refund", id))

    def pay_part(self, form: Form, id: str) -> Object:
        """`amount` in minor units came outside Stripe."""
        invoice = self._account.store.get("invoice", id)
        return collecting.pay_part(self._account.store, invoice, int(_number(form, "amount")))

    def advance(self, form: Form) -> Object:
        """Moves Stripe's time forward by `days` and `seconds`, and does everything that becomes due."""
        seconds = _number(form, "days") * DAY + _number(form, "seconds")
        if not 0 <= seconds <= 3650 * DAY:
            raise invalid("Time goes forward, by up to ten years at once.", "days")
        happened = timetravel.advance(self._account.store, self._account.clock, seconds)
        return {"now": self._account.store.now(), "happened": happened}

    def dunning(self, form: Form) -> Object:
        """Sets the status that a subscription gets after its last charge failed: canceled, unpaid or past_due."""
        ends = form.get("ends", "canceled")
        if ends not in ("canceled", "unpaid", "past_due"):
            raise invalid("ends is canceled, unpaid or past_due.", "ends")
        self._account.store.dunning_ends = ends
        return {"ends": ends}

    # -- deliveries and failures

    def deliver(self, _: Form, id: str) -> Object:
        event = self._account.store.get("event", id)
        self._account.webhooks.deliver(event)
        return event

    def deliveries(self, form: Form) -> Object:
        """`wait`: the seconds to wait for the deliveries that are not finished."""
        idle = self._account.webhooks.wait_idle(_number(form, "wait"))
        return {"idle": idle, "data": list(self._account.webhooks.log)}

    def weather(self, form: Form) -> Object:
        """Sets how events travel from now on. A missing field means fair weather.

        The same `seed` takes the same events, if the same happens.
        """
        for name in ("shuffled", "down"):
            if form.get(name) not in (None, "", "true", "false"):
                raise invalid(f"{name} is true or false.", name)
        if _number(form, "lost") > 1:
            raise invalid("lost is the share that is lost: 0 to 1.", "lost")
        self._account.webhooks.weather = Weather(
            copies=max(1, int(_number(form, "copies", 1))),
            late=_number(form, "late"),
            lost=_number(form, "lost"),
            shuffled=form.get("shuffled") == "true",
            down=form.get("down") == "true",
        )
        if form.get("seed"):
            self._account.webhooks.chance.seed(int(_number(form, "seed")))
        return vars(self._account.webhooks.weather)

    def fail(self, form: Form) -> Object:
        """The next `count` API calls get `status` after `seconds`. Without a status, they get their answer late."""
        status, count = int(_number(form, "status")), int(_number(form, "count", 1))
        if not status and not _number(form, "seconds"):
            raise invalid("Give a status (429, 500) or the seconds that the call takes.", "status")
        return self._account.fail(status, count, _number(form, "seconds"), form.get("path", "/"))

    def roll_secret(self, _: Form) -> Object:
        return {"secret": self._account.webhooks.roll_secret(), "valid": len(self._account.webhooks.secrets)}


@cache
def _map() -> Map:
    return Map([Rule(f"/_control/{path}", methods=[method], endpoint=name) for method, path, name in _ROUTES])


def _method(form: Form) -> str:
    """`payment_method` is the name of a test card. Instead, `outcome` is paid, declined, failed or processing."""
    outcome = form.get("outcome", "paid")
    if outcome not in METHODS:
        raise invalid(f"An outcome is one of {', '.join(METHODS)}.", "outcome")
    return form.get("payment_method", METHODS[outcome])


def _number(form: Form, name: str, otherwise: float = 0) -> float:
    """Returns `otherwise` for a missing or empty field. Raises `ApiError` if it is not a number or is below zero."""
    try:
        number = float(form.get(name) or otherwise)
    except ValueError:
        number = -1
    if not 0 <= number < 1e9:
        raise invalid(f"Invalid number: {form.get(name)}", name)
    return number


def _paid(form: Form) -> bool:
    return form.get("outcome", "paid") == "paid"


def _json(status: int, body: Object) -> Response:
    return Response(json.dumps(body), status, content_type="application/json")
