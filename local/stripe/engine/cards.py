"""Stripe's test payment methods, and the outcome of a charge for each. https://docs.stripe.com/testing"""

from typing import Any, Final, NamedTuple


class Card(NamedTuple):
    """A test card or bank account. `outcome` is one of these:

    - paid
    - disputed: the charge is paid, and then the bank takes the money back.
    - inquiry: the charge is paid, and then the bank asks about it.
    - unrefundable: the charge is paid, and its refunds fail later.
    - action: the customer must confirm every charge.
    - action_once: the customer must confirm once. After that, the saved card is charged without a question.
    - action_present: the customer must confirm, but Stripe itself may charge the saved card without a question.
    - processing, refused: the bank answers later, and pays or does not pay.
    - a key of `_OWN_CODES`, or a decline code

    `then`: after the customer confirmed, the bank refuses the charge with this code.
    """

    number: str
    outcome: str
    label: str
    brand: str = "visa"
    funding: str = "credit"
    country: str = "US"
    then: str = ""


def _asks(number: str, outcome: str = "action", then: str = "") -> Card:
    label = "3-D Secure: needs the customer's confirmation" + (", and is then declined" if then else "")
    return Card(number, outcome, label, then=then)


def _refuses(number: str, outcome: str, label: str) -> Card:
    return Card(number, outcome, label)


def _pays(number: str, label: str, brand: str = "visa", funding: str = "credit", country: str = "US") -> Card:
    return Card(number, "paid", f"{label}: succeeds", brand, funding, country)


_DECLINED: Final = _refuses("4000000000000002", "generic_decline", "is declined")
_NO_FUNDS: Final = _refuses("4000000000009995", "insufficient_funds", "has no funds")

