"""One exception a failure, each with its HTTP status and its RFC 9457 problem type.

`str(error)` is the `detail` of the problem document: it is shown to the caller and says what to do, so it holds no
secret, no id of another tenant and nothing that Stripe said internally. `docs/problems.md` lists every type.
"""

from http import HTTPStatus
from typing import ClassVar


class BillingError(Exception):
    """A refusal or failure that a caller is told about."""

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str, *, retry_after: int | None = None) -> None:
        """`retry_after` is in seconds; it becomes the `Retry-After` header."""
        super().__init__(detail)
        self.retry_after = retry_after

    @property
    def is_fault(self) -> bool:
        """Whether it is the service's failure, not the caller's."""
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
    """The signature is right, but the body is no event that this endpoint can read."""

    status, slug, title = 400, "invalid-event", "Not a Stripe event"


class ThinEvent(BillingError):
    status, slug, title = 400, "thin-event", "Thin events are not supported"


class BodyTooLarge(BillingError):
    status, slug, title = 413, "body-too-large", "Body too large"


class CardDeclined(BillingError):
    status, slug, title = 402, "card-declined", "Card declined"


class Forbidden(BillingError):
    """The caller may not act for that tenant or customer; says nothing about whether it exists."""

    status, slug, title = 403, "forbidden", "Not yours"


class AdminOnly(BillingError):
    status, slug, title = 403, "admin-only", "Scope billing:admin needed"


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


class StripeRateLimited(BillingError):
    status, slug, title = 429, "stripe-rate-limited", "Stripe is rate limiting"


class StripeRejected(BillingError):
    """Stripe refused our request: a bug or a wrong configuration on our side. The log has Stripe's request id."""

    status, slug, title = 502, "stripe-rejected", "Stripe refused the request"


class StripeNotFound(StripeRejected):
    """Stripe has no such object; each use case says what that means there."""


class StripeUnavailable(BillingError):
    status, slug, title = 503, "stripe-unavailable", "Stripe is not available"


class StripeFailed(StripeUnavailable):
    """Stripe answered with a 5xx. Asked again with the same idempotency key it gives the same answer for a day.

    Source: https://docs.stripe.com/api/idempotent_requests
    """


class Contention(BillingError):
    """Several writers changed the same record for longer than we were willing to try."""

    status, slug, title = 503, "contention", "Too many concurrent changes"


class Misconfigured(BillingError):
    """An environment variable or secret is missing or malformed."""

    slug, title = "misconfigured", "Service is misconfigured"


class Unresolved(BillingError):
    """An event is ours, but what it speaks of cannot be found yet: Stripe delivers it again."""

    status, slug, title = 503, "unresolved", "Event cannot be applied yet"


class RevisionConflict(Exception):
    """Somebody else wrote one of the items since it was read. Read again and try again."""


class RecordDone(Exception):
    """The event's record was completed by another delivery: nothing is left to do."""


class CheckoutNotFound(BillingError):
    """Not there, or not the caller's: the answer does not tell which."""

    status, slug, title = 404, "checkout-not-found", "Unknown checkout"


class EventNotFound(BillingError):
    """Neither the table nor, where it was asked, Stripe has the event."""

    status, slug, title = 404, "event-not-found", "Unknown event"


class EventExpired(BillingError):
    """The table has a record of the event, Stripe has not the event any more."""

    status, slug, title = 409, "event-expired", "Stripe does not have the event any more"
