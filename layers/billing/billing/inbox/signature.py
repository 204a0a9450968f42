"""Stripe's webhook signature, by the standard library alone: the SDK's own check costs its whole import.

`Stripe-Signature: t=<unix seconds>,v1=<hex>[,v1=<hex>…]`; what is signed is `<t>.<raw body>` with HMAC-SHA256.
While a secret is rolled Stripe signs with both, so any v1 that any secret made will do.
Source: https://docs.stripe.com/webhooks#verify-manually
"""

import hmac
import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from billing.errors import InvalidSignature

TOLERANCE_SECONDS: Final = 300
_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}", re.ASCII)
_MAX_SIGNATURES: Final = 16  # bounds the work that one unauthenticated header can ask for


class UnknownSecret(InvalidSignature):
    """The header is well formed, but no secret that we know made it."""


def verify(body: bytes, header: str, secrets: Sequence[str], now: float) -> None:
    """Returns when one secret made one signature, and its time is within 300 s of `now` (past or future).

    Raises `InvalidSignature`, also when no secret is configured.
    """
    timestamp, signatures = _parse(header)
    if not any(_matches(body, timestamp, signatures, secret) for secret in secrets if secret):
        raise UnknownSecret("No configured webhook secret made this signature.")
    if abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        raise InvalidSignature(f"The signature's time is more than {TOLERANCE_SECONDS} s away from now.")


def sign(body: bytes, secret: str, timestamp: int) -> str:
    """The header that Stripe would send."""
    return f"t={timestamp},v1={_digest(body, str(timestamp), secret)}"


def _parse(header: str) -> tuple[str, list[bytes]]:
    pairs = [
        (name, value) for name, separator, value in (part.partition("=") for part in header.split(",")) if separator
    ]
    timestamps = [value for name, value in pairs if name == "t"]
    signatures = [value.encode(errors="replace") for name, value in pairs if name == "v1"]
    if len(timestamps) != 1 or not _TIMESTAMP.fullmatch(timestamps[0]):
        raise InvalidSignature("The header Stripe-Signature is missing or malformed.")
    if not 0 < len(signatures) <= _MAX_SIGNATURES:
        raise InvalidSignature("The header Stripe-Signature has no usable v1 signature.")
    return timestamps[0], signatures


def _matches(body: bytes, timestamp: str, signatures: Sequence[bytes], secret: str) -> bool:
    expected = _digest(body, timestamp, secret).encode()
    return any(hmac.compare_digest(expected, signature) for signature in signatures)


def _digest(body: bytes, timestamp: str, secret: str) -> str:
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, sha256).hexdigest()
