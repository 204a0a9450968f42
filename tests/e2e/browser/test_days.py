"""Checks the console in a real browser: as time passes, with bad deliveries, and for accessibility."""

from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from local.stack import Stack
from tests.e2e.browser.steps import CHROMIUM, FAILS_LATER, PICTURES, PLATFORM_SECONDS, badge, picture, portal, subscribe

pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on the PATH: the browser tests do not run"),
]


def test_a_failed_renewal_is_shown_and_only_what_can_be_done_is_offered(page: Page, stack: Stack) -> None:
    subscribe(page, "late")
    badge(page, "late", "ACTIVE")
    expect(page.locator("#tenant-late").get_by_role("button", name="Subscribe")).to_have_count(0)
    portal(page, stack, "late")
    page.get_by_label("Card number").fill(FAILS_LATER)
    page.get_by_role("button", name="Save payment method").click()
    page.goto(stack.api_url)
    page.locator("#days").fill("32")
    page.get_by_role("button", name="Advance").click()
    expect(page.locator("#tenant-late")).to_contain_text("OVERDUE")
    expect(page.locator("#tenant-late")).to_contain_text("past_due")
    expect(page.locator("#tenant-late .doing button").first).to_have_text("Pay 19.00 USD")


def test_bad_deliveries_do_no_harm(page: Page, stack: Stack) -> None:
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
    announced = {one["id"]: (one["type"], one.get("subscriptionId")) for one in stack.announcements}
    created = [one for one in announced.values() if one[0] == "subscription.created"]
    assert len(created) == len(set(created)), "the same change was announced with two ids"
    picture(page, "console")


def test_what_was_lost_is_found_announced_and_reported(page: Page) -> None:
    page.locator("#copies").select_option("1")
    page.locator("#lost").select_option(label="all")
    page.get_by_role("button", name="Set the weather").click()
    subscribe(page, "lost")
    expect(page.locator("#timeline")).to_contain_text("lost on the way")
    badge(page, "lost", "PENDING")
    page.locator("#lost").select_option(label="none")
    page.get_by_role("button", name="Set the weather").click()
    found = page.locator("#tenant-lost .badge").first
    for _ in range(3):  # a run stops when another run (for example, the hourly one) has taken over
        page.get_by_role("button", name="Compare with Stripe").click()
        with suppress(AssertionError):
            expect(found).to_have_text("ACTIVE", timeout=PLATFORM_SECONDS * 1000 / 3)
            break
    badge(page, "lost", "ACTIVE")
    expect(page.locator("#timeline .rows")).to_contain_text("brought in")
    expect(page.locator("#reconcile .report")).to_contain_text("Missed, now applied")
    announcements = page.locator("#announcements li").filter(has_text="tenant.activated").filter(has_text="lost")
    expect(announcements).to_have_count(1)


def test_a_narrow_screen_in_dark_mode(browser: Browser, stack: Stack) -> None:
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


def test_every_control_has_a_name_and_can_be_reached(page: Page, stack: Stack, subscriber: str) -> None:
    """A screen reader needs a name for each control. The Tab key must first reach the link to the content."""
    assert page.evaluate(UNNAMED) == []
    assert page.evaluate("document.querySelectorAll('h1').length") == 1
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    portal(page, stack, subscriber)
    assert page.evaluate(UNNAMED) == []
    assert page.evaluate("document.querySelectorAll('h1').length") == 1
