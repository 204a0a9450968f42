"""One tenant asks for what belongs to another one.

Tried: every endpoint, with the token of the tenant `mallory`, of a tenant without any billing yet, or of nobody. Each
parameter, in the path, the query string or the body, or in several of them, is an id of the victims: their tenant,
customer, invoices, subscription, PaymentIntents, Checkout Sessions, events.

Defended: nobody sees or changes the billing of another tenant, or learns whether an id exists.

Judged four times. The victims' items in the table and objects at the stand-in are as they were, and nothing new names
them. No answer has a value that only the victims' data has, except what the caller sent. The same call with ids that
do not exist (`ghost`) gets the same answer. After each call the world is made as it was.
"""

import copy
import json
import random
import re
from collections.abc import Iterator
from typing import Any, Final

from billing.domain.writes import Pointer, StripeId
from local.stripe.engine import periods
from tests.attack.ground import ENDPOINTS, Event, Found, Ground, Items, measured, request, restore, scan
from tests.world import PLAN, PRICE

VICTIM, OTHER_VICTIM, MALLORY, BEGINNER = "victim-7f3a9c", "victim-51be0d", "mallory", "mallory-begins"
OWN_INVOICE: Final = "inv-of-victim-4711"
AMOUNT: Final = 271_828  # of the victim's invoice; no other number is this one
UNLINKED: Final = "cus_unlinkedvictim5a"  # the victim's by Stripe's metadata; the table does not know it
RESERVED: Final = "cus_reservedvictim5a"  # the victim's by the table; Stripe's metadata names the beginner

TOKENS: Final[dict[str, Event]] = {
    "mallory": {"tenant_id": MALLORY, "scope": ""}, "mallory begins": {"tenant_id": BEGINNER, "scope": "openid"},
    "nobody": {"sub": "user"},
}  # fmt: skip
KINDS: Final = {"tenantId": "tenant", "customerId": "cus", "invoiceId": "invoice", "sessionId": "cs", "eventId": "evt"}
OTHERS: Final[Event] = {
    "planId": PLAN, "returnUrl": "https://app.example.com/", "stripePriceId": PRICE, "name": "Pro", "trialDays": 1,
    "active": True, "amount": 100, "currency": "usd", "dueDate": "2027-01-31", "description": "x", "limit": 5,
    "status": "FAILED", "dryRun": True, "cursor": "WyJhIiwiYiJd",
}  # fmt: skip
MORE_NAMES: Final = (
    "tenantId", "customerId", "invoiceId", "subscriptionId", "eventId", "sessionId", "tenant_id", "cursor",
)  # fmt: skip
DISTINCT: Final = re.compile(
    r"\b(cus|in|sub|pi|cs|evt|ch|pm|si|inpay|il|re|seti|src)_\w{12,}|victim|_secret_|^https?://.*\w{20}"
)


