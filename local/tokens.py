"""Issues tokens like the platform's identity provider, and checks them like the authorizer of API Gateway."""

import os
import re
import time
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from local.template import ROOT

STATE: Final = Path(os.environ.get("STACK_STATE") or ROOT / ".local")  # a second stack may have another folder
ISSUER: Final = "https://platform.local"
AUDIENCE: Final = "billing"
TENANT_CLAIM: Final = "tenant_id"
LIFETIME_SECONDS: Final = 30 * 24 * 3600

_COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){2}")


def signing_key(folder: Path = STATE) -> rsa.RSAPrivateKey:
    """The key of this machine. The first call makes it."""
    path = folder / "token-key.pem"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.touch(mode=0o600)
        path.write_bytes(pem)
    loaded = serialization.load_pem_private_key(path.read_bytes(), None)
    assert isinstance(loaded, rsa.RSAPrivateKey)
    return loaded


def issue(tenant_id: str | None, *, scope: str = "", folder: Path = STATE, **claims: Any) -> str:
    now = int(time.time())
    payload = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + LIFETIME_SECONDS, "scope": scope}
    payload |= {TENANT_CLAIM: tenant_id, "sub": f"user-of-{tenant_id}"} if tenant_id else {"sub": "operator"}
    return jwt.encode(payload | claims, signing_key(folder), algorithm="RS256")


def verify(token: str, folder: Path = STATE) -> dict[str, Any]:
    """Returns the claims. Raises `jwt.InvalidTokenError`. Like API Gateway, it accepts only RSA keys and needs exp.

    PyJWT skips characters in the signature that are not base64url, and takes a time that is a text. The standards do
    not allow this (RFC 7515, 2; RFC 7519, 2), so both are refused here.
    """
    if not _COMPACT.fullmatch(token):
        raise jwt.DecodeError("The token is not three parts of base64url.")
    key = signing_key(folder).public_key()
    claims: dict[str, Any] = jwt.decode(
        token, key, algorithms=["RS256"], audience=AUDIENCE, issuer=ISSUER, options={"require": ["exp", "iss"]}
    )
    for name in ("exp", "nbf", "iat"):
        if not isinstance(claims.get(name, 0), (int, float)) or isinstance(claims.get(name), bool):
            raise jwt.DecodeError(f"{name} is not a number.")
    return claims
