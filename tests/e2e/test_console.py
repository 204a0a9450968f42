"""Checks what the console and the pages refuse, and the controls from a shell."""

import os
import subprocess
import sys
import time
from urllib.parse import urlsplit

import requests

from local.commands import seed
from local.stack import Stack
from local.template import ROOT

TIMEOUT = 600  # in seconds; long enough for a busy machine


def test_text_from_the_url_is_escaped(stack: Stack) -> None:
    answer = requests.get(stack.api_url, {"problem": "<script>alert(1)</script>"}, timeout=TIMEOUT)
    assert "<script>alert" not in answer.text
    assert "&lt;script&gt;" in answer.text
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]


def test_the_live_part_is_sent_when_it_changed(stack: Stack) -> None:
    def look(known: str = "") -> requests.Response:
        return requests.get(f"{stack.api_url}/console/state", headers={"If-None-Match": known}, timeout=TIMEOUT)

    held = look()
    assert held.status_code == 200
    until = time.monotonic() + TIMEOUT
    while (again := look(held.headers["ETag"])).status_code == 200 and time.monotonic() < until:
        held = again  # changes from other tests may still arrive
    assert (again.status_code, again.text) == (304, "")
    seed.admin(stack, "POST", "/tenants/550e8400/invoices", {"invoiceId": "inv-looked-at", **seed.MONEY_DUE})
    assert "inv-looked-at" in look(held.headers["ETag"]).text


def test_a_payment_page_needs_its_secret(stack: Stack) -> None:
    assert stack.stripe
    intent = stack.stripe.store.all("payment_intent")[0]
    url = f"{stack.stripe_base}/pay/{intent['id']}"
    assert requests.get(url, timeout=TIMEOUT).status_code == 404
    assert requests.get(url, {"client_secret": "guess"}, timeout=TIMEOUT).status_code == 404
    assert requests.get(url, {"client_secret": intent["client_secret"]}, timeout=TIMEOUT).status_code == 200


def control(stack: Stack, *arguments: str) -> "subprocess.CompletedProcess[str]":
    ports = {"API_PORT": stack.api_url, "STRIPE_PORT": stack.stripe_base}
    environment = {**os.environ, "PYTHONPATH": "layers/billing:."}
    environment |= {name: str(urlsplit(url).port) for name, url in ports.items()}
    command = [sys.executable, "-m", "local.commands.control", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_the_controls_from_a_shell(stack: Stack) -> None:
    assert stack.stripe
    before = stack.stripe.store.now()
    moved = control(stack, "clock", "days=1", "seconds=")
    assert (moved.returncode, stack.stripe.store.now() >= before + 86400) == (0, True), moved.stderr
    assert control(stack, "clock", "days=x").returncode == 1
    rolled = control(stack, "roll-secret")
    assert (rolled.returncode, len(stack.stripe.webhooks.secrets)) == (0, 2), rolled.stderr
    assert (
        "make up"
        in subprocess.run(
            [sys.executable, "-m", "local.commands.control", "clock"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": "layers/billing:.", "STRIPE_PORT": "1"},
            capture_output=True,
            text=True,
            check=False,
        ).stderr
    )
