"""Measures what it costs to publish one batch of the table's stream: calls of AWS, and this process's processor time.

    PYTHONPATH=layers/billing:. python benchmarks/publish.py

DynamoDB and EventBridge are one server in another process that accepts everything, so only the function is measured.
A batch has 100 paid invoices of 100 tenants, which owe one announcement each. In the second batch the bus always
refuses one of them. The time is the smallest of several runs, after one that makes the clients.
"""

import io
import json
import multiprocessing
import os
import time
from contextlib import redirect_stdout
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

RECORDS = 100
RUNS = 9
REFUSED = "in_50"  # the invoice in the batch with poison
HANDLER = Path(__file__).resolve().parent.parent / "functions" / "publish_billing_events"


class Accepting(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer leaves in one piece
    calls = 0

    def do_POST(self) -> None:
        Accepting.calls += 1
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer({"UnprocessedItems": {}} if "RequestItems" in asked else self.put(asked["Entries"]))

    def do_GET(self) -> None:
        self.answer(Accepting.calls)

    def put(self, entries: list[dict[str, Any]]) -> dict[str, Any]:
        refused = [f'"{REFUSED}"' in entry["Detail"] and "poison" in entry["Detail"] for entry in entries]
        answers = [{"ErrorCode": "InternalFailure"} if one else {"EventId": "1"} for one in refused]
        return {"FailedEntryCount": sum(refused), "Entries": answers}

    def answer(self, body: object) -> None:
        sent = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *arguments: object) -> None:
        pass


def serve(started: Connection) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Accepting)
    started.send(server.server_port)
    server.serve_forever()


def batch(tenants: str) -> dict[str, Any]:
    from billing.adapters.table import items, keys  # noqa: PLC0415 - the environment comes first
    from billing.domain.entities import Invoice  # noqa: PLC0415
    from billing.domain.statuses import InvoiceStatus  # noqa: PLC0415

    records = []
    for number in range(RECORDS):
        before = Invoice(
            tenant_id=f"{tenants}-{number}",
            invoice_id=f"in_{number}",
            stripe_subscription_id=f"sub_{number}",
            status=InvoiceStatus.PENDING,
            currency="usd",
            amount_due=4900,
            amount_remaining=4900,
            total=4900,
            revision=1,
            created_at="2026-11-23T12:00:00Z",
            updated_at="2026-11-23T12:00:00Z",
        )
        paid = {"status": InvoiceStatus.PAID, "amount_paid": 4900, "amount_remaining": 0, "revision": 2}
        after = replace(before, updated_at="2026-11-23T12:00:01Z", **paid)
        key = keys.of(after.identity)._asdict()
        images = {
            name: items.dump(items.attributes(one) | key | {"eventId": f"evt_{number}"})
            for name, one in (("OldImage", before), ("NewImage", after))
        }
        change = {"Keys": items.dump(key), "SequenceNumber": str(number), **images}
        records.append(
            {"eventID": str(number), "eventName": "MODIFY", "eventSource": "aws:dynamodb", "dynamodb": change}
        )
    return {"Records": records}


def main() -> None:
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    address = f"http://127.0.0.1:{ours.recv()}"
    os.environ |= {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_REGION": "eu-west-1",
        "TABLE_NAME": "table",
        "EVENT_BUS_NAME": "bus",
    }

    import urllib3  # noqa: PLC0415

    from local.aws.worker import Context, load  # noqa: PLC0415

    nowhere = io.StringIO()  # for the function's log
    with redirect_stdout(nowhere):
        handler = load(HANDLER, "app.handler")

    def calls() -> int:
        count: int = urllib3.request("GET", address).json()
        return count

    print(f"{RECORDS} announced records       calls    CPU ms   failed")
    for name in ("healthy", "poison"):
        event, times = batch(name), []
        for _ in range(RUNS if name == "healthy" else 2):
            before, began = calls(), time.process_time()
            with redirect_stdout(nowhere):
                answer = handler(event, Context("request-1", "publish", 512, time.time() + 60))
            times.append(time.process_time() - began)
            made = calls() - before
        print(f"{name:25}{made:9}{min(times) * 1000:10.0f}{len(answer['batchItemFailures']):9}")


if __name__ == "__main__":
    main()
