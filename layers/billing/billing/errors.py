"""One exception for each failure, with its HTTP status and its RFC 9457 problem type.

`str(error)` is the `detail` of the problem document. The caller sees it, and it says what to do. So it must not hold a
secret, an id of another tenant, or the text of Stripe's own errors. `docs/problems.md` lists every type.
"""

from http import HTTPStatus
from typing import ClassVar


class BillingError(Exception):
    """A refusal or failure with a problem document of its own."""

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str, *, retry_after: int | None = None) -> None:
        """`retry_after` is in seconds; it becomes the `Retry-After` header."""
        super().__init__(detail)
        self.retry_after = retry_after

    @property
    def is_fault(self) -> bool:
        """Whether the service failed, and not the caller."""
        return self.status >= HTTPStatus.INTERNAL_SERVER_ERROR

    @property
    def type(self) -> str:
        return f"urn:billing:problem:{self.slug}"


class BadRequest(BillingError):
    """A parameter is missing, malformed, unknown or given twice with different values."""

    status, slug, title = 400, "bad-request", "Bad request"


class BadReturnUrl(BillingError):
    status, slug, title = 400, "bad-return-url", "Return URL not allowed"


class UnknownPrice(BillingError):
    status, slug, title = 400, "unknown-price", "Stripe price cannot be used"


class InvalidSignature(BillingError):
    status, slug, title = 400, "invalid-signature", "Invalid Stripe signature"


class InvalidEvent(BillingError):
    """The signature is right, but this endpoint cannot read the body as an event."""

    status, slug, title = 400, "invalid-event", "Not a Stripe event"


class ThinEvent(BillingError):
    status, slug, title = 400, "thin-event", "Thin events are not supported"


class BodyTooLarge(BillingError):
    status, slug, title = 413, "body-too-large", "Body too large"


class CardDeclined(BillingError):
    status, slug, title = 402, "card-declined", "Card declined"


class Forbidden(BillingError):
    """The caller may not act for that tenant or customer. The answer does not tell whether it exists."""

    status, slug, title = 403, "forbidden", "Not yours"


class AdminOnly(BillingError):
    status, slug, title = 403, "admin-only", "Scope of operators needed"


class PlanNotFound(BillingError):
    status, slug, title = 404, "plan-not-found", "Unknown plan"


class InvoiceNotFound(BillingError):
    status, slug, title = 404, "invoice-not-found", "Unknown invoice"


class CustomerNotFound(BillingError):
    status, slug, title = 404, "customer-not-found", "Unknown customer"


class PlanInactive(BillingError):
    status, slug, title = 409, "plan-inactive", "Plan is not on sale"


class SubscriptionExists(BillingError):
    status, slug, title = 409, "subscription-exists", "Tenant is subscribed already"


class CustomerMismatch(BillingError):
    status, slug, title = 409, "customer-mismatch", "Tenant has another Stripe customer"


class InvoiceNotPayable(BillingError):
    status, slug, title = 409, "invoice-not-payable", "Invoice cannot be paid"


class AlreadyExists(BillingError):
    status, slug, title = 409, "already-exists", "Exists with other content"


class TooManyCalls(BillingError):
    """One tenant makes so many calls that it could use up the rate that Stripe allows the account."""

    status, slug, title = 429, "too-many-calls", "Too many calls"


class StripeRateLimited(BillingError):
    status, slug, title = 429, "stripe-rate-limited", "Stripe is rate limiting"


class StripeRejected(BillingError):
    """Stripe refused our request, because of a bug or a wrong configuration. The log has Stripe's request id."""

    status, slug, title = 502, "stripe-rejected", "Stripe refused the request"


class StripeNotFound(StripeRejected):
    """Stripe has no such object. Each use case decides what that means."""


class CustomerGone(StripeRejected):
    """The customer that the request names was deleted at Stripe."""


class StripeUnavailable(BillingError):
    status, slug, title = 503, "stripe-unavailable", "Stripe is not available"


class StripeFailed(StripeUnavailable):
    """Stripe answered with a 5xx. For a day it gives the same answer to the same idempotency key.

    Source: https://docs.stripe.com/api/idempotent_requests
    """


class AwsUnavailable(BillingError):
    """A service of AWS timed out, throttled us, failed or could not be reached. A moment later it may answer."""

    status, slug, title = 503, "aws-unavailable", "A service of AWS is not available"


class Contention(BillingError):
    """Others changed the same records in each of our tries."""

    status, slug, title = 503, "contention", "Too many concurrent changes"


class Misconfigured(BillingError):
    """An environment variable or secret is missing or malformed."""

    slug, title = "misconfigured", "Service is misconfigured"


class Unresolved(BillingError):
    """An event needs an object that cannot be found yet (Stripe delivers the event again), or the table holds a final
    state that Stripe does not have (a human must look at it).
    """

    status, slug, title = 503, "unresolved", "Event cannot be applied yet"


class Unreadable(BillingError):
    """An object of Stripe's lacks a field that is needed, or has it in another type. Nothing of it is stored."""

    slug, title = "unreadable-object", "Object of Stripe's cannot be read"


class CheckoutNotFound(BillingError):
    """The checkout does not exist, or it is not the caller's. The answer does not tell which."""

    status, slug, title = 404, "checkout-not-found", "Unknown checkout"


class EventNotFound(BillingError):
    """The table does not have the event, and if Stripe was asked, Stripe does not have it either."""

    status, slug, title = 404, "event-not-found", "Unknown event"


class EventExpired(BillingError):
    """The table has a record of the event, but Stripe does not keep the event any more."""

    status, slug, title = 409, "event-expired", "Stripe does not have the event any more"


# -- for the code only: no caller sees these


class UnknownObject(Exception):
    """No code handles objects of this kind. See `replica/account.py`."""


class RevisionConflict(Exception):
    """Somebody else wrote one of the items since it was read, or an id has another owner. Read again and try again."""


class RecordDone(Exception):
    """The event's record is not open any more: another delivery closed it."""
