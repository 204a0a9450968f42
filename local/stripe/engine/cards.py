"""Stripe's test payment methods, and the outcome of a charge for each. https://docs.stripe.com/testing"""

from typing import Final, NamedTuple


class Card(NamedTuple):
    """A test card or bank account. `outcome` is one of these:

    - paid
    - disputed: the charge is paid, and then the bank takes the money back.
    - inquiry: the charge is paid, and then the bank asks about it.
    - unrefundable: the charge is paid, and its refunds fail later.
    - action: the customer must confirm.
    - processing, refused: the bank answers later, and pays or does not pay.
    - a decline code
    """

    number: str
    outcome: str
    label: str
    brand: str = "visa"


# The keys are the names that Stripe's API accepts.
CARDS: Final = {
    "pm_card_visa": Card("4242424242424242", "paid", "Visa: succeeds"),
    "pm_card_mastercard": Card("5555555555554444", "paid", "Mastercard: succeeds", "mastercard"),
    "pm_card_chargeDeclined": Card("4000000000000002", "generic_decline", "is declined"),
    "pm_card_visa_chargeDeclined": Card("4000000000000002", "generic_decline", "is declined"),
    "pm_card_chargeDeclinedInsufficientFunds": Card("4000000000009995", "insufficient_funds", "has no funds"),
    "pm_card_chargeCustomerFail": Card("4000000000000341", "generic_decline", "can be saved, and is then declined"),
    "pm_card_authenticationRequired": Card("4000002760003184", "action", "needs the customer's confirmation"),
    "pm_card_threeDSecure2Required": Card("4000000000003220", "action", "needs the customer's confirmation"),
    "pm_card_createDispute": Card("4000000000000259", "disputed", "is paid, and then disputed"),
    "pm_card_createDisputeInquiry": Card("4000000000001976", "inquiry", "is paid, and then asked about"),
    "pm_card_refundFail": Card("4000000000005126", "unrefundable", "is paid, and cannot be refunded"),
    "pm_usBankAccount_processing": Card("000123456789", "processing", "Bank debit: is paid days later", ""),
    "pm_sepaDebit_successDelayed": Card("AT321904300235473204", "processing", "Bank debit: is paid days later", ""),
    "pm_sepaDebit_success": Card("AT611904300234573201", "processing", "Bank debit: is paid days later", ""),
    "pm_sepaDebit_failure": Card("IT60X0542811101000000123456", "refused", "Bank debit: fails days later", ""),
}
BANK: Final = "pm_usBankAccount_processing"
LATER: Final = ("processing", "refused")
PAID: Final = ("paid", "disputed", "inquiry", "unrefundable")

# Stripe saves these cards without a test charge.
SAVABLE: Final = {"pm_card_chargeCustomerFail"}


def named_by(number: str) -> str | None:
    """The name of the card with this number, or of the account with this IBAN."""
    bare = "".join(filter(str.isalnum, number))
    return next((name for name, card in CARDS.items() if card.number == bare), None)
