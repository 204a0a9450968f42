"""Checks in a real browser that a story says where to look, and that it is to be seen there."""

import pytest
from playwright.sync_api import Page, expect

from local.stack import Stack
from tests.e2e.browser.steps import CHROMIUM, accessible, badge

pytestmark = [pytest.mark.skipif(not CHROMIUM, reason="no Chromium on the PATH: the browser tests do not run")]


def test_a_story_is_played_and_repaired(page: Page) -> None:
    """A checkout of which nothing arrived: what differs is shown, and after the repair nothing does."""
    page.locator("#scenario-name").select_option("all-lost")
    page.locator("#scenario-seed").fill("11")
    page.get_by_role("button", name="Play it").click()
    story = page.locator("#scenario-played")
    expect(story.get_by_role("heading", name="What to look at")).to_be_visible()
    badge(page, "all-lost-11", "PENDING")
    sides = page.locator("#tenant-all-lost-11-sides")
    sides.locator("summary").click()
    expect(sides).to_contain_text("does not have it")
    page.get_by_role("button", name="Compare with Stripe").click()
    badge(page, "all-lost-11", "ACTIVE")
    expect(sides).to_contain_text("Nothing differs.")


def test_the_address_of_a_story_plays_it_and_a_field_says_why_it_is_so(page: Page, stack: Stack) -> None:
    page.goto(f"{stack.api_url}/?scenario=declined-at-first&seed=12")
    page.get_by_role("button", name="Play it with seed 12").click()
    expect(page.get_by_role("heading", name="What to look at")).to_be_visible()
    badge(page, "declined-at-first-12", "ACTIVE")
    page.locator("#filter-type").fill("invoice.")
    page.reload()
    expect(page.get_by_role("heading", name="What to look at")).to_be_visible()
    page.locator("#tenant-declined-at-first-12-all > summary").click()
    fields = page.locator("#tenant-declined-at-first-12 .fields-of li")
    status = fields.filter(has_text="status").first
    status.locator("summary").click()
    expect(status).to_contain_text("Before, it was PENDING")
    expect(status).to_contain_text("The rule: It follows from all subscriptions")
    linked = fields.filter(has_text="stripeCustomerId").first
    linked.locator("summary").click()
    expect(linked).to_contain_text("No event said so. In that second ran POST /stripe/checkout")
    status.get_by_role("link").click()
    expect(page.locator("#timeline .rows > li").first).to_be_visible()


def test_what_differs_is_told_at_every_width(page: Page, stack: Stack) -> None:
    page.goto(f"{stack.api_url}/?scenario=all-lost&seed=13&tenant=all-lost-13")
    page.get_by_role("button", name="Play it with seed 13").click()
    page.locator("#tenant-all-lost-13-sides summary").click()
    expect(page.locator("#tenant-all-lost-13-sides table").first).to_be_visible()
    page.locator("#tenant-all-lost-13-all summary").click()
    expect(page.locator("#tenant-all-lost-13 .fields-of")).to_be_visible()
    accessible(page)
