"""Steps of a person on the pages, for the tests in several files."""

import os
import shutil
from pathlib import Path
from typing import Any

from axe_playwright_python.base import AxeResults  # type: ignore[import-untyped]
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

    Of axe's rules only those about sizes and scrolling depend on the width, and only those about colours on the
    scheme. The colours are looked at once on a desk and once, in the dark, on a phone, which shows other elements.
    """
    page.evaluate(Axe().axe_script)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        _axe(page, *(() if width == WIDTHS[0] else ("target-size", "scrollable-region-focusable")))
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"wider than {width}: {page.url}"
        assert page.evaluate(SCROLLS) == [], f"{page.url} at {width}"
    page.emulate_media(color_scheme="dark")
    _axe(page, "color-contrast", "link-in-text-block")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1440, "height": 900})


def _axe(page: Page, *rules: str) -> None:
    """By all of axe's rules, or by these. `accessible` has put axe into the page."""
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = {"type": "rule", "values": rules}
    found = AxeResults(page.evaluate("options => axe.run(options)", options))
    assert found.violations_count == 0, f"{page.url}: {found.generate_report()}"
