"""Checks in a real browser how a buyer subscribes, pays, changes the plan and cancels.

`make pictures` uses these tests to make the pictures of the pages.
"""

import pytest
from playwright.sync_api import Page, expect

from local.commands import seed
from local.stack import Stack
from tests.e2e.browser.steps import ASKS, CHROMIUM, DECLINED, GOOD, badge, picture, portal, subscribe

pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on the PATH: the browser tests do not run"),
]


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
    expect(page.locator("#note")).to_contain_text("acme has subscribed.")
    badge(page, "acme", "ACTIVE")
    expect(page.locator("#timeline")).to_contain_text("checkout.session.completed")
    expect(page.locator("#status")).to_contain_text("processed")


def test_a_bank_that_asks_for_a_confirmation(page: Page) -> None:
    subscribe(page, "asked", card=ASKS)
    page.get_by_role("button", name="Refuse").click()
    expect(page.get_by_role("alert")).to_contain_text("refused")
    expect(page.get_by_label("Card number")).to_have_value(ASKS)
    expect(page.get_by_label("Card number")).to_be_focused()
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
    expect(page.get_by_text("Total due today")).to_be_visible()
    picture(page, "plan-change", 640)
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("status")).to_have_text("Your plan is now Enterprise.")
    expect(page.get_by_role("heading", name="Enterprise")).to_be_visible()
    picture(page, "portal", 900)
    page.get_by_role("link", name="Return to the app").click()
    card = page.locator("#tenant-changes")
    expect(card).to_contain_text("Enterprise")
    portal(page, stack, "changes")
    page.get_by_role("link", name="Cancel at period end").click()
    expect(page.get_by_text("You can use it until")).to_be_visible()
    page.get_by_role("link", name="Go back").click()
    page.get_by_role("link", name="Cancel at period end").click()
    page.get_by_role("button", name="Cancel subscription").click()
    expect(page.get_by_role("status")).to_contain_text("Your subscription ends on")
    expect(page.get_by_role("button", name="Keep my subscription")).to_be_visible()
    page.goto(stack.api_url)
    expect(card).to_contain_text("cancels")
    page.get_by_role("button", name="+35 days").click()
    badge(page, "changes", "CANCELED")
