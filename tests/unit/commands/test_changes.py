"""What the demo says about two looks at the table."""

from typing import Any

from rich.console import Console

from local.account import Items
from local.commands.account import grid
from local.commands.changes import changes

NOTHING: Items = {"TENANT": [], "SUBSCRIPTION": [], "INVOICE": [], "PAYMENT": []}
INVOICE: dict[str, Any] = {
    "SK": "INVOICE#inv-001",
    "invoiceId": "inv-001",
    "status": "PENDING",
    "currency": "usd",
    "amountPaid": 0,
    "amountDue": 25000,
    "attemptCount": 0,
    "revision": 1,
}
# As long as the ids of Stripe and the names of the plans are.
SUBSCRIPTION: dict[str, Any] = {
    "SK": "SUBSCRIPTION#sub_4f2W8kPq0123456789lNft",
    "stripeSubscriptionId": "sub_4f2W8kPq0123456789lNft",
    "status": "incomplete",
    "planId": "plan-enterprise",
    "currentPeriodEnd": "2027-02-21T10:00:00Z",
}
TENANT = {"SK": "TENANT", "tenantId": "550e8400", "status": "ACTIVE", "stripeCustomerId": "cus_abc123"}
PAYMENT: dict[str, Any] = {
    "SK": "PAYMENT#pi_1",
    "stripePaymentIntentId": "pi_1",
    "status": "FAILED",
    "amount": 4900,
    "currency": "usd",
    "failureCode": "generic_decline",
    "invoiceId": "inv-001",
}


def text(before: Items, after: Items) -> list[str]:
    console = Console(width=80, soft_wrap=True)
    with console.capture() as captured:
        for line in changes(before, after):
            console.print(line)
    return captured.get().splitlines()


def test_a_new_item() -> None:
    [line] = text(NOTHING, {**NOTHING, "INVOICE": [INVOICE]})
    assert line.split() == "+ invoice inv-001 PENDING, 0.00 of 250.00 USD".split()


def test_a_changed_item_has_a_line_for_each_changed_field() -> None:
    paid = INVOICE | {"status": "PAID", "amountPaid": 25000}
    first, second = text({**NOTHING, "INVOICE": [INVOICE]}, {**NOTHING, "INVOICE": [paid]})
    assert first.split() == "~ invoice inv-001 PENDING → PAID".split()
    assert second.strip() == "0.00 of 250.00 USD → 250.00 of 250.00 USD"
    assert second.index("0.00") == first.index("PENDING")


def test_a_field_that_was_not_there_and_one_that_is_gone() -> None:
    tried = INVOICE | {"attemptCount": 1}
    [line] = text({**NOTHING, "INVOICE": [INVOICE]}, {**NOTHING, "INVOICE": [tried]})
    assert line.endswith("none → attempt 1")
    [line] = text({**NOTHING, "INVOICE": [tried]}, {**NOTHING, "INVOICE": [INVOICE]})
    assert line.endswith("attempt 1 → none")


def test_an_item_that_is_gone() -> None:
    [line] = text({**NOTHING, "TENANT": [TENANT]}, NOTHING)
    assert line.split() == "- tenant 550e8400 ACTIVE, cus_abc123".split()


def test_what_people_do_not_see_makes_no_line() -> None:
    after = {**NOTHING, "INVOICE": [INVOICE | {"revision": 2}], "TENANT": [TENANT]}
    assert text({**NOTHING, "INVOICE": [INVOICE], "TENANT": [TENANT]}, after) == []


def test_a_payment_that_failed_and_then_succeeded() -> None:
    after = PAYMENT | {"status": "SUCCEEDED", "failureCode": None}
    lines = text({**NOTHING, "PAYMENT": [PAYMENT]}, {**NOTHING, "PAYMENT": [after]})
    assert lines[1].strip() == "generic_decline → for inv-001"


def test_nothing_is_wider_than_80_columns() -> None:
    account = {"TENANT": [TENANT], "SUBSCRIPTION": [SUBSCRIPTION], "INVOICE": [INVOICE], "PAYMENT": [PAYMENT]}
    later = {**account, "INVOICE": [INVOICE | {"amountPaid": 25000, "status": "PARTIALLY_PAID", "attemptCount": 4}]}
    assert max(map(len, text(NOTHING, account) + text(account, later))) <= 80
    console = Console(width=200)
    with console.capture() as captured:
        console.print(grid(later | {"INVOICE": [INVOICE | {"attemptCount": 1}]}))
    assert max(len(line.rstrip()) for line in captured.get().splitlines()) <= 80
