"""The environment of a history: the real handlers, DynamoDB Local, and the Stripe stand-in with its own clock."""

import logging
import os
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import batched
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import boto3
from werkzeug.serving import make_server

from billing import bootstrap, clock
from billing.adapters.secret import SecretStore
from billing.adapters.table import items, keys
from billing.domain.caller import DEFAULT_ADMIN_SCOPE
from billing.domain.entities import Plan
from billing.domain.order import FetchedKind, Snapshot
from billing.domain.writes import Pointer, StripeId
from billing.observability import logger, metrics
from billing.reconcile import readers
from billing.reconcile import run as reconcile
from billing.replica.decide import Fetcher
from local import template, tokens
from local.aws.clients import REGION, TIME_LIMIT_FACTOR
from local.aws.dynamodb_local import DynamoDBLocal
from local.ports import free_port
from local.serving import Quiet
from local.stripe.account import Account
from local.stripe.api.catalogue import recurring
from local.stripe.engine import store as ids
from local.stripe.engine.store import Clock, Object, Store
from local.stripe.server import StripeServer
from tests.inline import Inline
from tests.torture import faults
from tests.world import CREDENTIALS, WEBHOOK_SECRET, World

PRICES: Final = {"price_small": 4900, "price_big": 9900, "price_add_on": 700, "price_seat": 300}  # in minor units
START: Final = 1_795_435_200.0  # start of every history in Unix seconds; the platform and Stripe use only this clock
PLANS: Final = {"price_small": "plan-small", "price_big": "plan-big"}
WRITES_AT_ONCE: Final = 25  # DynamoDB's limit of one call
ADD_ONS: Final = ("price_add_on", "price_seat")  # prices that are no plan's


class Ids(random.Random):
    """Makes the same ids in every history, except for the number of the history: all histories share one table."""

    def __init__(self, number: int) -> None:
        super().__init__(0)
        self._number = number

    def choices(self, *arguments: Any, **options: Any) -> list[Any]:
        return [f"h{self._number}x", *super().choices(*arguments, **options)]


class HarnessClock(Clock):
    """Uses the time of the harness, which moves only when a step moves it."""

    def __init__(self, harness: "Harness") -> None:
        super().__init__()
        self._harness = harness

    def __call__(self) -> float:
        return self._harness.time

    def move_to(self, moment: float) -> None:
        self._harness.time = max(self._harness.time, moment)


class View:
    """Shows only the objects that `mine` accepts, to those who expect a Stripe account with one customer."""

    def __init__(self, store: Store, mine: Callable[[Object], bool]) -> None:
        self._store = store
        self._mine = mine

    def all(self, kind: str, **filters: Any) -> list[Object]:
        found = self._store.all(kind, **filters)
        return found if kind == "event" else [obj for obj in found if self._mine(self._owned(obj))]

    def get(self, kind: str, object_id: str) -> Object:
        return self._store.get(kind, object_id)

    def now(self) -> int:
        return self._store.now()

    def _owned(self, stripe_object: Object) -> Object:
        """The object that names the customer."""
        if stripe_object["object"] == "invoice_payment":
            return self._store.get("invoice", stripe_object["invoice"])
        if stripe_object["object"] in ("refund", "dispute"):
            return self._store.get("charge", stripe_object["charge"])
        return stripe_object


class CountedWorld(World):
    """Says which function runs, for the counts of its calls."""

    def run(self, name: str, event: dict[str, Any]) -> dict[str, Any]:
        token = faults.function.set(name)
        faults.figures["invocations"] += 1
        try:
            return super().run(name, event)
        finally:
            faults.function.reset(token)


class Streams:
    """Reads the table's stream. Each call continues after the last record."""

    def __init__(self, client: Any, arn: str) -> None:
        self._client = client
        shards = client.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        [shard] = shards  # DynamoDB Local keeps a new table in one shard
        self._next = client.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]

    def read(self) -> list[tuple[items.Item, items.Item]]:
        """Returns (before, after) for every change since the last call."""
        changes = []
        while True:
            answer = self._client.get_records(ShardIterator=self._next)
            self._next = answer["NextShardIterator"]
            for record in answer["Records"]:
                change: Any = record["dynamodb"]
                changes.append((items.load(change.get("OldImage", {})), items.load(change.get("NewImage", {}))))
            if not answer["Records"]:
                return changes


