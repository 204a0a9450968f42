"""Checks in a real browser that requests and the functions' logs stand in the console, and no secret with them."""

import re
import time
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, Locator, Page, expect

from local.aws.logs import Span
from local.aws.runtime import Ended
from local.stack import WEBHOOK_PATH, Stack
from tests.e2e.browser.steps import CHROMIUM, accessible

pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on the PATH: the browser tests do not run"),
]

TIMEOUT = 600  # in seconds; long enough for a busy machine


def ask(stack: Stack, path: str, tenant: str) -> requests.Response:
    headers = {"Authorization": f"Bearer {stack.token(tenant)}"}
    return requests.post(f"{stack.api_url}/api/v1/billing/{path}", headers=headers, timeout=TIMEOUT)


def row(page: Page, text: str) -> Locator:
    return page.locator("#requests .rows > li").filter(has_text=text)


def inside(found: Locator) -> Locator:
    found.locator("summary").first.click()
    expect(found.locator("h3").first).to_be_visible()
    return found.locator(".inside")


def test_a_refused_request_shows_why(page: Page, stack: Stack) -> None:
    token = stack.token("asks")
    answer = ask(stack, "stripe/checkout?tenantId=asks&planId=plan-unknown", "asks")
    found = row(page, answer.json()["requestId"])
    expect(found).to_contain_text("POST /stripe/checkout")
    expect(found.locator(".warn")).to_have_text("404")
    expect(found).to_contain_text(re.compile(r"\d+ ms\s*asks"))
    opened = inside(found)
    expect(opened).to_contain_text("POST /api/v1/billing/stripe/checkout?tenantId=asks&planId=plan-unknown")
    expect(opened).to_contain_text('"type": "urn:billing:problem:plan-not-found"')
    expect(opened.locator(".log")).to_contain_text(re.compile(r"INFO refused problem=plan-not-found status=404"))
    assert opened.locator(".log").inner_text().count("refused") == 1, "lines of another invocation"
    assert token.split(".")[2] not in opened.inner_text()
    accessible(page)
    page.locator("#filter-tenant").fill("somebody-else")
    expect(found).to_have_count(0)
    page.locator("#filter-tenant").fill("asks")
    expect(found).to_have_count(1)


def test_no_secret_is_shown(page: Page, stack: Stack) -> None:
    secret = ask(stack, "invoices/inv-001/payment-intent", "550e8400").json()["clientSecret"]
    intent, _, hidden = secret.partition("_secret_")
    opened = inside(row(page, "/invoices/inv-001/payment-intent").first)
    expect(opened).to_contain_text('"clientSecret": "•••"')
    assert hidden not in opened.inner_text()
    page.locator("#filter-type").fill("payment_intent.created")
    event = page.locator("#timeline .rows > li").filter(has_text="payment_intent.created").filter(has_text=intent)
    opened = inside(event)
    expect(opened).to_contain_text(f'"id": "{intent}"')
    assert hidden not in opened.inner_text()

    signature = "0123456789abcdef" * 4
    answer = requests.post(
        stack.api_url + WEBHOOK_PATH,
        data='{"id": "evt_forged"}',
        headers={"Stripe-Signature": f"t=1,v1={signature}", "Authorization": "Bearer of-nobody"},
        timeout=TIMEOUT,
    )
    opened = inside(row(page, answer.json()["requestId"]))
    expect(opened).to_contain_text("invalid-signature")
    expect(opened).to_contain_text('"id": "evt_forged"')
    assert signature not in opened.inner_text()
    assert "of-nobody" not in opened.inner_text()


def test_an_event_shows_the_log_of_the_function_that_handled_it(page: Page, subscriber: str) -> None:
    page.locator("#filter-tenant").fill(subscriber)
    page.locator("#filter-type").fill("checkout.session.completed")
    event = page.locator("#timeline .rows > li")
    expect(event).to_have_count(1)
    expect(event.locator(".sent .good")).to_be_visible()
    event_id = str(event.get_attribute("id")).removeprefix("event-")
    log = inside(event).locator(".log")
    expect(log).to_contain_text("INFO event received")
    assert set(re.findall(r"event_id=(\S+)", log.inner_text())) == {event_id}
    expect(row(page, "/stripe/webhook")).to_have_count(0)
    page.locator("#filter-tenant").fill("")
    expect(row(page, "PublishBillingEvents").first).to_contain_text("done")


def test_it_works_by_keyboard_and_without_a_script(page: Page, browser: Browser, stack: Stack) -> None:
    request_id = ask(stack, "stripe/portal?customerId=cus_of_nobody", "asks").json()["requestId"]
    summary = row(page, request_id).locator("summary")
    summary.focus()
    page.keyboard.press("Enter")
    expect(row(page, request_id).locator(".log")).to_contain_text("refused")
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(stack.api_url)
    row(plain, request_id).locator("summary").click()
    row(plain, request_id).get_by_role("link", name="Show it").click()
    expect(plain.locator(".log")).to_contain_text("refused")
    expect(plain.get_by_role("heading", name="A request")).to_be_visible()
    page.goto(plain.url)
    accessible(page)
    plain.get_by_role("link", name="Back to the console").click()
    expect(row(plain, request_id)).to_be_visible()
    context.close()


def test_a_process_that_died_has_the_last_word(page: Page, stack: Stack, tmp_path: Path) -> None:
    log = tmp_path / "F.log"
    log.write_text("ModuleNotFoundError: nothing\nwhsec_0123456789")
    died = Ended(time.time(), error="crashed", function="DiesFunction", log=Span(log, 0, log.stat().st_size))
    stack.exchanges.invoked({}, died)
    opened = inside(row(page, "Dies"))
    expect(opened).to_contain_text("The function failed: crashed.")
    expect(opened.locator(".log")).to_have_text("ModuleNotFoundError: nothing\nwhsec_•••")


def test_the_list_stays_small_whatever_is_asked(stack: Stack) -> None:
    headers = {"Authorization": f"Bearer {stack.token('t' * 500)}"}
    for _ in range(20):
        requests.post(
            f"{stack.api_url}/api/v1/billing/invoices/{'i' * 500}/payment-intent", headers=headers, timeout=600
        )
    page = requests.get(stack.api_url, timeout=TIMEOUT).text
    section = page[page.index('<section id="requests"') :].partition("</section>")[0]
    assert "iii" in section
    assert len(section) < 9 * 1024


def test_a_log_is_named_where_it_is(page: Page, stack: Stack) -> None:
    """The stack of these tests keeps its logs in another folder than `.local`."""
    assert stack.stripe
    stack.stripe.fail(500, 20)
    page.locator("#new-tenant-id").fill("unlucky")
    page.get_by_role("button", name="Start its checkout").click()
    page.locator("#problem").get_by_text("What is behind it").click()
    expect(page.locator("#problem")).to_contain_text(f"{stack.state.name}/logs.")
    stack.stripe.failures.clear()
    reconcile = stack.runtimes["ReconcileStripeFunction"]
    before, reconcile.last = reconcile.last, Ended(0, error="crashed")
    page.reload()
    expect(page.locator("#reconcile")).to_contain_text(f"{stack.state.name}/logs/ReconcileStripeFunction.log")
    reconcile.last = before
