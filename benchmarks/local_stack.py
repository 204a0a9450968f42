"""Measures how many webhooks a second the local stack handles, and what each of its processes spends on one.

    PYTHONPATH=layers/billing:. python benchmarks/local_stack.py [--events 300] [--senders 8] [--moto]

Tenants subscribe, pay and renew at the stand-in while all webhooks are lost. Then a process of its own signs the events
and sends them to the gateway: the first of every tenant, the second of every tenant, and so on. The time is that from
the first request to the last answer. A part of the events is sent before, so that all processes have begun. "Drained"
is when the last announcement was on the bus. CPU is user and system time, as Linux counts it (in 10 ms).
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from itertools import chain, zip_longest
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from billing.inbox.signature import sign
from billing.replica.effects import EFFECTS
from local.commands import seed
from local.scenarios import Scene
from local.stack import Stack, temporary

TIMEOUT = 600.0
WARM_SHARE = 4  # one of so many tenants is there to start the processes


def sender(url: str, secret: str, senders: int) -> None:
    """The sending process: reads events (one a line), sends them, and writes times and statuses."""
    address = urlsplit(url)
    waiting: SimpleQueue[bytes] = SimpleQueue()
    for line in sys.stdin.buffer:
        waiting.put(line.strip())
    took: list[float] = []
    statuses: Counter[str] = Counter()

    def send() -> None:
        connection = HTTPConnection(str(address.hostname), address.port or 80, timeout=TIMEOUT)
        while True:
            try:
                body = waiting.get_nowait()
            except Empty:
                return
            headers = {
                "Content-Type": "application/json; charset=utf-8",
                "Stripe-Signature": sign(body, secret, int(time.time())),
            }
            began = time.perf_counter()
            connection.request("POST", address.path, body, headers)
            answer = connection.getresponse()
            said = answer.read()
            took.append(time.perf_counter() - began)
            statuses[f"{answer.status} {json.loads(said).get('status', '')}"] += 1

    threads = [Thread(target=send) for _ in range(senders)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "took": sorted(took), "statuses": statuses}))


def send(stack: Stack, events: list[dict[str, Any]], senders: int) -> dict[str, Any]:
    lines = b"".join(json.dumps(event).encode() + b"\n" for event in events)
    command = [sys.executable, __file__, "--send-to", stack.webhook_url, "--senders", str(senders)]
    environment = os.environ | {"STRIPE_WEBHOOK_SECRET": stack.webhook_secret}
    done = subprocess.run(command, input=lines, capture_output=True, check=True, env=environment)  # noqa: S603
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def lives(stack: Stack, tenant: str) -> list[dict[str, Any]]:
    """The handled events of a tenant that subscribes, pays and renews once, in order."""
    assert stack.stripe
    seen = len(stack.stripe.webhooks.log)
    scene = Scene(stack, tenant, 1)
    subscription = scene.subscribes()
    scene.control(f"subscriptions/{subscription}/renew")
    happened = [stack.stripe.store.get("event", entry["event"]) for entry in stack.stripe.webhooks.log[seen:]]
    return [event for event in happened if event["type"] in EFFECTS]


def rounds(of_tenants: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [event for event in chain.from_iterable(zip_longest(*of_tenants)) if event]


class Cpu:
    """The CPU seconds of this process and its children since it was made, by what they are."""

    def __init__(self) -> None:
        self._begin = self._now()

    def since(self) -> dict[str, float]:
        used: Counter[str] = Counter()
        for (pid, name), seconds in self._now().items():
            used[name] += seconds - self._begin.get((pid, name), 0)
        return used

    def _now(self) -> dict[tuple[int, str], float]:
        return dict(self._processes())

    def _processes(self) -> Iterator[tuple[tuple[int, str], float]]:
        ticks = os.sysconf("SC_CLK_TCK")
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                line = (folder / "cmdline").read_text().split("\0")
            except OSError:  # it has just ended
                continue
            name = _name(line)
            if int(folder.name) == os.getpid() or (int(fields[1]) == os.getpid() and name):
                yield (int(folder.name), name or "gateway, stand-in, AWS"), (int(fields[11]) + int(fields[12])) / ticks


def _name(line: list[str]) -> str:
    if "local.aws.worker" in line:
        return "worker " + next(Path(part).name for part in line if "/functions/" in part)
    return "DynamoDB Local" if "DynamoDBLocal.jar" in line else ""


def measure(stack: Stack, events: int, senders: int) -> None:
    assert stack.stripe
    seed.seed(stack)
    stack.stripe.webhooks.weather.lost = 1
    of_tenants: list[list[dict[str, Any]]] = []
    while sum(map(len, of_tenants)) < events * (1 + 1 / WARM_SHARE):
        of_tenants.append(lives(stack, f"tenant-{len(of_tenants)}"))
    warm = len(of_tenants) // (WARM_SHARE + 1)
    send(stack, rounds(of_tenants[:warm]), senders)
    stack.wait_until_announced(TIMEOUT)
    calls, announced, cpu = len(stack.stripe.calls), len(stack.announcements), Cpu()
    chosen = rounds(of_tenants[warm:])[:events]
    answer = send(stack, chosen, senders)
    spent = cpu.since()
    began = time.perf_counter()
    _until(lambda: stack.wait_until_announced(TIMEOUT))
    drained = time.perf_counter() - began
    spent_drained = cpu.since()
    took = answer["took"]
    print(f"{stack.database}, {senders} senders, {len(chosen)} events of {len(of_tenants) - warm} tenants")
    print(f"answers: {answer['statuses']}, calls of Stripe: {len(stack.stripe.calls) - calls}")
    print(f"{len(chosen) / answer['seconds']:.1f} events/s: {answer['seconds']:.2f} s from the first request to the last answer")
    print(f"an answer: median {took[len(took) // 2] * 1000:.0f} ms, 95 % below {took[len(took) * 95 // 100] * 1000:.0f} ms")
    print(f"drained {drained:.2f} s after; {len(stack.announcements) - announced} announcements")
    print(f"{'CPU, ms an event':32}{'until answered':>16}{'until drained':>16}")
    for name in sorted(spent_drained):
        print(f"{name:32}{spent[name] / len(chosen) * 1000:16.1f}{spent_drained[name] / len(chosen) * 1000:16.1f}")


def _until(done: Callable[[], bool]) -> None:
    while not done():
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--events", type=int, default=300)
    parser.add_argument("--senders", type=int, default=8)
    parser.add_argument("--moto", action="store_true", help="moto in the place of DynamoDB Local")
    parser.add_argument("--send-to", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.send_to:
        sender(given.send_to, os.environ["STRIPE_WEBHOOK_SECRET"], given.senders)
        return
    os.environ["DYNAMODB"] = "moto" if given.moto else "local"
    stack, remove = temporary()
    try:
        with stack:
            measure(stack, given.events, given.senders)
    finally:
        remove()


if __name__ == "__main__":
    main()
