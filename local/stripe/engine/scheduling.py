"""The schedules of the API: what their parameters mean, their beginning and their end.

https://docs.stripe.com/billing/subscriptions/subscription-schedules and
https://docs.stripe.com/api/subscription_schedules
"""

from datetime import UTC, datetime
from typing import Final

from dateutil.relativedelta import relativedelta

from local.stripe.check import missing
from local.stripe.engine import invoices, schedules, subscriptions
from local.stripe.engine.objects import merge, needed
from local.stripe.engine.store import DAY, HOUR, Object, Store
from local.stripe.errors import invalid

NOTICE: Final = 7 * DAY  # subscription_schedule.expiring: https://docs.stripe.com/api/events/types
_LIVE: Final = ("not_started", "active")


def create(store: Store, form: Object) -> Object:
    """`form`: the parameters of `POST /v1/subscription_schedules`. Raises `ApiError`."""
    if "from_subscription" in form:
        return _of_subscription(store, form)
    customer = store.named("customer", needed(form, "customer"), "customer")
    start = needed(form, "start_date")
    ahead = _ahead(store, customer)
    begin = store.now() if start == "now" else max(store.now(), start + ahead)
    phases = _phases(store, needed(form, "phases"), begin, ahead)
    made = store.create("subscription_schedule", customer=customer["id"], status="not_started", phases=phases)
    made |= {"end_behavior": form.get("end_behavior", "release"), "test_clock": customer.get("test_clock")}
    merge(made, {"metadata": form.get("metadata", {})})
    store.emit("subscription_schedule.created", made)
    if begin <= store.now():
        start_now(store, made)
    return made


def _ahead(store: Store, customer: Object) -> int:
    """The seconds from a time of the customer's test clock to the same time of the stand-in."""
    clock = store.find(customer.get("test_clock") or "")
    return store.now() - clock["frozen_time"] if clock else 0


def _of_subscription(store: Store, form: Object) -> Object:
    if form.keys() & {"customer", "phases", "start_date", "end_behavior"}:
        raise invalid("You cannot pass any other parameters with from_subscription.", "from_subscription")
    subscription = store.named("subscription", form["from_subscription"], "from_subscription")
    subscriptions.check_live(subscription)
    if subscription["schedule"]:
        raise invalid("The subscription has a schedule already.", "from_subscription")
    item = subscription["items"]["data"][0]
    items = [{"price": i["price"]["id"], "quantity": i["quantity"]} for i in subscription["items"]["data"]]
    phase = {"items": items, "end_date": item["current_period_end"]}
    known = {"customer": subscription["customer"], "subscription": subscription["id"], "status": "active"}
    phases = _phases(store, [phase], item["current_period_start"], 0)
    made = store.create("subscription_schedule", phases=phases, end_behavior="release", **known)
    made["current_phase"] = {"start_date": phases[0]["start_date"], "end_date": phases[0]["end_date"]}
    subscription["schedule"] = made["id"]
    store.emit("subscription_schedule.created", made)
    store.emit("customer.subscription.updated", subscription)
    return made


def _phases(store: Store, given: list[Object], begin: int, ahead: int) -> list[Object]:
    """The phases one after the other from `begin` on. `ahead`: the seconds that a test clock is behind."""
    made: list[Object] = []
    for n, phase in enumerate(given):
        items = [_item(store, item, f"phases[{n}][items][{m}]") for m, item in enumerate(phase["items"])]
        price = store.get("price", items[0]["price"])
        if "end_date" in phase and "duration" in phase:
            raise invalid("A phase has an end_date or a duration, and not both.", f"phases[{n}][end_date]")
        end = phase["end_date"] + ahead if "end_date" in phase else _later(begin, phase.get("duration"), price)
        if "end_date" not in phase and "duration" not in phase and n + 1 < len(given):
            raise missing(f"phases[{n}][end_date]")
        if end <= begin:
            raise invalid("The end of a phase must be after its start.", f"phases[{n}][end_date]")
        made.append(_phase(phase, items, price["currency"], begin, end))
        begin = end
    return made


def _later(begin: int, duration: Object | None, price: Object) -> int:
    """The last phase may be without an end: then it is one period of its price."""
    every = duration or price["recurring"]
    length = relativedelta(**{f"{every['interval']}s": every.get("interval_count", 1)})
    return int((datetime.fromtimestamp(begin, UTC) + length).timestamp())


def _item(store: Store, item: Object, param: str) -> Object:
    price = store.named("price", item.get("price", ""), f"{param}[price]")
    if not price["recurring"]:
        raise invalid("The price specified is not recurring.", f"{param}[price]")
    empty = {"billing_thresholds": None, "discounts": [], "metadata": item.get("metadata", {}), "tax_rates": []}
    return {"price": price["id"], "quantity": item.get("quantity", 1), **empty}


