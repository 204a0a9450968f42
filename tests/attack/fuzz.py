"""Every endpoint gets requests that no frontend sends.

Tried: API Gateway's events with missing keys and odd types, unknown and repeated names, control characters, lone
surrogates, strange numbers, huge and nested bodies, bodies that are no JSON, Base64; as an operator, a tenant, nobody.

Defended: nothing that a caller sends is a failure of ours, and one call costs little.

Judged by the table of `docs/problems.md`: a refusal has a type and a status of this table. Nothing fails in this world,
so no answer may be a 5xx. An answer is a JSON object of its content type. The answer, the log and the number of calls
to AWS and to Stripe are bounded. The bounds are some twice of the most that was seen.
"""

import base64
import json
import random
import re
from typing import Any, Final

from local.template import ROOT
from tests.attack.ground import ENDPOINTS, Endpoint, Event, Found, Ground, measured, request
from tests.world import PLAN, PRICE, TENANT

MAX_ANSWER: Final = 8192  # bytes
MAX_LIST: Final = 16 * 1024  # bytes, of a page of events
MAX_LOG: Final = 2048  # characters
MAX_AWS: Final = 16  # calls
MAX_STRIPE: Final = 6  # calls
SUCCESS: Final = (200, 201, 202)
DOCUMENTED: Final = frozenset(
    (f"urn:billing:problem:{slug}", int(status))
    for slug, status in re.findall(
        r"^\| `([a-z-]+)` \| (\d+) \|", (ROOT / "docs/problems.md").read_text(), re.MULTILINE
    )
)

VALID: Final[dict[str, tuple[Any, ...]]] = {
    "tenantId": (TENANT, "acme"), "planId": (PLAN, "plan-new"), "returnUrl": ("https://app.example.com/a",),
    "invoiceId": ("inv-1", "inv-1", "in_none"), "stripePriceId": (PRICE, "price_none"), "name": ("Pro",),
    "trialDays": (0, 14), "active": (True, False), "amount": (100, 99_999_999), "currency": ("usd", "EUR"),
    "dueDate": ("2027-01-31", "2027-01-31T12:00:00+02:00"), "description": ("Setup", "é" * 500), "limit": ("5", 5),
    "cursor": (base64.urlsafe_b64encode(b'["a","b"]').decode().rstrip("="),), "status": ("FAILED", "PROCESSED"),
    "dryRun": ("true", False),
}  # fmt: skip
NAMES: Final = (
    *VALID, *VALID, "constructor", "__class__", "tenant_id", "", " ", "\0", "x" * 20_000, "é" * 3000, "\ud800",
    "tenantId ", "customerId", "sessionId", "eventId", "model_config",
)  # fmt: skip
ODD: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1, 1.5, -0.0, 1e308, 10**30, 2**63, -(2**63), float("inf"), float("nan"), [], {}, [[]],
    [1], {"a": 1}, "", " ", "0", "1", "-1", "1e3", "١", "１", "5" * 5000, "null", "true", "None", "NaN", "\0", "\x7f",
    "\n", "a\nb", "\u2028", "\ud800", "é", "🙂" * 300, "ﬁ", "\u202ecba", "a" * 64, "a" * 65, "a" * 17_000, "../..",
    "%00", "#", "TENANT#x", "{{7*7}}", "${x}", "' or 1=1 --", "<script>", "cs_" + "a" * 250, "cs_" + "a" * 251,
    "evt_" + "a" * 250, "evt_é", "cus_" + "a" * 251, "in_" + "a" * 60, "0001-01-01", "9999-12-31",
    "9999-12-31T23:59:59-23:59", "2027-02-30", "2027-W01-1", "20270131", "2027-01-31T24:00:00Z",
    "2027-01-31T12:00:00+99:00", "0001-01-01T00:00:00+23:59", "2027-01-31T12:00:60Z",
    "https://app.example.com/" + "a" * 1977, "https://app.example.com/%zz?#",
)  # fmt: skip
BODIES: Final = (
    "", " ", "null", "[]", "1", '"x"', "{", "}{", '{"a":1,}', "{'a': 1}", "[" * 16_000, '{"a":' * 3000, '{"a": 1e999}',
    '{"limit": NaN}', '{"amount": 1' + "0" * 5000 + "}", '{"tenantId": "a", "tenantId": "b"}',
    '{"tenantId": "\\ud800"}', "\ufeff{}", "\0{}", "é" * 9000, '{"a": "' + "x" * 16_384 + '"}',
    '{"a": "' + "x" * 2_000_000 + '"}', '{"\\u0000": 1}', "tenantId=a&planId=b", "<x/>",
    json.dumps({f"name{n}": n for n in range(900)}), '{"__proto__": {"admin": true}}', "AAA", "{}=", "e30=",
)  # fmt: skip
CLAIMS: Final[tuple[Any, ...]] = (
    *[{"tenant_id": TENANT, "scope": "billing:admin"}] * 9, *[{"tenant_id": TENANT, "scope": ""}] * 5,
    {"scope": "billing:admin"}, {}, None, [], "x", {"tenant_id": "x" * 9000, "scope": "x " * 9000},
    {"tenant_id": "None"}, {"tenant_id": "\ud800"},
)  # fmt: skip
KEYS: Final = (
    "version", "headers", "requestContext", "isBase64Encoded", "pathParameters", "queryStringParameters", "body",
    "rawPath", "cookies",
)  # fmt: skip


