"""Forged deliveries of the webhook.

Tried: forged, mutated, truncated, reordered, repeated, old and future headers; right and wrong secrets; bodies that
were changed after they were signed. Two secrets are valid, as while Stripe rolls them.

Defended: only who has a secret can change the table, with the very bytes that were signed, within 300 s.

Judged by stripe's own library and by the steps of https://docs.stripe.com/webhooks#verify-manually, written here once
more. The library does not refuse a time in the future; docs/security.md does. A delivery that both refuse must be
answered 400, and the table must stay byte for byte as it is. A delivery that one accepts must not be a 5xx, and a plain
one must be taken. Damaged objects that a right secret signed are not tried: only Stripe can send them.
"""

import base64
import binascii
import hmac
import json
import random
import re
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

import stripe

from tests.attack.ground import NOW, Event, Found, Ground, measured, restore, scan
from tests.world import set_secret

TOLERANCE: Final = 300
RIGHT: Final = ("whsec_old", "whsec_new")
WRONG: Final = ("", "whsec_", "whsec_ol", "whsec_old\n", "whsec_oldwhsec_new", "WHSEC_NEW", "None", "sk_test_local")
AGES: Final = (*[0] * 16, 1, 299, 300, 301, 302, 3600, 86400, 10**9, -1, -299, -300, -301, -302, -86400, -(10**9))
NO_EVENTS: Final = (b"{}", b"[]", b"null", b"1e999", b"[" * 9000, b"\xff\xfe", b" ", b'{"object": "v2.core.event"}')
PLAIN: Final = re.compile(r"t=[1-9][0-9]{0,11}(,v1=[0-9a-f]{64}){1,9}")
MOST_ITEMS: Final = 60  # then the table is made as it was, so that a scan stays short

type Mac = Callable[[str], str]
type Header = Callable[[random.Random, int, Mac], str]


def mac(body: bytes, secret: str, moment: str) -> str:
    return hmac.new(secret.encode(), moment.encode() + b"." + body, sha256).hexdigest()


def _mutated(chance: random.Random, t: int, sign: Mac) -> str:
    header = f"t={t},v1={sign(str(t))}"
    at = chance.randrange(len(header))
    other: str = chance.choice(["", *"0aAft,=v1 \t\u0661\ud800"])
    return header[:at] + other + header[at + chance.randint(0, 1) :]


def _padded(chance: random.Random, t: int, sign: Mac) -> str:
    zeros = [f"v1={'0' * 64}"] * chance.choice((1, 7, 14, 15, 16, 40))
    return ",".join([f"t={t}", *zeros, f"v1={sign(str(t))}"])


def _other_time(chance: random.Random, t: int, sign: Mac) -> str:
    """Signs one text of the time and sends another, or a text that is no plain number."""
    texts = (
        f"0{t}",
        f"+{t}",
        f"{t}.0",
        f" {t}",
        f"{t} ",
        f"-{t}",
        f"{t}e0",
        f"{t:_}",
        f"\uff11{str(t)[1:]}",
        "",
        "9" * 400,
    )
    odd = chance.choice((*texts, str(NOW)))
    return f"t={odd},v1={sign(chance.choice((odd, str(t))))}"


HEADERS: Final[tuple[Header, ...]] = (
    lambda _, t, sign: f"t={t},v1={sign(str(t))}",
    lambda _, t, sign: f"t={t},v1={'a' * 64},v1={sign(str(t))},v0={'b' * 64}",
    lambda _, t, sign: f"v1={sign(str(t))},t={t}",
    lambda c, t, sign: f"t={t},v1={sign(str(t))}"[: c.randrange(82)],
    lambda c, t, sign: f"t={t},{c.choice(('v0', 'v0', 'v0', 'V1', 'v11', ' v1', 'v1 ', ''))}={sign(str(t))}",
    lambda c, t, sign: ",".join(c.sample([f"t={t}", f"t={NOW}", f"v1={sign(str(t))}"], 3)),
    lambda _, t, sign: f"t={NOW},v1={sign(str(t))}",
    lambda c, t, sign: f"t={t},v1={c.choice((sign(str(t)).upper(), sign('')[:64], '', sign(str(t)) + ' '))}",
    lambda c, t, sign: f"t={t}{c.choice((';', ' ', ', ', '&', ',,'))}v1={sign(str(t))}",
    lambda _c, _t, sign: f"v1={sign('')}",
    lambda c, t, _: f"t={t},v1={c.randbytes(32).hex()}",
    _mutated,
    _padded,
    _other_time,
)


def _flipped(chance: random.Random, body: bytes) -> bytes:
    at = chance.randrange(len(body))
    return body[:at] + bytes([body[at] ^ 1 << chance.randrange(8)]) + body[at + 1 :]


