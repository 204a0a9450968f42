"""What a person does, in a real browser: subscribe, pay, change, cancel, let time pass, and see the console follow.

The pictures of the README are made here: `make pictures`.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from local.commands import seed
from local.stack import Stack
from local.stripe.webhooks import Weather

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PICTURES = os.environ.get("PICTURES")
PLATFORM_SECONDS = 300  # for a webhook to arrive and be applied, and for a cold function, on a busy machine
GOOD, DECLINED, ASKS, FAILS_LATER = "4242 4242 4242 4242", "4000000000000002", "4000002760003184", "4000000000000341"

expect.set_options(timeout=PLATFORM_SECONDS * 1000)

pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on the PATH: the pages are not tried in a browser"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Root has no sandbox to give; the rest keeps the browser from asking the network for things of its own.
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield launched
        launched.close()


@pytest.fixture(autouse=True)
def fair_weather(stack: Stack) -> Iterator[None]:
    yield
    assert stack.stripe
    stack.stripe.webhooks.weather = Weather()


@pytest.fixture
def page(browser: Browser, stack: Stack) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 960})
    context.set_default_timeout(PLATFORM_SECONDS * 1000)
    opened = context.new_page()
    broken: list[str] = []
    opened.on("pageerror", lambda error: broken.append(str(error)))
    opened.on("console", lambda said: broken.append(said.text) if "Content Security Policy" in said.text else None)
    opened.goto(stack.api_url)
    yield opened
    context.close()
    assert not broken, broken


def picture(page: Page, name: str, height: int = 960) -> None:
    if PICTURES:
        size = page.viewport_size
        page.set_viewport_size({"width": 1440 if height == 960 else 1100, "height": height})
        page.screenshot(path=Path(PICTURES) / f"{name}.png")
        assert size
        page.set_viewport_size(size)


def subscribe(page: Page, tenant: str, plan: str = "plan-starter", card: str = GOOD) -> None:
    page.locator("#new-tenant-id").fill(tenant)
    page.locator("#new-tenant-plan").select_option(plan)
    page.get_by_role("button", name="Start its checkout").click()
    page.get_by_label("Card number").fill(card)
    page.get_by_role("button", name="Subscribe").click()


def badge(page: Page, tenant: str, status: str) -> None:
    found = page.locator(f"#tenant-{tenant} .badge").first
    expect(found).to_have_text(status)


def portal(page: Page, stack: Stack, tenant: str) -> None:
    page.goto(stack.api_url)
    page.locator(f"#tenant-{tenant}").get_by_role("button", name="Customer portal").click()
    expect(page.get_by_role("heading", name="Your billing")).to_be_visible()


def test_a_tenant_subscribes_and_the_console_follows(page: Page) -> None:
    page.locator("#new-tenant-id").fill("acme")
    page.locator("#new-tenant-plan").select_option("plan-pro")
    page.get_by_role("button", name="Start its checkout").click()
    expect(page.get_by_text("Total due today")).to_be_visible()
    picture(page, "checkout", 520)
    page.get_by_label("Card number").fill(DECLINED)
    page.get_by_role("button", name="Subscribe").click()
    expect(page.get_by_role("alert")).to_have_text("Your card was declined.")
    page.get_by_label("Card number").fill(GOOD)
    page.get_by_role("button", name="Subscribe").click()
    badge(page, "acme", "ACTIVE")
    expect(page.locator("#timeline")).to_contain_text("checkout.session.completed")
    expect(page.locator("#status")).to_contain_text("processed")


def test_a_bank_that_asks_for_a_confirmation(page: Page) -> None:
    subscribe(page, "asked", card=ASKS)
    page.get_by_role("button", name="Refuse").click()
    expect(page.get_by_role("alert")).to_contain_text("refused")
    page.get_by_label("Card number").fill(ASKS)
    page.get_by_role("button", name="Subscribe").click()
    page.get_by_role("button", name="Confirm payment").click()
    badge(page, "asked", "ACTIVE")


def test_a_debit_gives_access_days_later(page: Page) -> None:
    page.locator("#new-tenant-id").fill("debit")
    page.get_by_role("button", name="Start its checkout").click()
    page.get_by_label("Bank debit (settles days later)").check()
    page.get_by_role("button", name="Subscribe").click()
    badge(page, "debit", "PENDING")
    page.get_by_role("button", name="+7 days").click()
    badge(page, "debit", "ACTIVE")


def test_an_invoice_is_paid(page: Page, stack: Stack) -> None:
    seed.admin(stack, "POST", "/tenants/payer/invoices", {"invoiceId": "inv-payer", **seed.MONEY_DUE})
    subscribe(page, "payer")
    badge(page, "payer", "ACTIVE")
    page.get_by_role("button", name="Pay invoice inv-payer").click()
    expect(page.get_by_role("heading", name="Pay 250.00 USD")).to_be_visible()
    picture(page, "payment", 520)
    page.get_by_label("Card number").fill(GOOD)
    page.get_by_role("button", name="Pay 250.00 USD").click()
    page.get_by_role("link", name="Back to the app").click()
    own = page.locator("#payer-INVOICE-inv-payer")
    expect(own).to_contain_text("PAID")


def test_the_portal_changes_the_plan_and_cancels(page: Page, stack: Stack) -> None:
    subscribe(page, "changes")
    badge(page, "changes", "ACTIVE")
    portal(page, stack, "changes")
    plan = page.locator("select[name=price]")
    enterprise = plan.locator("option", has_text="Enterprise").get_attribute("value")
    plan.select_option(enterprise)
    page.get_by_role("button", name="Change plan").click()
    expect(page.get_by_role("heading", name="Enterprise")).to_be_visible()
    picture(page, "portal", 900)
    page.get_by_role("link", name="Return to the app").click()
    card = page.locator("#tenant-changes")
    expect(card).to_contain_text("Enterprise")
    portal(page, stack, "changes")
    page.get_by_role("button", name="Cancel at period end").click()
    expect(page.get_by_role("button", name="Keep my subscription")).to_be_visible()
    page.goto(stack.api_url)
    expect(card).to_contain_text("cancels")
    page.get_by_role("button", name="+35 days").click()
    badge(page, "changes", "CANCELED")


def test_time_renews_and_a_card_that_fails_is_seen(page: Page, stack: Stack) -> None:
    subscribe(page, "late")
    badge(page, "late", "ACTIVE")
    portal(page, stack, "late")
    page.get_by_label("Card number").fill(FAILS_LATER)
    page.get_by_role("button", name="Save payment method").click()
    page.goto(stack.api_url)
    page.locator("#days").fill("32")
    page.get_by_role("button", name="Advance").click()
    expect(page.locator("#tenant-late")).to_contain_text("OVERDUE")
    expect(page.locator("#tenant-late")).to_contain_text("past_due")


def test_a_bad_day_is_made_and_survived(page: Page, stack: Stack) -> None:
    page.locator("#copies").select_option("2")
    page.get_by_label("Shuffled").check()
    page.get_by_role("button", name="Set the weather").click()
    expect(page.locator("#forecast")).to_contain_text("2 copies")
    page.get_by_role("button", name="Roll").click()
    expect(page.locator("#note")).to_contain_text("rolled")
    subscribe(page, "storm", "plan-pro")
    badge(page, "storm", "ACTIVE")
    expect(page.locator("#live")).to_contain_text("storm")
    expect(page.locator("#status")).not_to_contain_text("received")
    assert stack.wait_until_announced(PLATFORM_SECONDS)
    heard = {said["id"]: (said["type"], said.get("subscriptionId")) for said in stack.announcements}
    created = [one for one in heard.values() if one[0] == "subscription.created"]
    assert len(created) == len(set(created)), "announced twice, under two ids"
    picture(page, "console")


def test_what_was_lost_is_found_and_announced(page: Page) -> None:
    page.locator("#copies").select_option("1")
    page.locator("#lost").select_option(label="all")
    page.get_by_role("button", name="Set the weather").click()
    subscribe(page, "lost")
    expect(page.locator("#timeline")).to_contain_text("lost on the way")
    badge(page, "lost", "PENDING")
    page.locator("#lost").select_option(label="none")
    page.get_by_role("button", name="Set the weather").click()
    found = page.locator("#tenant-lost .badge").first
    for _ in range(3):  # a run that another one is in the way of, the hourly one say, leaves the rest to that
        page.get_by_role("button", name="Compare with Stripe").click()
        with suppress(AssertionError):
            expect(found).to_have_text("ACTIVE", timeout=PLATFORM_SECONDS * 1000 / 3)
            break
    badge(page, "lost", "ACTIVE")
    told = page.locator("#announcements li").filter(has_text="tenant.activated").filter(has_text="lost")
    expect(told).to_have_count(1)


def test_dark_and_narrow(browser: Browser, stack: Stack) -> None:
    context = browser.new_context(viewport={"width": 420, "height": 900}, color_scheme="dark")
    page = context.new_page()
    page.goto(stack.api_url)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / "console-dark.png")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (
        "the page is wider than the phone"
    )
    context.close()


def test_without_javascript(browser: Browser, stack: Stack) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(stack.api_url)
    subscribe(page, "plain")
    page.goto(stack.api_url)
    expect(page.locator("#tenant-plain")).to_be_visible()
    context.close()


UNNAMED = """[...document.querySelectorAll('input:not([type=hidden]), select, button, a[href]')].filter(e =>
  !(e.labels && e.labels.length) && !e.getAttribute('aria-label') && !e.textContent.trim()).map(e => e.outerHTML)"""


def test_every_control_has_a_name_and_can_be_reached(page: Page, stack: Stack) -> None:
    """A screen reader must have something to say, and the first stop of the Tab key leads to the content."""
    assert page.evaluate(UNNAMED) == []
    assert page.evaluate("document.querySelectorAll('h1').length") == 1
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    subscribe(page, "named")
    badge(page, "named", "ACTIVE")
    portal(page, stack, "named")
    assert page.evaluate(UNNAMED) == []
    assert page.evaluate("document.querySelectorAll('h1').length") == 1