class Fuzz:
    def __init__(self, ground: Ground) -> None:
        self.world = world = ground.world
        world.plan()
        session = world.subscribe()
        events = world.new_events()
        for event in events:
            world.deliver(event)
            world.stripe.store.add(event)
        self.valid = VALID | {"sessionId": (session["id"],), "eventId": (events[0]["id"],)}
        self.valid["customerId"] = (session["customer"], "cus_none")
        own = {"amount": 100, "currency": "usd", "invoiceId": "inv-1"}
        world.api("POST", f"/tenants/{TENANT}/invoices", admin=True, json=own)

    def make(self, chance: random.Random) -> dict[str, Any]:
        endpoint = chance.choice((*ENDPOINTS, Endpoint("stripe_webhook")))
        return {"function": endpoint.function, "event": self._event(chance, endpoint)}

    def _event(self, chance: random.Random, endpoint: Endpoint) -> Event:
        places: tuple[dict[str, Any], ...] = ({}, {}, {})
        odd = chance.choice((0, 0, 0.1, 0.3))
        for name in endpoint.path + endpoint.other:
            if name in endpoint.path or chance.random() < 0.8:
                value = chance.choice(ODD if chance.random() < odd else self.valid[name])
                places[0 if name in endpoint.path else chance.choice((1, 2, 2))][name] = value
        if chance.random() < 0.15:
            chance.choice(places)[chance.choice(NAMES)] = chance.choice(ODD)
        event = request(chance.choice(CLAIMS), *places)
        if chance.random() < 0.1:
            event["body"] = chance.choice(BODIES)
        if chance.random() < 0.2:
            event["body"] = base64.b64encode(str(event.get("body", "")).encode("utf-8", "replace")).decode()
            event["isBase64Encoded"] = chance.choice((True, True, True, "true", 1))
        if chance.random() < 0.1:
            names = ("Stripe-Signature", "stripe-signature", "Content-Type", "Host", "X-Forwarded-For")
            event["headers"] = {chance.choice(names): chance.choice(ODD)}
        if chance.random() < 0.1:
            event[chance.choice(KEYS)] = chance.choice(ODD)
        if chance.random() < 0.1:
            event.pop(chance.choice(KEYS), None)
        return event

    def judge(self, given: dict[str, Any]) -> bool:
        with measured(self.world) as cost:
            raw = self.world.run(given["function"], given["event"])
        status, headers, text = raw["statusCode"], raw["headers"], raw["body"]
        body = json.loads(text)
        longest = MAX_LIST if given["function"] == "list_stripe_events" else MAX_ANSWER
        bounds = {"answer": (len(text), longest), "log": (cost.log, MAX_LOG)}
        bounds |= {"AWS": (cost.aws, MAX_AWS), "Stripe": (cost.stripe, MAX_STRIPE)}
        for name, (size, most) in bounds.items():
            if size > most:
                raise Found(f"{name}: {size}, more than {most}")
        kind = "application/json" if status in SUCCESS else "application/problem+json"
        if not isinstance(body, dict) or headers.get("Content-Type") != kind:
            raise Found(f"{status} is not a {kind}: {headers} {text[:200]}")
        if status >= 500 or (status not in SUCCESS and (body.get("type"), status) not in DOCUMENTED):
            raise Found(f"{status} is not an answer that the documents allow: {text[:300]}")
        return status in SUCCESS
