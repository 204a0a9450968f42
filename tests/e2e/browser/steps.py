"""Steps of a person on the pages, for the tests in several files."""

import os
import shutil
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page, expect

from local.stack import Stack

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PICTURES = os.environ.get("PICTURES")
PLATFORM_SECONDS = 300  # enough for a webhook and a cold start on a busy machine
GOOD, DECLINED, ASKS, FAILS_LATER = "4242 4242 4242 4242", "4000000000000002", "4000002760003184", "4000000000000341"
WIDTHS = (1440, 1024, 390)

expect.set_options(timeout=PLATFORM_SECONDS * 1000)


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


SCROLLS = """() => [...document.querySelectorAll('main *')].filter(e => e.scrollWidth > e.clientWidth
  && ['auto', 'scroll'].includes(getComputedStyle(e).overflowX) && e.tagName !== 'PRE').map(e => e.outerHTML)"""


def accessible(page: Page) -> None:
    """axe finds nothing, light or dark, and at no width is anything wider than the window.

    Only the colours depend on the scheme, so the dark one is looked at in one width.
    """
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        _axe(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"wider than {width}: {page.url}"
        assert page.evaluate(SCROLLS) == [], f"{page.url} at {width}"
    page.emulate_media(color_scheme="dark")
    _axe(page)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1440, "height": 900})


def _axe(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, f"{page.url}: {found.generate_report()}"