class Tenants:
    def __init__(self, ground: Ground) -> None:
        self.world, self.patch = ground.world, ground.patch
        world = ground.world
        world.plan()
        world.customer(MALLORY, "cus_mallory000001")
        self._invoice(MALLORY, "inv-of-mallory", 100)
        opened = self._opened(MALLORY)
        self.own = {"cus": "cus_mallory000001", "invoice": "inv-of-mallory", "cs": opened}
        common = set(self._values())
        self.victims = self._furnish()
        self.private = {value for value in self._values() if DISTINCT.search(value)} - common
        self.private |= {str(AMOUNT), VICTIM, OTHER_VICTIM, OWN_INVOICE}
        self.ids = sorted({one for ids in self.victims.values() for one in ids}, key=len, reverse=True)
        self.ghosts = {one: ghost(one) for one in self.ids}
        self.table = scan(world)
        self.stripe = copy.deepcopy(world.stripe.store.objects)
        self.answers = copy.deepcopy(world.stripe.answers)

    def _furnish(self) -> dict[str, list[str]]:
        """Gives the victims all that a tenant can have. Returns their ids by kind."""
        world, store = self.world, self.world.stripe.store
        paid = world.subscribe(for_tenant=VICTIM)
        [subscription] = store.all("subscription")
        periods.renew(store, subscription, "pm_card_chargeCustomerFail")
        self._invoice(VICTIM, OWN_INVOICE, AMOUNT)
        world.api("POST", f"/invoices/{OWN_INVOICE}/payment-intent", tenant=VICTIM)
        opened = self._opened(OTHER_VICTIM)
        store.create("customer", id=UNLINKED, metadata={"tenantId": VICTIM})
        store.create("customer", id=RESERVED, metadata={"tenantId": BEGINNER})
        world.table.write([], [Pointer(StripeId(RESERVED), tenant_id=VICTIM)])
        events = world.new_events()
        for event in events:
            world.deliver(event)
            store.add(event)
        change = {"PK": f"HISTORY#{VICTIM}", "SK": "2026-11-23T12:00:00Z#TENANT#0000000001", "entityId": VICTIM}
        item: Any = {name: {"S": value} for name, value in (change | {"at": "victim", "entity": "TENANT"}).items()}
        world.dynamodb.put_item(TableName=world.table.name, Item=item)
        every = {kind: [obj["id"] for obj in store.all(kind)] for kind in store.objects}
        return {
            "tenant": [VICTIM, OTHER_VICTIM],
            "cus": [one for one in every["customer"] if one != "cus_mallory000001"],
            "invoice": [OWN_INVOICE, *every["invoice"]],
            "cs": [paid["id"], opened],
            "evt": [event["id"] for event in events[:4]],
            "sub": every["subscription"],
            "pi": every["payment_intent"],
        }

    def _opened(self, tenant: str) -> str:
        """The id of a Checkout Session that is open."""
        return str(self.world.checkout(tenant).body["sessionUrl"].rsplit("/", 1)[1])

    def _invoice(self, tenant: str, invoice_id: str, amount: int) -> None:
        body = {"amount": amount, "currency": "usd", "invoiceId": invoice_id, "description": f"of {tenant} only"}
        self.world.api("POST", f"/tenants/{tenant}/invoices", tenant=None, admin=True, json=body)

    def _values(self) -> Iterator[str]:
        yield from _texts(self.world.stripe.store.objects)
        yield from _texts([json.loads(item) for item in scan(self.world).values()])

    # -- one attempt

    def make(self, chance: random.Random) -> Event:
        endpoint, token = chance.choice(ENDPOINTS), chance.choice(sorted(TOKENS))
        own = self.own | {"tenant": TOKENS[token].get("tenant_id", MALLORY)}
        places: tuple[Event, Event, Event] = ({}, {}, {})
        more = chance.sample(MORE_NAMES, chance.choice((0, 0, 0, 0, 0, 0, 0, 1, 2)))
        for name in (*endpoint.path, *endpoint.other, *more):
            if name not in endpoint.path and name not in KINDS and chance.random() < 0.5:
                continue
            value = self._value(chance, name, own)
            natural = [places[0]] if name in endpoint.path else [chance.choice(places[1:])]
            used = natural if chance.random() < 0.8 else chance.sample(places, chance.choice((1, 2, 3)))
            for place in used:
                place[name] = value if chance.random() < 0.9 else self._value(chance, name, own)
        path, query, body = places
        texts = [{name: str(value) for name, value in place.items()} for place in (path, query)]
        return {"function": endpoint.function, "token": token, "places": (*texts, body)}

    def _value(self, chance: random.Random, name: str, own: dict[str, str]) -> Any:
        kind = KINDS.get(name, "")
        roll = chance.random()
        if kind and roll < (0.4 if kind == "tenant" else 0.2):
            return own.get(kind, "none")
        if kind and roll < 0.9:
            return chance.choice(self.victims[kind])
        return OTHERS[name] if name in OTHERS and roll < 0.9 else chance.choice(self.ids)

    def judge(self, given: Event) -> bool:
        status, text = self._call(given, given["places"])
        there = (status, self._without_ids(text))
        status_of_ghost, text_of_ghost = self._call(given, self._haunted(given["places"]))
        missing = (status_of_ghost, self._without_ids(text_of_ghost))
        if there != missing:
            raise Found(f"the answer tells whether an id exists: {there}, but for a ghost {missing}")
        return status < 400

    def _call(self, given: Event, places: tuple[Event, Event, Event]) -> tuple[int, str]:
        """Makes the call, and judges what became of it. The world is then as it was."""
        self.patch.setattr("local.stripe.engine.store.chance", random.Random(0))
        with measured(self.world) as cost:
            answer = self.world.invoke(given["function"], request(TOKENS[given["token"]], *places))
        text, sent = json.dumps(answer.body), json.dumps(places)
        told = [value for value in self.private if value in text and value not in sent]
        if told:
            raise Found(f"the answer tells {told}: {answer.status} {text}")
        if cost.aws:  # without a call the table cannot have changed
            self._judge_table(scan(self.world))
        if cost.stripe:
            self._judge_stripe()
        return answer.status, text

    def _judge_table(self, after: Items) -> None:
        changed = {key for key in self.table.keys() | after.keys() if self.table.get(key) != after.get(key)}
        restore(self.world, self.table, after)
        for key in changed:
            item = after.get(key, "")
            if key in self.table and not key.startswith((f"TENANT#{MALLORY} ", f"CALLS#{MALLORY} ")):
                raise Found(f"an item of somebody else changed: {key}: {item}")
            if any(value in key + item for value in self.private):
                raise Found(f"a new item names a victim: {key}: {item}")

    def _judge_stripe(self) -> None:
        store = self.world.stripe.store
        if store.objects == self.stripe:
            return
        now, store.objects = store.objects, copy.deepcopy(self.stripe)
        self.world.stripe.answers = copy.deepcopy(self.answers)
        for kind, objects in now.items():
            for object_id, obj in objects.items():
                before = self.stripe.get(kind, {}).get(object_id)
                text = json.dumps(obj)
                if obj != before and any(value in text for value in self.private):
                    raise Found(f"an object at Stripe names a victim: {text[:600]}")

    def _haunted(self, places: Any) -> Any:
        text = json.dumps(places)
        for one, other in self.ghosts.items():
            text = text.replace(one, other)
        return json.loads(text)

    def _without_ids(self, text: str) -> str:
        for one in (*self.ids, *self.ghosts.values()):
            text = text.replace(one, "<id>")
        return text


def ghost(one: str) -> str:
    """An id of the same form that does not exist."""
    prefix, random_part = one[:-6], one[-6:]
    turned = str.maketrans("abcdef0123456789", "fabcde9012345678")
    return prefix + random_part.swapcase().translate(turned) if "_" in one else prefix + random_part.translate(turned)


def _texts(value: Any) -> Iterator[str]:
    """Every text inside lists and objects."""
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts(inner)
