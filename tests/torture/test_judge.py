"""The judge of the histories agrees with the product, and notices each broken rule. Needs no Java."""

import dataclasses
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from billing.announce import publisher
from billing.domain.announcements import Announcement
from tests.torture.announced import ENDED, VERSIONS, Item
from tests.torture.judge import Judge, differences, judge_announcements

DAYS = [f"2026-12-{day}T00:00:00Z" for day in ("01", "20")]
SOLD = {"stripePriceId": "price_1", "quantity": 1, "metered": False, "periodStart": DAYS[0], "periodEnd": DAYS[1]}
CLOSED = ("won", "lost", "warning_closed")

times = st.sampled_from([*DAYS, None])
flags = st.booleans()
codes = st.sampled_from(["card_declined", "expired_card", None])
amounts = st.integers(0, 3)
sold = st.sampled_from([[SOLD], [SOLD | {"quantity": 2}], [SOLD | {"periodStart": DAYS[1]}]])

KINDS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "TENANT": {
        "status": st.sampled_from(["PENDING", "ACTIVE", "SUSPENDED", "CANCELED"]),
        "currentSubscriptionId": st.sampled_from(["sub_1", "sub_2", None]),
    },
    "SUBSCRIPTION#sub_1": {
        "status": st.sampled_from(["trialing", "active", "past_due", "unpaid", "paused", "incomplete", *ENDED]),
        "stripeSubscriptionId": st.just("sub_1"),
        "stripeCustomerId": st.just("cus_1"),
        "stripePriceId": st.sampled_from(["price_1", "price_2"]),
        "planId": st.sampled_from(["plan-a", "plan-b", None]),
        "quantity": st.integers(1, 2),
        "items": sold,
        "cancelAtPeriodEnd": flags,
        "cancellationComment": st.sampled_from(["because", None]),
        "pauseBehavior": st.sampled_from(["void", "keep_as_draft", None]),
        "duplicate": flags,
    }
    | dict.fromkeys(("currentPeriodStart", "currentPeriodEnd", "startedAt"), st.sampled_from(DAYS))
    | dict.fromkeys(("cancelAt", "pauseResumesAt", "trialEnd", "trialNotice"), times),
    "INVOICE#in_1": {
        "status": st.sampled_from(["PENDING", "PAID", "PARTIALLY_PAID", "OVERDUE", "VOID", "UNCOLLECTIBLE"]),
        "invoiceId": st.just("in_1"),
        "stripeSubscriptionId": st.sampled_from(["sub_1", None]),
        "currency": st.just("usd"),
        "billingReason": st.sampled_from(
            ["subscription_create", "subscription_cycle", "subscription_update", "manual"]
        ),
        "failureCode": codes,
        "actionRequired": flags,
        "items": sold,
    }
    | dict.fromkeys(("amountDue", "amountPaid", "amountRemaining", "amountOverpaid", "attemptCount"), amounts)
    | dict.fromkeys(("total", "tax", "discount", "creditApplied"), amounts)
    | dict.fromkeys(("dueDate", "nextAttempt", "periodStart", "periodEnd"), times),
    "PAYMENT#pi_1": {
        "status": st.sampled_from(["SUCCEEDED", "FAILED", "PROCESSING", "CANCELED"]),
        "stripePaymentIntentId": st.just("pi_1"),
        "amount": st.integers(1, 3),
        "currency": st.just("usd"),
        "failureCode": codes,
        "failureMessage": codes,
        "failedChargeId": st.sampled_from(["ch_1", "ch_2", None]),
        "actionRequired": flags,
        "amountRefunded": amounts,
        "amountRefundFailed": amounts,
        "refundFailure": codes,
        "disputed": flags,
        "disputeStatus": st.sampled_from(["needs_response", "under_review", "warning_needs_response", *CLOSED, None]),
    },
}


