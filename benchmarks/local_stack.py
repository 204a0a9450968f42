"""Measures how many webhooks a second the local stack handles, and what each of its processes spends on one.

    PYTHONPATH=layers/billing:. python benchmarks/local_stack.py [--events 300] [--senders 8] [--moto]

Tenants subscribe, pay and renew at the stand-in while all webhooks are lost. Then another process signs the events, and
sends them to the gateway: the first of every tenant, the second of every tenant, and so on. Those of some tenants are
sent before, so that all processes have begun. The CPU time, user's and system's, is that of Linux, which counts 10 ms
at a time.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from itertools import chain, zip_longest
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from benchmarks.measure import keep
from billing.inbox.signature import sign
from billing.replica.effects import EFFECTS
from local.commands import seed
from local.scenarios import Scene
from local.stack import Stack, temporary

TIMEOUT = 600.0
SENDERS = 8
WARM_SHARE = 4  # so many events are measured for one that was sent before


def sender(url: str, secret: str, senders: int) -> None:
    """The sending process: reads events (one a line), signs them, says so, waits for a line, and sends them.

    Then it prints the seconds from the first request to the last answer, those of each answer, and what was answered.
    """
    address = urlsplit(url)
    waiting: SimpleQueue[tuple[bytes, dict[str, str]]] = SimpleQueue()
    took: list[float] = []
    answers: Counter[str] = Counter()
    for line in iter(sys.stdin.buffer.readline, b"\n"):
        body = line.strip()
        signature = sign(body, secret, int(time.time()))
        waiting.put((body, {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": signature}))
    print("ready", flush=True)
    sys.stdin.buffer.readline()

    def send() -> None:
        connection = HTTPConnection(str(address.hostname), address.port or 80, timeout=TIMEOUT)
        with suppress(Empty):
            while True:
                body, headers = waiting.get_nowait()
                began = time.perf_counter()
                connection.request("POST", address.path, body, headers)
                answer = connection.getresponse()
                said = answer.read()
                took.append(time.perf_counter() - began)
                answers[f"{answer.status} {json.loads(said).get('status', '')}"] += 1

    threads = [Thread(target=send) for _ in range(senders)]
    began, cpu = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    print(json.dumps({"seconds": seconds, "cpu": cpu, "took": sorted(took), "answers": answers}))


@contextmanager
def ready(stack: Stack, events: list[dict[str, Any]], senders: int) -> Iterator[Callable[[], dict[str, Any]]]:
    """Yields a function that lets the sending process send the events, and returns what that process prints."""
    command = [sys.executable, __file__, "--send-to", stack.webhook_url, "--senders", str(senders)]
    environment = os.environ | {"STRIPE_WEBHOOK_SECRET": stack.webhook_secret}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:  # noqa: S603
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"".join(json.dumps(event).encode() + b"\n" for event in events) + b"\n")
        process.stdin.flush()
        process.stdout.readline()
        yield lambda: json.loads(process.communicate(b"\n")[0])


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

    def since(self) -> defaultdict[str, float]:
        used: defaultdict[str, float] = defaultdict(float)
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
    with ready(stack, rounds(of_tenants[:warm]), senders) as send:
        send()
    _drain(stack)
    chosen = rounds(of_tenants[warm:])[:events]
    with ready(stack, chosen, senders) as send:
        calls, announced, cpu = len(stack.stripe.calls), len(stack.announcements), Cpu()
        told = send()
    answered, began = cpu.since(), time.perf_counter()
    _drain(stack)
    seconds, drained = time.perf_counter() - began, cpu.since()
    rate, took = len(chosen) / told["seconds"], told["took"]
    print(f"{stack.database}, {senders} senders, {len(chosen)} events of {len(of_tenants) - warm} tenants")
    print(f"{rate:.1f} events/s: {told['seconds']:.2f} s from the first request to the last answer")
    if senders == SENDERS and os.environ["DYNAMODB"] == "local":
        keep("local_stack", {"the local stack, 8 senders: events a second": rate})
    print(f"answers: {told['answers']}, calls of Stripe: {len(stack.stripe.calls) - calls}")
    median, late = (took[len(took) * share // 100] * 1000 for share in (50, 95))
    print(f"one answer: median {median:.0f} ms, 95 % below {late:.0f} ms")
    print(f"{len(stack.announcements) - announced} announcements, the last {seconds:.2f} s after the last answer")
    print(f"{'CPU, ms an event':32}{'until answered':>16}{'until drained':>16}")
    for used in (answered, drained):
        used["these senders"] = told["cpu"]
        used["together"] = sum(used.values())
    for name in sorted(drained, key=lambda name: (name == "together", name)):
        if drained[name]:
            print(f"{name:32}" + "".join(f"{used[name] / len(chosen) * 1000:16.1f}" for used in (answered, drained)))


def _drain(stack: Stack) -> None:
    if not stack.wait_until_announced(TIMEOUT):
        sys.exit("The stream was not read to its end.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--events", type=int, default=300)
    parser.add_argument("--senders", type=int, default=SENDERS)
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
