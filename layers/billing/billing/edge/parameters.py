"""What callers send: a strict model for each endpoint. Unknown names and wrong types are refused."""

from datetime import UTC, date, datetime
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StringConstraints,
)
from pydantic.alias_generators import to_camel

from billing.domain.ids import PATTERN, is_tenant_id
from billing.domain.invoicing import MAX_AMOUNT

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


def _tenant(text: str) -> str:
    if not is_tenant_id(text):
        raise ValueError("is not the id of a tenant")
    return text


# https://docs.stripe.com/currencies#presentment-currencies
CURRENCIES = frozenset(
    "usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn bzd cad cdf chf "
    "clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl hrk htg huf idr "
    "ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr "
    "mwk mxn myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd "
    "shp sle sll sos srd std svc szl thb tjs tnd top try ttd twd tzs uah ugx uyu uzs vnd vuv wst xaf xcd xcg xof xpf "
    "yer zar zmw".split()
)

Id = Annotated[str, StringConstraints(pattern=PATTERN)]
TenantId = Annotated[Id, AfterValidator(_tenant)]
StripeId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]{1,255}$")]
Currency = Annotated[str, StringConstraints(max_length=3), AfterValidator(_known_currency)]
Moment = Annotated[str, StringConstraints(max_length=40), AfterValidator(_in_utc)]


class Parameters(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)


class StartCheckout(Parameters):
    tenant_id: TenantId
    plan_id: Id
    customer_id: StripeId | None = None


class OpenPortal(Parameters):
    customer_id: StripeId
    return_url: Annotated[str, StringConstraints(max_length=2000)] | None = None


class PayInvoice(Parameters):
    invoice_id: Id


class PutPlan(Parameters):
    """`trial_days`: Stripe allows up to two years."""

    plan_id: Id
    stripe_price_id: StripeId
    name: Annotated[str, StringConstraints(min_length=1, max_length=250, strip_whitespace=True)]
    trial_days: Annotated[StrictInt, Field(ge=0, le=730)] = 0
    active: StrictBool = True


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


# -- operators


def _number(value: object) -> object:
    """The number in a query string's text. Anything else stays as it is."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value


EventId = Annotated[str, StringConstraints(pattern=r"^evt_[A-Za-z0-9_]{1,250}$")]
Limit = Annotated[StrictInt, Field(ge=1, le=100), BeforeValidator(_number)]
# A cursor holds a sort key, and DynamoDB takes at most 1024 bytes of it.
Cursor = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,1200}$")]
DEFAULT_LIMIT = 20


class ListStripeEvents(Parameters):
    """Either `status` FAILED alone, or a tenant's events, with one status or with any."""

    status: Literal["RECEIVED", "PROCESSED", "IGNORED", "STALE", "FAILED"] | None = None
    tenant_id: TenantId | None = None
    limit: Limit = DEFAULT_LIMIT
    cursor: Cursor | None = None


class OneStripeEvent(Parameters):
    """The event to show or to replay."""

    event_id: EventId


class GetTenantHistory(Parameters):
    tenant_id: TenantId
    limit: Limit = DEFAULT_LIMIT
    cursor: Cursor | None = None


# -- reconciliation and the way back from Checkout


def _boolean(value: object) -> object:
    """The boolean in a query string's text. Anything else stays as it is."""
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


SessionId = Annotated[str, StringConstraints(pattern=r"^cs_[A-Za-z0-9_]{1,250}$")]
Flag = Annotated[StrictBool, BeforeValidator(_boolean)]


class Reconcile(Parameters):
    """`dry_run`: writes nothing and only reports."""

    dry_run: Flag = False


class GetCheckout(Parameters):
    session_id: SessionId