@st.composite
def writes(draw: st.DrawFn) -> tuple[Item, Item]:
    """One write: an item before (empty: a new one) and after it. Mostly, few fields change."""
    sort_key = draw(st.sampled_from(sorted(KINDS)))
    fields = KINDS[sort_key]
    head = {"PK": "TENANT#acme", "SK": sort_key, "tenantId": "acme", "schema": 2, "createdAt": DAYS[0]}
    head |= {"updatedAt": DAYS[0], "snapshotAt": DAYS[0], "snapshotFrom": DAYS[0]}
    before = head | {name: draw(values) for name, values in fields.items()} | {"revision": 1}
    changed = draw(st.sets(st.sampled_from(sorted(fields)), max_size=4))
    after = before | {name: draw(fields[name]) for name in changed} | {"revision": 2, "eventId": "evt_1"}
    old, new = ({name: value for name, value in one.items() if value is not None} for one in (before, after))
    return (old, new) if draw(st.integers(0, 4)) else ({}, new)


@given(writes(), st.sampled_from(VERSIONS))
def test_each_write_announces_what_the_documents_promise(write: tuple[Item, Item], version: str) -> None:
    assume(not _is_known_fault(*write, version))
    judge_announcements(*write, version)


def _is_known_fault(before: Item, after: Item, version: str) -> bool:
    """What the tests below expect to fail."""
    cleared = before.get("failedChargeId") and not (after.get("failedChargeId") or after.get("failureCode"))
    both_closed = before.get("disputeStatus") in CLOSED and after.get("disputeStatus") in CLOSED
    ended = version == "1" and after.get("status") in ENDED and "trialNotice" in after
    return bool(cleared or both_closed or ended)


PAYMENT: Item = {"PK": "TENANT#acme", "SK": "PAYMENT#pi_1", "tenantId": "acme", "schema": 2, "createdAt": DAYS[0]}
PAYMENT |= {"updatedAt": DAYS[0], "snapshotAt": DAYS[0], "snapshotFrom": DAYS[0], "stripePaymentIntentId": "pi_1"}
PAYMENT |= {"amount": 2, "currency": "usd", "actionRequired": False, "amountRefunded": 0, "amountRefundFailed": 0}
PAYMENT |= {"status": "SUCCEEDED", "disputed": False, "revision": 1}
SUBSCRIPTION: Item = PAYMENT | {"SK": "SUBSCRIPTION#sub_1", "status": "canceled", "stripeSubscriptionId": "sub_1"}
SUBSCRIPTION |= {"stripeCustomerId": "cus_1", "stripePriceId": "price_1", "quantity": 1, "cancelAtPeriodEnd": False}
SUBSCRIPTION |= {"currentPeriodStart": DAYS[0], "currentPeriodEnd": DAYS[1], "duplicate": False, "startedAt": DAYS[0]}


def test_a_cleared_error_is_no_failed_attempt() -> None:
    """Stripe clears `last_payment_error` if the PaymentIntent is updated for any reason, such as a new amount.

    https://docs.stripe.com/api/payment_intents/object#payment_intent_object-last_payment_error
    """
    before = PAYMENT | {"status": "FAILED", "failureCode": "expired_card", "failedChargeId": "ch_1"}
    judge_announcements(before, PAYMENT | {"status": "FAILED", "revision": 2}, "2")


@pytest.mark.parametrize(("first", "second"), [("warning_closed", "lost"), ("warning_closed", "won"), ("lost", "won")])
def test_each_decision_of_a_bank_is_told(first: str, second: str) -> None:
    """For example, an inquiry was closed, and of the dispute after it we hear first that it was lost."""
    before = PAYMENT | {"disputeStatus": first, "disputed": first == "lost"}
    judge_announcements(before, PAYMENT | {"disputeStatus": second, "disputed": second == "lost", "revision": 2}, "2")


# -- broken rules

type Change = Callable[[list[Announcement]], list[Announcement]]

