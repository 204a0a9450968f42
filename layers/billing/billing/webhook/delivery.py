"""A delivery of Stripe's: authenticate the bytes, read the event, hand it to the inbox."""

from typing import Final

from aws_lambda_powertools.metrics import MetricUnit

from billing import clock
from billing.errors import BodyTooLarge, InvalidSignature
from billing.observability import logger, metrics
from billing.secret import SecretStore
from billing.table.records import RecordStatus
from billing.table.store import Table
from billing.webhook import inbox, signature
from billing.webhook.inbox import Fetcher, Inbox, Receipt
from billing.webhook.payloads import parse_event
from billing.webhook.signature import UnknownSecret

MAX_BODY_BYTES: Final = 1024 * 1024


def accept(table: Table, secrets: SecretStore, fetch: Fetcher, body: bytes, header: str) -> Receipt:
    """Raises `BodyTooLarge`, `InvalidSignature`, `InvalidEvent`, `ThinEvent`, and what kept it from being applied.

    Nothing is read from the body, and nothing written, before its signature is right.
    """
    if len(body) > MAX_BODY_BYTES:
        raise BodyTooLarge(f"An event has at most {MAX_BODY_BYTES} bytes.")
    _authenticate(secrets, body, header)
    event = parse_event(body)
    logger.append_keys(event_id=event.id, event_type=event.type)
    receipt = Inbox(table, fetch, livemode=secrets.read().livemode).receive(event)
    _report(receipt)
    return receipt


def _authenticate(secrets: SecretStore, body: bytes, header: str) -> None:
    try:
        try:
            signature.verify(body, header, secrets.read().webhook_secrets, clock.seconds())
        except UnknownSecret:
            fresh = secrets.refresh()  # the secret may have been rolled since it was cached
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
    if record.status is RecordStatus.IGNORED and record.reason == inbox.OTHER_MODE:
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
