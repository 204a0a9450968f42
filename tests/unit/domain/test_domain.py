import inspect
import itertools
import re
from dataclasses import replace
from typing import Any

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from billing.domain import access, tenancy
from billing.domain.entities import Invoice, Payment, Subscription, Tenant
from billing.domain.invoicing import Standing, after_payment, status_of
from billing.domain.order import Verdict, as_next_state, compare, content
from billing.domain.statuses import CheckoutPayment, InvoiceStatus, PaymentStatus, TenantStatus

STATUSES = list(access.MEANING)


def subscription(**values: Any) -> Subscription:
    given = {
        "tenant_id": "t",
        "stripe_subscription_id": "sub_1",
        "stripe_customer_id": "cus_1",
        "status": "active",
        "started_at": "2026-01-01T00:00:00Z",
    }
    return Subscription(**{**given, **values})


subscriptions = st.lists(
    st.builds(
        subscription,
        stripe_subscription_id=st.sampled_from([f"sub_{n}" for n in range(5)]),
        status=st.sampled_from(STATUSES),
        started_at=st.sampled_from([f"2026-01-0{n}T00:00:00Z" for n in range(1, 4)]),
        checkout_payment=st.none() | st.sampled_from(list(CheckoutPayment)),
        duplicate=st.booleans(),
    ),
    unique_by=lambda s: s.stripe_subscription_id,
    max_size=4,
)


# -- the customer


@given(subscriptions, st.permutations(["cus_1", "cus_2", "cus_3"]), st.data())
def test_the_order_of_deletions_and_subscriptions_decides_no_customer(
    known: list[Subscription], deleted: list[str], data: st.DataObject
) -> None:
    """Whatever comes first, the tenant ends with the same customer, and never with a deleted one."""
    customers = ["cus_1", "cus_2", "cus_3", "cus_4"]
    known = [replace(s, stripe_customer_id=data.draw(st.sampled_from(customers))) for s in known]
    gone = deleted[: data.draw(st.integers(0, 3))]
    happened: list[Subscription | str] = [*known, *gone]
    ends = {_customer_after(order) for order in (happened, data.draw(st.permutations(happened)))}
    there = {s.stripe_customer_id for s in known} - {*gone}
    assert len(ends) == 1
    assert ends <= {*(there or [None])}


def _customer_after(happened: list[Subscription | str]) -> str | None:
    tenant, seen = Tenant(tenant_id="t"), dict[str, Subscription]()
    for one in happened:
        if isinstance(one, str):
            tenant = tenancy.without_customer(tenant, one, seen.values())
            continue
        seen[one.stripe_subscription_id] = one
        tenant, _ = tenancy.follow(tenant, seen.values())
        tenant = tenancy.with_customer_of_current(tenant, seen.values())
    return tenant.stripe_customer_id


def test_a_customer_that_a_call_linked_stays_until_it_is_deleted() -> None:
    tenant = Tenant(tenant_id="t", stripe_customer_id="cus_linked", current_subscription_id="sub_1")
    assert tenancy.with_customer_of_current(tenant, [subscription()]) is tenant
    after = tenancy.without_customer(tenant, "cus_linked", [subscription()])
    assert (after.stripe_customer_id, after.customer_found, after.customer_attempt) == ("cus_1", True, 1)
    assert tenancy.without_customer(after, "cus_linked", [subscription()]) is after
    again = replace(after, stripe_customer_id="cus_linked", customer_found=False)  # repeated under the first key
    assert tenancy.without_customer(again, "cus_linked", []) == replace(
        again, stripe_customer_id=None, customer_attempt=2
    )


def test_a_found_customer_that_is_deleted_gives_up_no_key() -> None:
    """The key is that of a customer which a checkout made, and perhaps could not link: it is used again."""
    found = Tenant(tenant_id="t", stripe_customer_id="cus_1", customer_found=True)
    assert tenancy.without_customer(found, "cus_1", []).customer_attempt == 0


# -- access


def test_the_table_of_access() -> None:
    by_tenant = {status: meaning.tenant for status, meaning in access.MEANING.items()}
    assert by_tenant == {
        "trialing": "ACTIVE",
        "active": "ACTIVE",
        "past_due": "ACTIVE",
        "unpaid": "SUSPENDED",
        "paused": "SUSPENDED",
        "incomplete": "PENDING",
        "canceled": "CANCELED",
        "incomplete_expired": "PENDING",
    }
    assert {status for status in STATUSES if not access.is_live(status)} == {"canceled", "incomplete_expired"}


