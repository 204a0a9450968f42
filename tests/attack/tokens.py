"""Two attacks on who the caller is: `Tokens` forges tokens, `Claims` has tokens with odd claims.

`Tokens`. Tried: other algorithms (none, HS256 with the public key, RS512), other keys, tricks with `kid`, `jwk` and
`crit`, times, issuers and audiences that are wrong or missing, tokens that were changed, cut, or put together anew.
Defended: the local gateway lets through only tokens of the platform's own key that are valid now.
Judged by RFC 7515 and RFC 7519, read here with `cryptography` alone, and the table of `docs/identity.md`. What they do
not allow must be answered 401, and must not reach the function. A plain token must reach it.

`Claims`. Tried: claims of the tenant and of scopes as API Gateway hands them over: as text, and a list as `[a b]`.
Defended: nobody acts for another tenant or as an operator by the form of a claim.
Judged by `docs/identity.md`, which is written here once more as two rules. Everybody else must get a 403.
"""

import base64
import binascii
import datetime as dt
import hmac
import json
import math
import random
import re
import string
import tempfile
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from werkzeug.test import Client
from werkzeug.wrappers import Response

from local import template, tokens
from local.aws.gateway import Api, Gateway
from local.aws.runtime import Ended
from tests.attack.ground import NOW, Event, Found, Ground, request

ISSUER: Final = "https://platform.local"
AUDIENCE: Final = "billing"
PLAIN: Final = {"iss": ISSUER, "aud": AUDIENCE, "exp": NOW + 60, "tenant_id": "mallory", "scope": ""}
PATH: Final = "/api/v1/billing/tenants/mallory/history"

MISSING: Final = object()
CLAIMS: Final[dict[str, tuple[Any, ...]]] = {
    "exp": (MISSING, NOW, NOW - 1, NOW + 1, None, "x", [], True, str(NOW + 60), NOW + 0.5, 1e300, math.inf, math.nan),
    "nbf": (NOW, NOW - 1, NOW + 1, NOW + 9999, None, "x", str(NOW), [], math.inf),
    "iat": (NOW, NOW - 1, NOW + 1, NOW + 9999, "x", [], math.inf),
    "iss": (MISSING, "", "https://platform.local/", "https://platform", "HTTPS://PLATFORM.LOCAL", None, [ISSUER], {}),
    "aud": (MISSING, "billing2", "BILLING", None, [], ["x"], ["x", AUDIENCE], [[AUDIENCE]], {AUDIENCE: 1}, "billing x"),
}  # fmt: skip
HEADERS: Final[tuple[Event, ...]] = (
    *[{"alg": "RS256", "typ": "JWT"}] * 36,
    *[{"alg": alg} for alg in ("none", "nOnE", "", "HS256", "RS512", "PS256", "ES256", "rs256", None, 1, ["RS256"])],
    *[{"alg": "RS256", "kid": kid} for kid in ("", "../../dev/null", "' or 1=1", 7, None)],
    {"alg": "RS256", "crit": ["exp"]}, {"alg": "RS256", "crit": ["x"], "x": 1},
    {"alg": "RS256", "crit": ["x\r\nSet-Cookie: a=b"], "x\r\nSet-Cookie: a=b": 1},
    {"alg": "RS256\r\nSet-Cookie: a=b"}, {"alg": "RS256", "kid": "x\r\n\u0661"},
    {"alg": "RS256", "b64": False, "crit": ["b64"]},
    {"alg": "RS256", "jku": "https://evil.net/keys", "x5u": "https://evil.net/x"}, {},
)  # fmt: skip
SIGNERS: Final = (*["own"] * 16, "other", "public-pem", "public-der", "nothing", "random", "empty", "sha512")