BROKEN: dict[str, Change] = {
    "one is missing": lambda made: made[1:],
    "one is made twice": lambda made: [*made, *made[:1]],
    "one has another type": lambda made: [dataclasses.replace(one, type="payment.canceled") for one in made],
    "from and to are changed round": lambda made: [
        dataclasses.replace(one, before=one.after, after=one.before) for one in made
    ],
    "another time": lambda made: [dataclasses.replace(one, time=DAYS[1]) for one in made],
    "a field is missing": lambda made: [dataclasses.replace(one, after={}) for one in made],
    "a field too many": lambda made: [dataclasses.replace(one, after={**one.after, "secret": 1}) for one in made],
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_announcement_is_noticed(broken: str) -> None:
    made = publisher.announcements_of

    def careless(*write: Any) -> list[Announcement]:
        return BROKEN[broken](made(*write))

    with patch.object(publisher, "announcements_of", careless), pytest.raises(AssertionError):
        judge_announcements({}, PAYMENT, "2")


LIVE: Item = SUBSCRIPTION | {"status": "active"}
WAITING = LIVE | {"checkoutPayment": "pending"}
TENANT: Item = PAYMENT | {"SK": "TENANT", "status": "ACTIVE", "currentSubscriptionId": "sub_1"}
INVOICE: Item = PAYMENT | {"SK": "INVOICE#inv-1", "status": "PENDING", "invoiceId": "inv-1"}
INVOICE |= {"amountDue": 2, "amountPaid": 2, "amountRemaining": 0, "attemptCount": 0}
INVOICE |= dict.fromkeys(("tax", "discount", "creditApplied", "amountOverpaid"), 0)
REFUNDED = PAYMENT | {"amountRefunded": 1}

# What the judge says, and the writes that make it say so.
HISTORIES: list[tuple[str, list[tuple[Item, Item]]]] = [
    ("an item was deleted", [({}, PAYMENT), (PAYMENT, {})]),
    ("repeats or omits", [({}, PAYMENT), (PAYMENT | {"revision": 2}, PAYMENT | {"revision": 3})]),
    ("a revision is missing", [({}, PAYMENT), (PAYMENT, PAYMENT | {"revision": 3})]),
    ("a final state was left", [({}, PAYMENT), (PAYMENT, PAYMENT | {"status": "FAILED", "revision": 2})]),
    ("amountPaid became smaller", [({}, INVOICE), (INVOICE, INVOICE | {"amountPaid": 1, "revision": 2})]),
    ("something remains", [({}, INVOICE | {"status": "PAID", "amountRemaining": 1})]),
    ("more went back than came", [({}, PAYMENT | {"amountRefunded": 3})]),
    ("a refund disappeared", [({}, REFUNDED), (REFUNDED, PAYMENT | {"revision": 2})]),
    ("moved back", [({}, LIVE | {"checkoutPayment": "settled"}), (LIVE | {"checkoutPayment": "settled"}, WAITING)]),
    ("does not follow", [({}, TENANT)]),
    ("does not follow", [({}, TENANT), ({}, WAITING)]),  # access without money
    ("does not follow", [({}, TENANT | {"status": "PENDING"}), ({}, LIVE)]),
    ("does not follow", [({}, TENANT), ({}, SUBSCRIPTION)]),  # it has ended
    (
        "duplicate",
        [({}, TENANT), ({}, LIVE), ({}, LIVE | {"SK": "SUBSCRIPTION#sub_2", "stripeSubscriptionId": "sub_2"})],
    ),
]


@pytest.mark.parametrize(("said", "history"), HISTORIES)
def test_a_broken_history_is_noticed(said: str, history: list[tuple[Item, Item]]) -> None:
    with pytest.raises(AssertionError, match=said):
        _see(history)


def test_a_good_history_is_not_complained_of() -> None:
    _see([({}, TENANT), ({}, LIVE), ({}, PAYMENT), ({}, INVOICE)])


def _see(history: list[tuple[Item, Item]]) -> None:
    judge = Judge("acme")
    for number, (before, after) in enumerate(history):
        revised = before and after and before["revision"] == after["revision"]
        judge.see(before, after | {"revision": number + 1} if revised else after)
    judge.end_of_transaction()


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"in_1": {"status": "PAID"}},
        {"in_1": {"status": "VOID", "items": [SOLD]}},
        {"in_1": {"status": "PAID"}, "in_2": {}},
    ],
)
def test_a_difference_from_the_model_is_noticed(found: dict[str, Item]) -> None:
    expected = {"in_1": {"status": "PAID", "items": [SOLD]}}
    assert differences(found, expected)
    assert not differences(expected, expected)
