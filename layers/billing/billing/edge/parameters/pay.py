"""Of the platform's own invoices, and of what pays an invoice."""

from datetime import UTC, date, datetime
from typing import Annotated

from pydantic import AfterValidator, Field, StrictInt, StringConstraints

from billing.domain.invoicing import MAX_AMOUNT
from billing.edge.parameters import Id, Parameters, TenantId

_YEARS = (2000, 9998)


def _known_currency(code: str) -> str:
    if code.lower() not in CURRENCIES:
        raise ValueError("is not an ISO 4217 code that Stripe charges in")
    return code.lower()


def _in_utc(text: str) -> str:
    """A date means the end of that day. A time without an offset is refused."""
    try:
        if len(text) == len("2026-11-23"):
            return f"{date.fromisoformat(text).isoformat()}T23:59:59Z"
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise ValueError("is not a date (2026-11-23) or a time (2026-11-23T12:00:00Z)") from error
    if moment.tzinfo is None:
        raise ValueError("needs an offset: 2026-11-23T12:00:00Z")
    if not _YEARS[0] <= moment.year <= _YEARS[1]:
        raise ValueError(f"is not between the years {_YEARS[0]} and {_YEARS[1]}")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# https://docs.stripe.com/currencies#presentment-currencies
CURRENCIES = frozenset(
    "usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn bzd cad cdf chf "
    "clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl hrk htg huf idr "
    "ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr "
    "mwk mxn myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd "
    "shp sle sll sos srd std svc szl thb tjs tnd top try ttd twd tzs uah ugx uyu uzs vnd vuv wst xaf xcd xcg xof xpf "
    "yer zar zmw".split()
)

Currency = Annotated[str, StringConstraints(max_length=3), AfterValidator(_known_currency)]
Moment = Annotated[str, StringConstraints(max_length=40), AfterValidator(_in_utc)]


class PayInvoice(Parameters):
    invoice_id: Id


class CreateInvoice(Parameters):
    """`amount` in minor units of `currency`; `due_date` an ISO 8601 date or time.

    `idempotency_key` comes as the header `Idempotency-Key`, and is of use without an `invoice_id`.
    """

    tenant_id: TenantId
    invoice_id: Id | None = None
    amount: Annotated[StrictInt, Field(gt=0, le=MAX_AMOUNT)]
    currency: Currency
    due_date: Moment | None = None
    description: Annotated[str, StringConstraints(min_length=1, max_length=500)] | None = None
    idempotency_key: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = None
