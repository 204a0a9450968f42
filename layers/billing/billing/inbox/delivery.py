"""One delivery of Stripe: check the signature of its bytes, read the event, hand it to the inbox."""

from dataclasses import dataclass
from typing import Final

from aws_lambda_powertools.metrics import MetricUnit

from billing import clock
from billing.adapters.secret import SecretStore
from billing.domain.records import RecordStatus
from billing.errors import BodyTooLarge, InvalidSignature
from billing.inbox import signature
from billing.inbox.inbox import OTHER_MODE, Inbox, Receipt
from billing.inbox.signature import UnknownSecret
from billing.observability import logger, metrics
from billing.replica.stripe_event import parse_event

MAX_BODY_BYTES: Final = 1024 * 1024


@dataclass(frozen=True)
class Deliveries:
    secrets: SecretStore
    inbox: Inbox

    def accept(self, body: bytes, header: str) -> Receipt:
        """Raises `BodyTooLarge`, `InvalidSignature`, `InvalidEvent`, `ThinEvent`, and what kept it from being applied.

        Nothing is read from the body, and nothing is written, before its signature is known to be right.
        """
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLarge(f"An event has at most {MAX_BODY_BYTES} bytes.")
        self._authenticate(body, header)
        event = parse_event(body)
        logger.append_keys(event_id=event.id, event_type=event.type)
        receipt = self.inbox.receive(event)
        _report(receipt)
        return receipt

    def _authenticate(self, body: bytes, header: str) -> None:
        try:
            try:
                signature.verify(body, header, self.secrets.read().webhook_secrets, clock.seconds())
            except UnknownSecret:
                fresh = self.secrets.refresh()  # the secret may have been rolled since it was cached
                if fresh is None:
                    raise
                signature.verify(body, header, fresh.webhook_secrets, clock.seconds())
        except InvalidSignature:
            metrics.add_metric("InvalidSignature", MetricUnit.Count, 1)
            raise


def _report(receipt: Receipt) -> None:
    record = receipt.record
    name = "EventDuplicate" if receipt.duplicate else f"Event{record.status.capitalize()}"
    metrics.add_metric(name, MetricUnit.Count, 1)
    if record.status is RecordStatus.IGNORED and record.reason == OTHER_MODE:
        metrics.add_metric("LivemodeMismatch", MetricUnit.Count, 1)
    logger.info(
        "event received",
        extra={
            "record": record.status,
            "reason": record.reason,
            "tenant_id": record.tenant_id,
            "duplicate": receipt.duplicate,
        },
    )