_UNSET: Final = (
    "application_fee_percent billing_cycle_anchor billing_thresholds collection_method default_payment_method "
    "default_tax_rates description invoice_settings on_behalf_of transfer_data trial_end"
).split()


def _phase(given: Object, items: list[Object], currency: str, begin: int, end: int) -> Object:
    return {
        **dict.fromkeys(_UNSET),
        "add_invoice_items": [],
        "currency": currency,
        "discounts": [],
        "start_date": begin,
        "end_date": end,
        "items": items,
        "metadata": given.get("metadata", {}),
        "proration_behavior": given.get("proration_behavior", "create_prorations"),
    }


def start_now(store: Store, schedule: Object) -> None:
    """The first phase begins: the subscription is made.

    It is active from the beginning, and its first invoice is a draft for an hour. The trigger
    `subscription_schedule.completed` of https://github.com/stripe/stripe-cli rests on it: its customer has no card.
    """
    first, *_ = schedule["phases"]
    one, *more = [(store.get("price", item["price"]), item["quantity"]) for item in first["items"]]
    made = subscriptions.create_subscription(store, schedule["customer"], one[0], first["metadata"], 0, one[1])
    for price, quantity in more:
        subscriptions.add_item(store, made, price, quantity, made["items"]["data"][0]["current_period_end"])
    made["schedule"] = schedule["id"]
    schedule |= {"status": "active", "subscription": made["id"]}
    schedules.enter(store, schedule, made, first)
    begin_unpaid(store, made)
    store.emit("subscription_schedule.updated", schedule)


def begin_unpaid(store: Store, subscription: Object) -> None:
    """Begins an active subscription whose first invoice is charged in an hour."""
    subscriptions.tell_created(store, subscription)
    later = store.now() + HOUR
    customer = subscription["customer"]
    invoices.create_draft(store, customer, "subscription_create", subscription, automatically_finalizes_at=later)


def end_phase(store: Store, schedule: Object) -> None:
    subscription = store.get("subscription", schedule["subscription"])
    over = subscription["items"]["data"][0]["current_period_end"] <= store.now()
    schedules.move_on(store, schedule, subscription)
    if not over:  # at the end of a period, its renewal tells of the change
        store.emit("customer.subscription.updated", subscription)


def notice(store: Store, schedule: Object) -> None:
    schedule["_noticed"] = True
    store.emit("subscription_schedule.expiring", schedule)


def update(store: Store, schedule: Object, form: Object) -> Object:
    """Raises `ApiError`. Phases that are over may be left out; the present one must keep its start."""
    _check_live(schedule)
    if "phases" in form:
        now = schedule["current_phase"]
        begin = now["start_date"] if now else schedule["phases"][0]["start_date"]
        started = form["phases"][0].get("start_date", begin)
        if now and started not in ("now", begin):
            raise invalid("You can not modify the start date of the current phase.", "phases[0][start_date]")
        customer = store.get("customer", schedule["customer"])
        ahead = _ahead(store, customer)
        schedule["phases"] = _phases(store, form["phases"], begin if now or started == "now" else started, ahead)
    schedule["end_behavior"] = form.get("end_behavior", schedule["end_behavior"])
    merge(schedule, {"metadata": form.get("metadata", {})})
    if "phases" in form and schedule["current_phase"]:
        subscription = store.get("subscription", schedule["subscription"])
        schedules.enter(store, schedule, subscription, schedule["phases"][0])
        store.emit("customer.subscription.updated", subscription)
    store.emit("subscription_schedule.updated", schedule)
    return schedule


def cancel(store: Store, schedule: Object) -> Object:
    """Ends the subscription too. https://docs.stripe.com/api/subscription_schedules/cancel"""
    _check_live(schedule)
    if schedule["subscription"]:
        subscriptions.cancel_subscription(store, store.get("subscription", schedule["subscription"]))
    else:
        schedule |= {"status": "canceled", "canceled_at": store.now()}
        store.emit("subscription_schedule.canceled", schedule)
    return schedule


def release(store: Store, schedule: Object) -> Object:
    """https://docs.stripe.com/api/subscription_schedules/release"""
    _check_live(schedule)
    if schedule["subscription"]:
        subscription = store.get("subscription", schedule["subscription"])
        schedules.release(store, subscription)
        store.emit("customer.subscription.updated", subscription)
    else:
        schedule |= {"status": "released", "released_at": store.now()}
        store.emit("subscription_schedule.released", schedule)
    return schedule


def _check_live(schedule: Object) -> None:
    if schedule["status"] not in _LIVE:
        raise invalid(f"You cannot change a subscription schedule that is {schedule['status']}.")