class Tokens:
    def __init__(self, ground: Ground) -> None:
        ground.patch.setattr("jwt.api_jwt.datetime", _Still)
        self.folder = Path(ground.stack.enter_context(tempfile.TemporaryDirectory()))
        self.key = tokens.signing_key(self.folder)
        ground.patch.setattr("local.tokens.signing_key", lambda _: self.key)  # to load it again takes long
        self.other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.calls: list[Event] = []
        function = next(f for f in ground.world.functions if f.code.name == "get_tenant_history")
        api = Api([function], {function.name: self}, template.Cors((), (), (), 0))  # type: ignore[dict-item]
        self.client = Client(Gateway(api, self.folder, lambda _: Response(status=404)))

    def run(self, event: Event) -> Ended:
        """Stands in for the function behind the gateway."""
        self.calls.append(event["requestContext"]["authorizer"]["jwt"]["claims"])
        return Ended(0, {"statusCode": 200, "headers": {}, "body": "{}"})

    def make(self, chance: random.Random) -> Event:
        """How the token is made. The keys are new in each run, so the token's own text is too."""
        wrong = chance.sample(sorted(CLAIMS), chance.choice((0, 0, 1, 1, 2)))
        claims = PLAIN | {name: chance.choice(CLAIMS[name]) for name in wrong}
        used: Any = {name: value for name, value in claims.items() if value is not MISSING}
        if chance.random() < 0.05:
            used = chance.choice(([], "x", None, [used], 1))
        header = chance.choice(HEADERS)
        fitting = {"RS512": "sha512", "HS256": "public-pem", "none": "nothing"}.get(str(header.get("alg")))
        made = {"header": header, "claims": used, "signer": fitting or chance.choice(SIGNERS)}
        return made | {"change": chance.choice((*["none"] * 16, *CHANGES)), "seed": chance.random()}

    def judge(self, given: Event) -> bool:
        sent = self._token(given)
        self.calls.clear()
        answer = self.client.get(PATH, headers={"Authorization": sent})
        allowed = _allowed(sent.strip(" \t").removeprefix("Bearer "), self.key.public_key())
        if self.calls and not allowed:
            raise Found(f"the token came through: {sent}")
        if not self.calls and answer.status_code != 401:
            raise Found(f"the answer is {answer.status_code}: {sent}")
        plain = given["claims"] == PLAIN and given["header"] == HEADERS[0] and given["signer"] == "own"
        if plain and given["change"] == "none" and not self.calls:
            raise Found(f"a plain token got {answer.status_code}: {sent}")
        return bool(self.calls)

    def _token(self, given: Event) -> str:
        signed = f"{_pack(json.dumps(given['header']).encode())}.{_pack(json.dumps(given['claims']).encode())}"
        token = f"{signed}.{_pack(self._signature(given['signer'], signed.encode()))}"
        chance = random.Random(given["seed"])
        return "Bearer " + CHANGES[given["change"]](chance, token) if given["change"] != "none" else "Bearer " + token

    def _signature(self, signer: str, signed: bytes) -> bytes:
        if signer in ("own", "other", "sha512"):
            key = self.other if signer == "other" else self.key
            return key.sign(signed, padding.PKCS1v15(), hashes.SHA512() if signer == "sha512" else hashes.SHA256())
        if signer.startswith("public"):
            form = serialization.Encoding.PEM if signer == "public-pem" else serialization.Encoding.DER
            public = self.key.public_key().public_bytes(form, serialization.PublicFormat.SubjectPublicKeyInfo)
            return hmac.digest(public, signed, "sha256")
        return {"nothing": b"", "random": hmac.digest(b"x", signed, "sha512") * 4}.get(signer, b"\0" * 256)


class _Still(dt.datetime):
    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> "_Still":
        return cls.fromtimestamp(NOW, tz)