BODIES: Final[tuple[Callable[[random.Random, bytes], bytes], ...]] = (
    lambda _, body: body,
    _flipped,
    lambda _, body: json.dumps(_json(body), indent=1).encode(),
    lambda _, body: json.dumps(_json(body), sort_keys=True).encode(),
    lambda c, body: body + c.choice((b" ", b"\n", b"\0", b"{}")),
    lambda c, body: c.choice((b" ", b"\xef\xbb\xbf", b"\0")) + body,
    lambda _, body: body.decode("latin-1").encode("utf-16"),
    lambda c, body: body[: c.randrange(len(body) + 1)],
    lambda _, body: base64.b64encode(body),
    lambda c, body: c.choice((b"", body * 2)),
)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("latin-1")


class Signatures:
    def __init__(self, ground: Ground) -> None:
        self.world = world = ground.world
        world.plan()
        world.subscribe()
        self.bodies = [json.dumps(event).encode() for event in world.new_events()]
        set_secret(world.secret_arn, list(RIGHT))
        self.start = self.table = scan(world)

    def make(self, chance: random.Random) -> Event:
        signed = chance.choice(self.bodies) if chance.random() < 0.9 else chance.choice(NO_EVENTS)
        secret = chance.choice(RIGHT if chance.random() < 0.9 else WRONG)
        header = chance.choice(HEADERS if chance.random() < 0.6 else HEADERS[:1])(
            chance, NOW - chance.choice(AGES), lambda moment: mac(signed, secret, moment)
        )
        headers = {chance.choice(("stripe-signature", "Stripe-Signature", "STRIPE-SIGNATURE")): header}
        if chance.random() < 0.1:
            headers[chance.choice(("stripe-signature", "x-stripe-signature"))] = f"t={NOW},v1={'0' * 64}"
        return {"headers": headers} | _carried(
            chance, chance.choice(BODIES if chance.random() < 0.5 else BODIES[:1])(chance, signed)
        )

    def judge(self, given: Event) -> bool:
        body = _received(given)
        values = [value for name, value in given["headers"].items() if name.lower() == "stripe-signature"]
        genuine = body is not None and any(_genuine(body, value) for value in values)
        with measured(self.world) as cost:
            answer = self.world.invoke("stripe_webhook", given)
        after = scan(self.world) if cost.aws else self.table  # without a call it cannot have changed
        if not genuine and answer.status != 400:
            raise Found(f"a forged delivery got {answer.status} {answer.body}")
        if not genuine and after != self.table:
            raise Found("a forged delivery changed the table")
        if answer.status >= 500:
            raise Found(f"a genuine delivery got {answer.status} {answer.body}")
        if genuine and body in self.bodies and len(values) == 1 and PLAIN.fullmatch(values[0]) and answer.status != 200:
            raise Found(f"a plain delivery of Stripe got {answer.status} {answer.body}")
        if len(after) > MOST_ITEMS:
            restore(self.world, self.start, after)
            after = self.start
        self.table = after
        return answer.status == 200


def _carried(chance: random.Random, body: bytes) -> Event:
    """The body as the gateway hands it over, as text or as Base64. Sometimes the flag is wrong, or there is none."""
    encoded = base64.b64encode(body).decode()
    wrong: tuple[Event, ...] = (
        {"body": encoded},
        {"body": encoded + "\n", "isBase64Encoded": True},
        {"body": None},
        {},
    )
    if chance.random() < 0.1:
        return dict(chance.choice(wrong))
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return {"body": encoded, "isBase64Encoded": True}
    if chance.random() < 0.2:
        return {"body": chance.choice((encoded, text)), "isBase64Encoded": True}
    return {"body": text, "isBase64Encoded": False}


def _received(given: Event) -> bytes | None:
    """The bytes that Stripe would have sent. None if the event cannot be read."""
    text = given.get("body") or ""
    if not given.get("isBase64Encoded"):
        return str(text).encode()
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        return None


def _genuine(body: bytes, header: str) -> bool:
    return any(_by_the_book(body, header, secret) or _by_the_library(body, header, secret) for secret in RIGHT)


def _by_the_library(body: bytes, header: str, secret: str) -> bool:
    try:
        stripe.WebhookSignature.verify_header(body, header, secret, TOLERANCE)
        moment = int(next(part[2:] for part in header.split(",") if part.startswith("t=")))
    except (stripe.SignatureVerificationError, ValueError, StopIteration, TypeError):
        return False
    return moment <= NOW + TOLERANCE


def _by_the_book(body: bytes, header: str, secret: str) -> bool:
    """Step 1: split at `,` and at the first `=`. Step 2: `t`, `.` and the body. Step 3: HMAC. Step 4: compare."""
    pairs = [part.split("=", 1) for part in header.split(",") if "=" in part]
    times = [value for name, value in pairs if name == "t"]
    sent = [value for name, value in pairs if name == "v1"]
    return (
        len(times) == 1
        and re.fullmatch(r"[0-9]{1,15}", times[0]) is not None
        and abs(NOW - int(times[0])) <= TOLERANCE
        and mac(body, secret, times[0]) in sent
    )