class Harness:
    def __init__(self, world: World, streams: Streams) -> None:
        self.world = world
        self.streams = streams
        self.time = START
        self.clock = HarnessClock(self)
        self.tenant = ""  # of the present history
        keys_of_plans = [items.dump(keys.plan(plan)._asdict()) for plan in PLANS.values()]
        found = [world.dynamodb.get_item(TableName=template.TABLE_NAME, Key=key) for key in keys_of_plans]
        self.plans = [answer["Item"] for answer in found]  # as DynamoDB has them

    def new_history(self, number: int) -> Store:
        """Returns a Stripe account that has only the prices. A repeated history gets the same ids in the same order."""
        ids.chance = Ids(number)
        self.time = START
        store = Store(lambda _: None, self.clock)
        self.world.stripe.replace_store(store)
        self._forget_earlier()
        self.tenant = f"t{number}"
        for price_id, amount in PRICES.items():
            values = {"recurring": recurring(), "type": "recurring", "active": True, "currency": "usd"}
            store.create("price", id=price_id, product="prod_1", unit_amount=amount, **values)
        return store

    def _forget_earlier(self) -> None:
        """Deletes what the history before left for those who go through the whole table, such as the sweep.

        The plans are as they were at first.
        """
        names = ("PK", "SK")
        left = [{name: items.dump(item)[name] for name in names} for item in self.account(self.tenant).values()]
        left.append(items.dump(keys.progress()._asdict()))
        writes: list[Any] = [{"DeleteRequest": {"Key": key}} for key in left]
        writes += [{"PutRequest": {"Item": plan}} for plan in self.plans]
        for some in batched(writes, WRITES_AT_ONCE, strict=False):
            self.world.dynamodb.batch_write_item(RequestItems={template.TABLE_NAME: [*some]})

    def account(self, tenant_id: str) -> dict[str, items.Item]:
        """Maps ids to items, for everything that belongs to the tenant."""
        partition = self.world.dynamodb.query(
            TableName=template.TABLE_NAME,
            KeyConditionExpression="PK = :pk",
            ExpressionAttributeValues={":pk": {"S": f"TENANT#{tenant_id}"}},
            ConsistentRead=True,
        )["Items"]
        found = [items.load(raw) for raw in partition]
        return {tenant_id if item["SK"] == "TENANT" else item["SK"].split("#", 1)[1]: item for item in found}


@contextmanager
def running() -> Iterator[Harness]:
    """Starts everything and stops it at the end. Needs Java, and npm at the first run."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="torture-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        dynamodb = DynamoDBLocal(tokens.STATE / "dynamodb-local", free_port())
        stack.callback(dynamodb.close)
        account = Account("sk_test_local", "https://checkout.stripe.com")
        server = StripeServer(account)
        listener = make_server("127.0.0.1", 0, server, threaded=True, request_handler=Quiet)
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        stack.callback(listener.server_close)
        stack.callback(listener.shutdown)
        stack.callback(account.webhooks.close)
        stack.enter_context(patch.object(ids, "chance", ids.chance))
        yield _wired(stack, dynamodb.url, account, f"http://127.0.0.1:{listener.server_port}")


def _counted(fetch: Fetcher) -> Fetcher:
    def counted(kind: FetchedKind, object_id: str) -> Snapshot:
        faults.figures["fetches"] += 1
        return fetch(kind, object_id)

    return counted


def _wired(stack: ExitStack, dynamodb_url: str, account: Account, stripe_url: str) -> Harness:
    given = dict.fromkeys(template.raw()["Parameters"], "https://app.example.com/")
    given |= {"TenantClaim": "tenant_id", "AdminScope": DEFAULT_ADMIN_SCOPE, "TenantCallsPerMinute": "6000"}
    functions = template.functions(given, {"STRIPE_API_BASE": stripe_url})
    environment = {name: value for f in functions for name, value in f.environment.items() if value}
    environment |= CREDENTIALS | {
        "AWS_ENDPOINT_URL_DYNAMODB": dynamodb_url,
        "TIME_LIMIT_FACTOR": str(TIME_LIMIT_FACTOR),
    }
    stack.enter_context(patch.dict(os.environ, environment))
    secret = {"api-key": account.api_key, "webhook-secret": WEBHOOK_SECRET}
    stack.enter_context(patch.object(SecretStore, "_asked", lambda _: secret))
    logger.setLevel(logging.CRITICAL)
    stack.callback(logger.setLevel, logging.INFO)
    bootstrap.reset()
    stack.callback(bootstrap.reset)
    stack.enter_context(patch.object(time, "sleep", lambda _: None))
    stack.enter_context(patch.object(readers, "ThreadPoolExecutor", Inline))  # the scheduler knows one thread per task
    stack.enter_context(patch.multiple(reconcile, SPAN_PAGES=1, SAVE_SECONDS=0))
    stack.enter_context(patch.object(bootstrap, "fetch", _counted(bootstrap.fetch)))
    stack.enter_context(patch.object(type(metrics), "flush_metrics", lambda self, *_, **__: self.clear_metrics()))
    client = boto3.client("dynamodb", endpoint_url=dynamodb_url, region_name=REGION)
    client.create_table(**template.table())
    arn = client.describe_table(TableName=template.TABLE_NAME)["Table"]["LatestStreamArn"]
    streams: Any = boto3.client("dynamodbstreams", endpoint_url=dynamodb_url, region_name=REGION)
    table = bootstrap.table()
    for price_id, plan_id in PLANS.items():
        plan = Plan(
            plan_id=plan_id,
            stripe_price_id=price_id,
            name=plan_id,
            amount=PRICES[price_id],
            currency="usd",
            interval="month",
        )
        table.write([plan], [Pointer(StripeId(price_id), plan_id=plan_id)])
    stack.enter_context(faults.installed())
    faults.fail = account.fail
    world = CountedWorld(account, table, client, "", stripe_url, functions, timeout=faults.UNHURRIED)
    harness = Harness(world, Streams(streams, arn))
    stack.enter_context(patch.object(clock, "seconds", lambda: int(harness.time)))
    return harness
