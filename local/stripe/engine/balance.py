"""The account's balance. Money is pending at first; that of one test card is available at once.

https://docs.stripe.com/testing#available-balance and https://docs.stripe.com/api/balance
"""

from typing import Final

from local.stripe.engine.store import Object, Store

AT_ONCE: Final = "pm_card_bypassPending"


def balance(store: Store) -> Object:
    """The sums of the charges in minor units, without refunds, for each currency."""
    sums: dict[str, dict[str, int]] = {"available": {}, "pending": {}}
    for charge in store.all("charge", status="succeeded"):
        method = store.find(charge["payment_method"] or "")
        at_once = method is not None and method["_card"] == AT_ONCE
        part = sums["available" if at_once else "pending"]
        kept = charge["amount_captured"] - charge["amount_refunded"]
        part[charge["currency"]] = part.get(charge["currency"], 0) + kept
    currencies = sorted({*sums["available"], *sums["pending"]}) or ["usd"]
    made = {name: [_amount(part.get(currency, 0), currency) for currency in currencies] for name, part in sums.items()}
    return {"object": "balance", "livemode": False, **made}


def _amount(amount: int, currency: str) -> Object:
    return {"amount": amount, "currency": currency, "source_types": {"card": amount}}


def tell(store: Store, method: str) -> None:
    """Money has arrived by this payment method."""
    found = store.find(method)
    if found and found["_card"] == AT_ONCE:
        store.emit("balance.available", balance(store))
