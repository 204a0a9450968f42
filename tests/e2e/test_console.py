"""Checks what the console and the pages refuse."""

import time

import requests

from local.commands import seed
from local.stack import Stack

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
