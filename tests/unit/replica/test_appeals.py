"""A lost dispute can be appealed since API version 2026-09-30.endive."""

import pytest

from billing.replica.payloads import charge_fields


@pytest.mark.parametrize("status", ["appeal_needs_response", "appeal_under_review"])
def test_the_bank_keeps_the_money_during_an_appeal(status: str) -> None:
    """https://docs.stripe.com/changelog/endive/2026-09-30/submit-evidence-to-appeal-dispute-decision"""
    dispute = {"id": "du_1", "created": 1, "status": status}
    charge = {"id": "ch_1", "amount": 500, "amount_refunded": 0, "captured": True, "disputed": True}
    fields = charge_fields({**charge, "disputes": {"data": [dispute]}})
    assert (fields["disputed"], fields["dispute_status"]) == (True, status)