def _pack(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _inserted(chance: random.Random, token: str) -> str:
    at = chance.randint(0, len(token))
    return token[:at] + chance.choice(" \t.=+/!%-_A~\x80") + token[at:]


def _replaced(chance: random.Random, token: str) -> str:
    at = chance.randrange(len(token))
    return token[:at] + chance.choice(string.ascii_letters) + token[at + 1 :]


def _other_claims(_: random.Random, token: str) -> str:
    """The signature of one token under the claims of another tenant."""
    header, _claims, signature = token.split(".")
    return f"{header}.{_pack(json.dumps(PLAIN | {'tenant_id': 'victim'}).encode())}.{signature}"


CHANGES: Final[dict[str, Any]] = {
    "cut": lambda chance, token: token[: chance.randrange(len(token))],
    "insert": _inserted,
    "replace": _replaced,
    "other claims": _other_claims,
    "more segments": lambda chance, token: token + "." + chance.choice(("", "x", token)),
    "fewer segments": lambda chance, token: ".".join(chance.sample(token.split("."), chance.choice((1, 2)))),
    "no signature": lambda _, token: token.rsplit(".", 1)[0] + ".",
    "padding": lambda chance, token: token + "=" * chance.choice((1, 2, 3)),
    "twice": lambda chance, token: chance.choice(("Bearer ", "bearer ", token + ", ", token + " ", " ")) + token,
    "standard Base64": lambda _, token: token.replace("-", "+").replace("_", "/"),
}


def _unpack(segment: str) -> bytes:
    """RFC 7515, 2: base64url without padding. Raises `ValueError`."""
    if not re.fullmatch(r"[A-Za-z0-9_-]*", segment) or len(segment) % 4 == 1:
        raise ValueError(segment)
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def _allowed(token: str, key: rsa.RSAPublicKey) -> bool:
    try:
        first, second, third = token.split(".")
        header, claims = json.loads(_unpack(first)), json.loads(_unpack(second))
        key.verify(_unpack(third), f"{first}.{second}".encode(), padding.PKCS1v15(), hashes.SHA256())
    except (ValueError, binascii.Error, InvalidSignature):
        return False
    if not isinstance(header, dict) or not isinstance(claims, dict):
        return False
    audience = claims.get("aud")
    times = [claims[name] for name in ("exp", "nbf", "iat") if name in claims]
    return (
        header.get("alg") == "RS256"
        and "crit" not in header  # RFC 7515, 4.1.11: nothing there is understood
        and claims.get("iss") == ISSUER
        and AUDIENCE in (audience if isinstance(audience, list) else [audience])
        and all(isinstance(time, (int, float)) and not isinstance(time, bool) for time in times)
        and "exp" in claims
        and claims["exp"] > NOW
        and not any(claims.get(name, 0) > NOW for name in ("nbf", "iat"))
    )


# -- claims

TENANTS: Final = ("victim", "mallory", "a" * 64, "x_-9", "None", "null", "true", "false", "nobody")
FORMS: Final = (
    *["{}"] * 6, "[{}]", "[{} mallory]", "[mallory {}]", " {}", "{} ", "{}\n", "{}\0", '"{}"', "{},mallory",
    "TENANT#{}", "{}#", "{}/", "{}é", "{}a" * 40,
)  # fmt: skip
SCOPES: Final = (
    "billing:admin", "billing:admin", "billing:administrator", "BILLING:ADMIN", "openid", "billing/admin",
    "not-billing:admin", "billing:admin2", "[billing:admin]", "billing:admin]", "[billing:admin", "", "billing",
    ":admin", "billing:admin\n", "\tbilling:admin", "billing:\u0430dmin",
)  # fmt: skip
JOINTS: Final = (*[" "] * 4, ",", "\t", "\n", "\u00a0", "  ", ";", "] [")
NAMES: Final = (
    "scope", "scope", "scp", "roles", "role", "scopes", "permissions", "Scope", "cognito:groups", "tenant_id",
)  # fmt: skip


class Claims:
    def __init__(self, ground: Ground) -> None:
        self.world = ground.world

    def make(self, chance: random.Random) -> Event:
        tenant = chance.choice(TENANTS)
        claims: Event = {"sub": "user", "tenant_id": chance.choice(FORMS).replace("{}", tenant)}
        if chance.random() < 0.1:
            claims["tenant_id"] = chance.choice((MISSING, None, 1, True, [tenant], {tenant: 1}, ""))
        for name in chance.sample(NAMES, chance.choice((0, 0, 1, 1, 2))):
            scopes = chance.choice(JOINTS).join(chance.choices(SCOPES, k=chance.choice((0, 1, 1, 2, 3))))
            claims[name] = chance.choice((scopes, scopes, f"[{scopes}]", f"[[{scopes}]]", f"[{scopes}", [scopes]))
        if chance.random() < 0.1:
            claims["token_use"] = chance.choice(("id", "access", "ID", "[id]", ""))
        kept = {name: value for name, value in claims.items() if value is not MISSING}
        return {"claims": kept, "asks for": chance.choice((tenant, tenant, "victim"))}

    def judge(self, given: Event) -> bool:
        claims, tenant = given["claims"], given["asks for"]
        operator = claims.get("token_use") != "id" and any(_operates(claims.get(n)) for n in ("scope", "scp", "roles"))
        named = (
            claims.get("token_use") != "id" and isinstance(claims.get("tenant_id"), str) and _names(claims["tenant_id"])
        )
        own = self.world.invoke("get_tenant_history", request(claims, {"tenantId": tenant})).status
        every = self.world.invoke("list_stripe_events", request(claims, query={"status": "FAILED"})).status
        expected = 200 if operator or (named and claims["tenant_id"] == tenant) else 403
        if tenant in ("None", "null", "true", "false"):
            expected = 400  # such a parameter is refused before anybody asks who calls
        if own != expected:
            raise Found(f"the tenant's history got {own} and not {expected}")
        paying = self.world.invoke("create_payment_intent", request(claims, {"invoiceId": "inv-none"})).status
        if paying != (404 if operator or named else 403):
            raise Found(f"an invoice that does not exist got {paying}; operator: {operator}, a tenant: {named}")
        if every != (200 if operator else 403):
            raise Found(f"the operators' endpoint got {every}; operator: {operator}")
        return own == 200


def _operates(claim: object) -> bool:
    """One pair of brackets is taken off, the rest is split at spaces, and one entry is exactly the scope."""
    if not isinstance(claim, str):
        return False
    bracketed = re.fullmatch(r"\[(.*)\]", claim, re.DOTALL)
    return "billing:admin" in (bracketed[1] if bracketed else claim).split(" ")


def _names(claim: str) -> bool:
    """1 to 64 characters of `A-Z a-z 0-9 _ -`, and no word that a missing claim becomes."""
    known = set(string.ascii_letters + string.digits + "_-")
    return 0 < len(claim) <= 64 and set(claim) <= known and claim not in ("None", "null", "true", "false")
