"""Checks that a look at a part of an account overlooks nothing: see `account.at_first_glance`."""

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from billing.domain import access
from billing.domain.entities import Subscription, Tenant
from billing.domain.statuses import CheckoutPayment, TenantStatus
from billing.replica.account import Account, at_first_glance, at_second_glance, references
from billing.replica.effects.subscriptions import with_subscription

IDS = [f"sub_{n}" for n in range(4)]
CUSTOMERS = ["cus_1", "cus_2", "cus_3"]

held = st.builds(
    Subscription,
    tenant_id=st.just("acme"),
    revision=st.just(1),
    stripe_subscription_id=st.just(""),
    stripe_customer_id=st.sampled_from(CUSTOMERS),
    status=st.sampled_from(sorted(access.MEANING)),
    started_at=st.sampled_from(["2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"]),
    pause_behavior=st.sampled_from([None, access.FREE_PAUSE]),
    checkout_payment=st.sampled_from([None, *CheckoutPayment]),
    duplicate=st.booleans(),
)
tenants = st.builds(
    Tenant,
    tenant_id=st.just("acme"),
    revision=st.just(1),
    status=st.sampled_from(TenantStatus),
    stripe_customer_id=st.sampled_from([None, *CUSTOMERS]),
    customer_found=st.booleans(),
    current_subscription_id=st.sampled_from([None, "sub_gone", *IDS]),
    deleted_customers=st.lists(st.sampled_from(CUSTOMERS), unique=True, max_size=2).map(tuple),
)


def differs(account: Account, one: Subscription) -> bool:
    """Whether comparing this subscription, which is as Stripe has it, would change anything."""
    known: list[Any] = [account.tenant, *account.subscriptions.values()]
    return any(entity not in known for entity in with_subscription(account, one).entities)


def glanced(account: Account, one: Subscription) -> Account:
    """The account with those of its entities that a look at this subscription reads."""
    listed = {"object": "subscription", "id": one.stripe_subscription_id, "customer": one.stripe_customer_id}
    referred = references(listed)
    named = [identity.id for identity in at_first_glance(listed, referred, "acme")]
    part = replace(account, subscriptions={k: s for k, s in account.subscriptions.items() if k in named})
    named += [identity.id for identity in at_second_glance(listed, referred, part)]
    return replace(account, subscriptions={k: s for k, s in account.subscriptions.items() if k in named})


@settings(max_examples=2000)
@given(tenant=tenants, chosen=st.lists(held, min_size=1, max_size=4), settle=st.booleans())
def test_if_anything_differs_a_glance_at_one_of_the_subscriptions_shows_it(
    tenant: Tenant, chosen: list[Subscription], settle: bool
) -> None:
    """`settle`: everything is brought in order before. Then nothing shows."""
    named = {name: replace(one, stripe_subscription_id=name) for name, one in zip(IDS, chosen, strict=False)}
    account = Account(tenant=tenant, customer_known=True, subscriptions=named)
    if settle:
        outcome = with_subscription(account, named[IDS[0]])
        named |= {one.stripe_subscription_id: one for one in outcome.entities if isinstance(one, Subscription)}
        [settled] = [one for one in outcome.entities if isinstance(one, Tenant)]
        account = replace(account, tenant=settled)
        shown = any(differs(glanced(account, one), one) for one in named.values())
        assert not shown or settled.deleted_customers, "nothing differs; only after a deletion is it looked up in vain"
    if any(differs(account, one) for one in named.values()):
        assert any(differs(glanced(account, one), one) for one in named.values())