# The keys are the names that Stripe's API accepts.
CARDS: Final = {
    "pm_card_visa": _pays("4242424242424242", "Visa"),
    "pm_card_visa_debit": _pays("4000056655665556", "Visa debit", funding="debit"),
    "pm_card_mastercard": _pays("5555555555554444", "Mastercard", "mastercard"),
    "pm_card_mastercard_debit": _pays("5200828282828210", "Mastercard debit", "mastercard", "debit"),
    "pm_card_mastercard_prepaid": _pays("5105105105105100", "Mastercard prepaid", "mastercard", "prepaid"),
    "pm_card_amex": _pays("378282246310005", "American Express", "amex"),
    "pm_card_discover": _pays("6011111111111117", "Discover", "discover"),
    "pm_card_diners": _pays("3056930009020004", "Diners Club", "diners"),
    "pm_card_jcb": _pays("3566002020360505", "JCB", "jcb"),
    "pm_card_unionpay": _pays("6200000000000005", "UnionPay", "unionpay"),
    "pm_card_br": _pays("4000000760000002", "Brazil", country="BR"),
    "pm_card_de": _pays("4000002760000016", "Germany", country="DE"),
    "pm_card_fr": _pays("4000002500000003", "France", country="FR"),
    "pm_card_gb": _pays("4000008260000000", "United Kingdom", country="GB"),
    "pm_card_bypassPending": _pays("4000000000000077", "is available at once"),
    "pm_card_riskLevelElevated": _pays("4000000000009235", "elevated risk"),
    "pm_card_cvcCheckFail": _pays("4000000000000101", "wrong CVC"),
    "pm_card_avsZipFail": _pays("4000000000000036", "wrong postal code"),
    "pm_card_avsLine1Fail": _pays("4000000000000028", "wrong address"),
    "pm_card_avsFail": _pays("4000000000000010", "wrong address and postal code"),
    "pm_card_avsUnchecked": _pays("4000000000000044", "unchecked address"),
    "pm_card_chargeDeclined": _DECLINED,
    "pm_card_visa_chargeDeclined": _DECLINED,
    "pm_card_chargeDeclinedInsufficientFunds": _NO_FUNDS,
    "pm_card_visa_chargeDeclinedInsufficientFunds": _NO_FUNDS,
    "pm_card_visa_chargeDeclinedLostCard": _refuses("4000000000009987", "lost_card", "is reported as lost"),
    "pm_card_visa_chargeDeclinedStolenCard": _refuses("4000000000009979", "stolen_card", "is reported as stolen"),
    "pm_card_chargeDeclinedExpiredCard": _refuses("4000000000000069", "expired_card", "has expired"),
    "pm_card_chargeDeclinedIncorrectCvc": _refuses("4000000000000127", "incorrect_cvc", "has another CVC"),
    "pm_card_chargeDeclinedProcessingError": _refuses("4000000000000119", "processing_error", "cannot be processed"),
    "pm_card_visa_chargeDeclinedVelocityLimitExceeded": _refuses(
        "4000000000006975", "card_velocity_exceeded", "is over its limit"
    ),
    "pm_card_radarBlock": _refuses("4100000000000019", "fraudulent", "is blocked as fraud"),
    # Stripe's default rules block the highest risk: https://docs.stripe.com/radar/rules#built-in-rules
    "pm_card_riskLevelHighest": _refuses("4000000000004954", "fraudulent", "has the highest risk"),
    "pm_card_chargeCustomerFail": Card("4000000000000341", "generic_decline", "can be saved, and is then declined"),
    "pm_card_authenticationRequired": _asks("4000002760003184"),
    "pm_card_authenticationRequiredOnSetup": _asks("4000002500003155", "action_once"),
    "pm_card_authenticationRequiredSetupForOffSession": _asks("4000003800000446", "action_present"),
    "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds": _asks(
        "4000008260003178", then="insufficient_funds"
    ),
    "pm_card_threeDSecure2Required": _asks("4000000000003220"),
    "pm_card_threeDSecureRequired": _asks("4000000000003063"),
    "pm_card_threeDSecureRequiredChargeDeclined": _asks("4000008400001629", then="generic_decline"),
    "pm_card_threeDSecureOptional": _pays("4000000000003055", "3-D Secure is not asked for"),
    "pm_card_createDispute": Card("4000000000000259", "disputed", "is paid, and then disputed"),
    "pm_card_createDisputeProductNotReceived": Card("4000000000002685", "disputed", "is paid, and then disputed"),
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

# Further numbers of the same brands.
_MORE_NUMBERS: Final = {
    "2223003122003222": "pm_card_mastercard",
    "371449635398431": "pm_card_amex",
    "6011000990139424": "pm_card_discover",
    "6011981111111113": "pm_card_discover",
    "36227206271667": "pm_card_diners",
    "6200000000000047": "pm_card_unionpay",
    "6205500000000000004": "pm_card_unionpay",
}

# These outcomes are error codes of their own. Then there is no decline code. A recorded payload with incorrect_cvc:
# https://github.com/woocommerce/woocommerce/issues/26398
_OWN_CODES: Final = {
    "expired_card": {"message": "Your card has expired.", "param": "exp_month"},
    "incorrect_cvc": {"message": "Your card's security code is incorrect.", "param": "cvc"},
    "incorrect_number": {"message": "Your card number is incorrect.", "param": "number"},
    "processing_error": {"message": "An error occurred while processing your card. Try again in a little bit."},
}
_MESSAGES: Final = {
    "insufficient_funds": "Your card has insufficient funds.",
    "test_mode_live_card": "Your card was declined. Your request was in test mode, but used a non test card. "
    "For a list of valid test cards, visit: https://stripe.com/docs/testing.",
}


def outcome(name: str, *, set_up: bool = False, automatic: bool = False) -> str:
    """The outcome of a charge of this test card now: `paid`, `action`, … or a code.

    `set_up`: the customer has confirmed this saved card before. `automatic`: Stripe charges by itself.
    """
    found = CARDS[name].outcome
    if found == "action_once":
        return "paid" if set_up else "action"
    if found == "action_present":
        return "paid" if automatic else "action"
    return found


def refusal(code: str) -> dict[str, Any]:
    """The fields of the card error for an outcome. https://docs.stripe.com/testing#declined-payments"""
    if code in _OWN_CODES:
        return {"code": code, **_OWN_CODES[code]}
    return {"code": "card_declined", "decline_code": code, "message": _MESSAGES.get(code, "Your card was declined.")}


def named_by(number: str) -> str | None:
    """The name of the card with this number, or of the account with this IBAN."""
    bare = _bare(number)
    return _MORE_NUMBERS.get(bare) or next((name for name, card in CARDS.items() if card.number == bare), None)


def refusal_of_number(number: str) -> dict[str, Any]:
    """Why a number that is no test card is refused: it is mistyped, or it may be a real card.

    A number has a check digit (Luhn). https://docs.stripe.com/testing#invalid-data and
    https://docs.stripe.com/declines/codes (`test_mode_live_card`)
    """
    bare = _bare(number)
    digits = [int(digit) for digit in reversed(bare)] if bare.isdecimal() else [1]
    total = sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return refusal("incorrect_number" if total % 10 else "test_mode_live_card")


def _bare(number: str) -> str:
    return "".join(filter(str.isalnum, number))