def test_the_table_knows_every_status_of_the_sdk() -> None:
    declared = inspect.get_annotations(stripe.Subscription)["status"]
    assert set(re.findall(r"\w+", str(declared))) & set(STATUSES) == set(STATUSES)
    assert len(re.findall(r"['\"]\w+['\"]", str(declared))) == len(STATUSES)


def test_a_status_that_nobody_knows_gives_no_access_and_sells_nothing_twice() -> None:
    meaning = access.meaning("something_new")
    assert (meaning.tenant, meaning.live) == ("SUSPENDED", True)


# -- tenants


@given(subscriptions)
def test_a_tenant_follows_from_its_subscriptions_in_any_order(known: list[Subscription]) -> None:
    tenant = Tenant(tenant_id="t")
    outcomes = []
    for order in itertools.permutations(known):
        followed, marked = tenancy.follow(tenant, order)
        outcomes.append((followed, sorted(marked, key=lambda s: s.stripe_subscription_id)))
    assert all(outcome == outcomes[0] for outcome in outcomes)


@given(subscriptions)
def test_one_subscription_with_access_is_enough(known: list[Subscription]) -> None:
    tenant, marked = tenancy.follow(Tenant(tenant_id="t"), known)
    gives = any(tenancy.status_given_by(s) is TenantStatus.ACTIVE for s in known)
    assert (tenant.status is TenantStatus.ACTIVE) == gives
    charging = [s for s in marked if access.meaning(s.status).charges]
    others = [s for s in charging if s.stripe_subscription_id != tenant.current_subscription_id]
    assert [s.duplicate for s in others] == [True] * len(others)
    assert not any(s.duplicate for s in marked if s not in others)


@pytest.mark.parametrize("stage", [CheckoutPayment.PENDING, CheckoutPayment.FAILED])
def test_no_access_before_the_bank_has_paid(stage: CheckoutPayment) -> None:
    tenant, _ = tenancy.follow(Tenant(tenant_id="t"), [subscription(checkout_payment=stage)])
    assert tenant.status is TenantStatus.PENDING


def test_a_checkouts_payment_only_moves_forward() -> None:
    pending, failed, settled = CheckoutPayment.PENDING, CheckoutPayment.FAILED, CheckoutPayment.SETTLED
    for order in itertools.permutations([None, pending, failed, settled]):
        stage = None
        for seen in order:
            stage = tenancy.further(stage, seen)
        assert stage is settled
    assert tenancy.further(failed, pending) is failed
    assert tenancy.further(None, None) is None


# -- order of snapshots


def dated(at: str, status: str = "active", **values: Any) -> Subscription:
    return subscription(status=status, snapshot_from=values.pop("since", at), snapshot_at=at, **values)


def test_newer_states_apply_older_do_not_and_the_same_second_is_fetched() -> None:
    held = dated("2026-01-01T00:00:10Z")
    assert compare(held, dated("2026-01-01T00:00:11Z", quantity=2), fetched=False) is Verdict.APPLY
    assert compare(held, dated("2026-01-01T00:00:09Z", quantity=2), fetched=False) is Verdict.STALE
    assert compare(held, dated("2026-01-01T00:00:10Z", quantity=2), fetched=False) is Verdict.FETCH
    assert compare(held, dated("2026-01-01T00:00:10Z"), fetched=False) is Verdict.STALE


def test_the_whole_span_of_a_fetch_is_ambiguous() -> None:
    held = dated("2026-01-01T00:00:12Z", since="2026-01-01T00:00:10Z")
    verdicts = [compare(held, dated(f"2026-01-01T00:00:{s:02}Z", quantity=2), fetched=False) for s in range(9, 14)]
    assert verdicts == [Verdict.STALE, Verdict.FETCH, Verdict.FETCH, Verdict.FETCH, Verdict.APPLY]


def test_what_was_fetched_is_applied() -> None:
    held = dated("2026-01-01T00:00:10Z")
    assert compare(held, dated("2026-01-01T00:00:10Z", quantity=2), fetched=True) is Verdict.APPLY


def test_final_states_stay_and_win_without_asking() -> None:
    ended = dated("2026-01-01T00:00:10Z", "canceled")
    assert compare(ended, dated("2026-01-01T00:00:20Z"), fetched=False) is Verdict.STALE
    assert compare(ended, dated("2026-01-01T00:00:20Z"), fetched=True) is Verdict.STALE
    live = dated("2026-01-01T00:00:10Z")
    assert compare(live, dated("2026-01-01T00:00:10Z", "canceled"), fetched=False) is Verdict.APPLY


