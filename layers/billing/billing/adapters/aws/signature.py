"""AWS's Signature Version 4 for a POST to `/`, by the standard library alone.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hmac
import time
from functools import lru_cache
from hashlib import sha256

from billing.adapters.aws.credentials import Credentials


def sign(headers: dict[str, str], body: bytes, service: str, region: str, credentials: Credentials) -> None:
    """Adds the date, the session token and the signature to the headers, whose names are in lower case.

    Every header that is there is signed. `host` must be among them.
    """
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    headers["x-amz-date"] = now
    if credentials.session_token:
        headers["x-amz-security-token"] = credentials.session_token
    names = sorted(headers)
    signed = ";".join(names)
    lines = "".join(f"{name}:{headers[name]}\n" for name in names)
    request = f"POST\n/\n\n{lines}\n{signed}\n{sha256(body).hexdigest()}"
    scope = f"{now[:8]}/{region}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{sha256(request.encode()).hexdigest()}"
    key = _key(credentials.secret_access_key, now[:8], region, service)
    made = hmac.digest(key, text.encode(), "sha256").hex()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key_id}/{scope}, SignedHeaders={signed}, Signature={made}"
    )


@lru_cache(maxsize=8)
def _key(secret: str, *scope: str) -> bytes:
    """The key of one day, region and service."""
    key = f"AWS4{secret}".encode()
    for part in (*scope, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
