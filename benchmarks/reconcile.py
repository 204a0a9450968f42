"""Measures a reconciliation in which nothing differs: its CPU time and its calls.

    python -m benchmarks.reconcile --tenants 200 1000 --code ../before .

Each tenant has a subscription that was renewed once: two paid invoices and two payments, of which the newer ones are
less than 35 days old. `--code` names working copies of this project, which are measured one after the other on accounts
that are alike. The stand-in of Stripe and DynamoDB Local are processes of their own, so their CPU time does not count.
The handler of the function runs as in Lambda. A result is the least of several runs: what else the machine does only
adds.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
DAY: Final = 24 * 3600
PRICE: Final = "price_pro"
API_KEY: Final = "sk_test_local"
REGION: Final = "eu-west-1"
UNHURRIED: Final = "100"  # a busy machine is not a broken network


# -- the stand-in of Stripe, a process of its own


def serve(tenants: int, port: int) -> None:
    """Serves an account with so many tenants. It also is the Secrets Manager."""
    from werkzeug.serving import make_server  # noqa: PLC0415 - another process does not need it

    from local.serving import Quiet  # noqa: PLC0415
    from local.stripe.account import Account  # noqa: PLC0415
    from local.stripe.server import StripeServer  # noqa: PLC0415

    account = Account(API_KEY, "https://checkout.stripe.com")
    _fill(account.store, tenants)
    stripe = StripeServer(account)
    secret = json.dumps({"SecretString": json.dumps({"api-key": API_KEY, "webhook-secret": "whsec_test"})}).encode()

    def both(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] != "/":
            return stripe(environ, start_response)
        start_response("200 OK", [("Content-Type", "application/x-amz-json-1.1")])
        return [secret]

    listener = make_server("127.0.0.1", port, both, threaded=True, request_handler=Quiet)
    print("ready", flush=True)
    listener.serve_forever()


def _fill(store: Any, tenants: int) -> None:
    """Each tenant began some two months ago and renewed some weeks ago, one tenant after the other."""
    from local.stripe.api.catalogue import recurring  # noqa: PLC0415
    from local.stripe.engine import periods, subscriptions  # noqa: PLC0415

    present, now = store.clock, time.time()
    price = {"recurring": recurring(), "type": "recurring", "active": True, "currency": "usd", "unit_amount": 4900}
    price = store.create("price", id=PRICE, product="prod_1", **price)
    begun = []
    for n in range(tenants):
        store.clock = lambda n=n: now - (65 - n * 28 / tenants) * DAY
        metadata = {"tenantId": f"tenant{n}"}
        customer = store.create("customer", metadata=metadata)
        subscription = subscriptions.create_subscription(store, customer["id"], price, metadata)
        begun.append(periods.begin(store, subscription, "pm_card_visa"))
    for n, subscription in enumerate(begun):
        store.clock = lambda n=n: now - (33 - n * 28 / tenants) * DAY
        periods.renew(store, subscription, "pm_card_visa")
    store.forget("event")  # the first run fills the table by the objects
    store.clock = present


# -- the reconciling process


def work(code: Path, runs: int) -> None:
    """Prints a line of figures for each run. The first run fills the table, and is not like the others."""
    from stripe import HTTPClient  # noqa: PLC0415

    from billing.adapters.table.store import Table  # noqa: PLC0415
    from local.aws.worker import Context, load  # noqa: PLC0415

    calls: Counter[str] = Counter()
    call, request = Table._call, HTTPClient.request_with_retries  # noqa: SLF001 - each call goes through here

    def counted_aws(table: Table, operation: str, **parameters: Any) -> Any:
        calls[operation] += 1
        return call(table, operation, **parameters)

    def counted_stripe(client: Any, method: str, url: str, *more: Any, **named: Any) -> Any:
        calls["Stripe"] += 1
        return request(client, method, url, *more, **named)

    Table._call = counted_aws  # type: ignore[method-assign]  # noqa: SLF001
    HTTPClient.request_with_retries = counted_stripe  # type: ignore[method-assign]
    handler = load(code / "functions" / "reconcile_stripe", "app.handler")
    for _ in range(runs + 1):
        calls.clear()
        began, cpu = time.perf_counter(), time.process_time()
        context = Context("request-1", "reconcile", 1769, time.time() + 24 * 3600)
        report = handler({}, context)
        figures = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - began}
        print(json.dumps(figures | {"report": report, "calls": calls}), flush=True)


# -- side by side


@dataclass(frozen=True)
class Figures:
    """`repairing`: CPU seconds for each object in the run that filled the table."""

    objects: int
    events: int
    cpu: float
    wall: float
    repairing: float
    calls: dict[str, int]

    @property
    def looked_at(self) -> int:
        return self.objects + self.events


def measure(code: Path, tenants: int, runs: int) -> Figures:
    """The run with the least CPU time. Raises `RuntimeError` if it was not a quiet one."""
    with ExitStack() as stack:
        environment = stack.enter_context(_surroundings(tenants))
        environment["PYTHONPATH"] = os.pathsep.join([str(code / "layers" / "billing"), str(code)])
        command = [sys.executable, str(Path(__file__)), "--work", str(code), "--runs", str(runs)]
        done = subprocess.run(command, env=environment, cwd=code, stdout=subprocess.PIPE, check=True, text=True)  # noqa: S603
    lines = [json.loads(line) for line in done.stdout.splitlines() if '"cpu"' in line]
    first = lines[0]
    repairing = first["cpu"] / max(1, first["report"]["repaired"])
    best = min(lines[1:], key=lambda line: line["cpu"])
    report = best["report"]
    if not report["complete"] or report["missed"] or report["differing"] or report["unresolved"]:
        raise RuntimeError(f"the run was not a quiet one: {report}")
    return Figures(report["compared"], report["seen"], best["cpu"], best["wall"], repairing, best["calls"])


@contextmanager
def _surroundings(tenants: int) -> Iterator[dict[str, str]]:
    """Stripe's stand-in and DynamoDB Local with an empty table, and the environment that leads to them."""
    import boto3  # noqa: PLC0415

    from local import template, tokens  # noqa: PLC0415
    from local.aws.dynamodb_local import DynamoDBLocal  # noqa: PLC0415
    from local.ports import free_port  # noqa: PLC0415

    credentials = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": REGION}
    with ExitStack() as stack:
        dynamodb = DynamoDBLocal(tokens.STATE / "dynamodb-local", free_port())
        stack.callback(dynamodb.close)
        port = free_port()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "layers" / "billing"), str(ROOT)])}
        command = [sys.executable, str(Path(__file__)), "--serve", str(port), "--tenants", str(tenants)]
        stripe = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True)  # noqa: S603
        stack.callback(stripe.kill)
        if stripe.stdout:
            stripe.stdout.readline()  # it is ready
        client = boto3.client(
            "dynamodb",
            endpoint_url=dynamodb.url,
            region_name=REGION,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",  # noqa: S106
        )
        properties = {name: value for name, value in template.table().items() if name != "StreamSpecification"}
        client.create_table(**properties)
        pointer = {"PK": {"S": f"STRIPE#{PRICE}"}, "SK": {"S": "POINTER"}, "planId": {"S": "plan-pro"}}
        client.put_item(TableName=template.TABLE_NAME, Item=pointer)
        yield {
            **environment,
            **credentials,
            "TABLE_NAME": template.TABLE_NAME,
            "AWS_ENDPOINT_URL_DYNAMODB": dynamodb.url,
            "STRIPE_API_BASE": f"http://127.0.0.1:{port}",
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": f"http://127.0.0.1:{port}",
            "STRIPE_SECRET_ARN": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:stripe",
            "TIME_LIMIT_FACTOR": UNHURRIED,
            "POWERTOOLS_LOG_LEVEL": "CRITICAL",
            "POWERTOOLS_METRICS_NAMESPACE": "Billing",
            "POWERTOOLS_SERVICE_NAME": "benchmark",
            "AWS_LAMBDA_FUNCTION_NAME": "reconcile",
        }


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures a reconciliation in which nothing differs.")
    parser.add_argument("--tenants", type=int, nargs="+", default=[200])
    parser.add_argument("--code", type=Path, nargs="+", default=[ROOT])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        serve(asked.tenants[0], asked.serve)
    elif asked.work:
        work(asked.work, asked.runs)
    else:
        compare([code.resolve() for code in asked.code], asked.tenants, asked.runs)


def compare(codes: list[Path], tenants: list[int], runs: int) -> None:
    heads = (
        "code",
        "tenants",
        "objects",
        "events",
        "CPU s",
        "wall s",
        "each CPU s",
        "ms a repair",
        "of Stripe",
        "of DynamoDB",
    )
    print(" | ".join(heads))
    for count in tenants:
        for code in codes:
            found = measure(code, count, runs)
            calls = dict(found.calls)
            stripe = calls.pop("Stripe")
            row = (code.name, count, found.objects, found.events, f"{found.cpu:.2f}", f"{found.wall:.2f}")
            speed = f"{found.looked_at / found.cpu:.0f}", f"{found.repairing * 1000:.1f}"
            print(*row, *speed, stripe, sum(calls.values()), sep=" | ", flush=True)


if __name__ == "__main__":
    main()
