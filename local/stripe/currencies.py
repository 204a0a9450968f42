"""The currencies in which Stripe charges, and how little and how much. https://docs.stripe.com/currencies"""

from typing import Final

CURRENCIES: Final = tuple(
    # Those of an account in the United States: https://github.com/flowcore-io/luttaka-open/issues/100
    """usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bif bmd bnd bob brl bsd bwp byn bzd cad cdf chf clp
    cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl hrk htg huf idr ils inr
    isk jmd jpy kes kgs khr kmf krw kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad
    ngn nio nok npr nzd pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos srd std szl thb
    tjs top try ttd twd tzs uah ugx uyu uzs vnd vuv wst xaf xcd xof xpf yer zar zmw""".split()
)

# In minor units: https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts. The page has no other ones.
MINIMUM: Final = {
    "usd": 50,
    "aed": 200,
    "aud": 50,
    "bgn": 100,
    "brl": 50,
    "cad": 50,
    "chf": 50,
    "czk": 1500,
    "dkk": 250,
    "eur": 50,
    "gbp": 30,
    "hkd": 400,
    "huf": 17500,
    "inr": 50,
    "jpy": 50,
    "mxn": 1000,
    "myr": 200,
    "nok": 300,
    "nzd": 50,
    "pln": 200,
    "ron": 200,
    "sek": 300,
    "sgd": 50,
    "thb": 1000,
}
_DIGITS: Final = {"idr": 12, "cop": 10, "inr": 9}  # of the largest amount: the same page; 8 in all other currencies

# https://docs.stripe.com/currencies#zero-decimal
_NO_DECIMALS: Final = frozenset("bif clp djf gnf jpy kmf krw mga pyg rwf ugx vnd vuv xaf xof xpf".split())
_SYMBOLS: Final = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}


def most(currency: str) -> int:
    """The largest amount that can be charged, in minor units."""
    return int("9" * _DIGITS.get(currency, 8))


def written(amount: int, currency: str) -> str:
    """An amount in minor units as Stripe's messages write it: `$0.50 usd`."""
    number = f"{amount:,}" if currency in _NO_DECIMALS else f"{amount / 100:,.2f}"
    return f"{_SYMBOLS.get(currency, '')}{number} {currency}"