def test_which_states_are_final() -> None:
    def invoice(status: InvoiceStatus) -> Invoice:
        return Invoice(tenant_id="t", invoice_id="i", status=status, currency="usd", amount_due=1)

    def payment(status: PaymentStatus) -> Payment:
        return Payment(tenant_id="t", stripe_payment_intent_id="p", status=status, amount=1, currency="usd")

    assert {s for s in InvoiceStatus if invoice(s).terminal} == {InvoiceStatus.PAID, InvoiceStatus.VOID}
    assert {s for s in PaymentStatus if payment(s).terminal} == {PaymentStatus.SUCCEEDED}
    assert {s for s in STATUSES if subscription(status=s).terminal} == {"canceled", "incomplete_expired"}


def test_the_dates_of_a_snapshot_never_move_back() -> None:
    held = dated("2026-01-01T00:00:10Z", revision=4, created_at="x")
    after = as_next_state(held, dated("2026-01-01T00:00:09Z", "canceled"))
    assert (after.revision, after.snapshot_at, after.status, after.created_at) == (4, held.snapshot_at, "canceled", "x")
    assert content(after) == content(dated("", "canceled"))


# -- invoices


@pytest.mark.parametrize(
    ("stripe_status", "attempts", "paid", "remaining", "past_due", "expected"),
    [
        ("draft", 0, 0, 10, False, "DRAFT"),
        ("open", 0, 0, 10, False, "PENDING"),
        ("open", 0, 4, 6, False, "PARTIALLY_PAID"),
        ("open", 1, 0, 10, False, "OVERDUE"),
        ("open", 1, 4, 6, False, "OVERDUE"),
        ("open", 0, 0, 10, True, "OVERDUE"),
        ("paid", 2, 10, 0, True, "PAID"),
        ("void", 1, 0, 10, True, "VOID"),
        ("uncollectible", 4, 0, 10, True, "UNCOLLECTIBLE"),
    ],
)
def test_status_of_an_invoice(
    stripe_status: str, attempts: int, paid: int, remaining: int, past_due: bool, expected: str
) -> None:
    assert (
        status_of(stripe_status, Standing(attempts=attempts, paid=paid, remaining=remaining, past_due=past_due))
        == expected
    )


@given(known=subscriptions, left=st.integers(0, 5), status=st.sampled_from(sorted(access.MEANING)))
def test_what_a_tenant_lists_decides_as_all_would(known: list[Subscription], left: int, status: str) -> None:
    """Also after one of them changed: a live one, or a new one."""
    tenant = Tenant(tenant_id="t")
    listed = {one.subscription_id for one in tenancy.with_list(tenant, known).subscriptions}
    live = [s for s in known if access.is_live(s.status)]
    new = subscription(stripe_subscription_id="sub_new", started_at="2026-02-01T00:00:00Z")
    changed = replace(live[left % len(live)] if live and left else new, status=status)
    every, few = (
        {s.stripe_subscription_id: s for s in [*these, changed]}.values()
        for these in (known, [s for s in known if s.stripe_subscription_id in listed])
    )
    whole, part = (tenancy.follow(tenant, these) for these in (every, few))
    assert part[0] == whole[0]
    assert tenancy.with_customer_of_current(part[0], part[1]) == tenancy.with_customer_of_current(*whole)
    few_listed, all_listed = (tenancy.with_list(tenant, marked).subscriptions for _, marked in (part, whole))
    assert few_listed == all_listed
    marks = {s.stripe_subscription_id: s.duplicate for s in whole[1]}
    assert all(s.duplicate == marks[s.stripe_subscription_id] for s in part[1])
    unread = marks.keys() - {s.stripe_subscription_id for s in part[1]}
    assert not any(marks[one] for one in unread)


@given(due=st.integers(1, 99_999_999), amounts=st.lists(st.integers(1, 99_999_999), max_size=5))
def test_payments_add_up(due: int, amounts: list[int]) -> None:
    invoice = Invoice(
        tenant_id="t",
        invoice_id="i",
        status=InvoiceStatus.PENDING,
        currency="usd",
        amount_due=due,
        amount_remaining=due,
    )
    for amount in amounts:
        invoice = after_payment(invoice, amount)
    assert invoice.amount_paid == sum(amounts)
    assert invoice.amount_remaining == max(0, due - sum(amounts))
    if amounts:
        assert (invoice.status is InvoiceStatus.PAID) == (sum(amounts) >= due)
