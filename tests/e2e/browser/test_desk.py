"""Checks in a real browser that the console answers where the click was, offers what can be done, and stays small."""

import pytest
import requests
from playwright.sync_api import Browser, Locator, Page, expect

from local.stack import Stack
from tests.e2e.browser.steps import CHROMIUM, WIDTHS, accessible, badge, portal, subscribe

pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on the PATH: the browser tests do not run"),
]

LARGEST = 60 * 1024  # bytes of the console's page


def in_sight(found: Locator) -> bool:
    """Whether all of it is inside the window, wherever the page is scrolled to."""
    box, size = found.bounding_box(), found.page.viewport_size
    assert box
    assert size
    return box["x"] >= 0 and box["y"] >= 0 and box["x"] + box["width"] <= size["width"] and box["y"] < size["height"]


@pytest.mark.parametrize("width", WIDTHS)
def test_the_answer_stands_where_the_click_was(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    button = page.get_by_role("button", name="Set the weather")
    button.scroll_into_view_if_needed()
    before = page.evaluate("scrollY")
    button.click()
    said = page.locator("#note")
    expect(said).to_have_text("The weather is set.Close")
    assert in_sight(said)
    assert page.evaluate("scrollY") == before, "the page jumped"
    expect(button).to_be_focused()


def test_a_refusal_says_what_to_do_and_the_form_keeps_what_was_chosen(page: Page, stack: Stack) -> None:
    assert stack.stripe
    stack.stripe.fail(500, 20)  # each call is made again by the SDK
    page.locator("#new-tenant-id").fill("refused")
    page.locator("#new-tenant-plan").select_option("plan-pro")
    page.get_by_role("button", name="Start its checkout").click()
    problem = page.locator("#problem")
    expect(problem).to_contain_text("Stripe")
    assert in_sight(problem)
    problem.get_by_text("What is behind it").click()
    expect(problem).to_contain_text("request ")
    stack.stripe.failures.clear()
    assert page.locator("#new-tenant-id").input_value() == "refused"
    assert page.locator("#new-tenant-plan").input_value() == "plan-pro"
    expect(page.get_by_role("button", name="Start its checkout")).to_be_enabled()


def test_a_button_that_waits_says_so(page: Page, stack: Stack) -> None:
    assert stack.stripe
    page.locator("#filter-tenant").fill("550e8400")  # other tests have made more tenants than the page shows
    expect(page.locator("article.tenant")).to_have_count(1)
    stack.stripe.fail(0, 1, 3)
    button = page.locator("#tenant-550e8400").get_by_role("button", name="Customer portal")
    button.click()
    expect(page.locator("#tenant-550e8400 button[aria-busy]")).to_be_disabled()
    expect(page.get_by_role("heading", name="Your billing")).to_be_visible()


def test_what_is_opened_is_loaded_and_what_is_not_asked_for_is_not_shown(page: Page, subscriber: str) -> None:
    page.locator("#filter-type").fill("checkout.session.completed")
    page.locator("#filter-tenant").fill(subscriber)
    rows = page.locator("#timeline .rows > li")
    expect(rows).to_have_count(1)
    expect(page.locator("article.tenant")).to_have_count(1)
    rows.locator("summary").click()
    expect(rows).to_contain_text('"eventType": "checkout.session.completed"')
    rows.get_by_role("button", name="Send again").click()
    expect(page.locator("#note")).to_contain_text("is being delivered again")
    page.locator("#filter-outcome").select_option("IGNORED")
    expect(rows).to_have_count(0)
    page.reload()
    expect(page.locator("#filter-type")).to_have_value("checkout.session.completed")


def test_the_page_stays_small(page: Page, stack: Stack) -> None:
    """With more than 500 events and more tenants than it shows."""
    assert stack.stripe
    store, url = stack.stripe.store, stack.stripe.webhooks.url
    stack.stripe.webhooks.url = ""
    try:
        with stack.stripe.lock:
            for number in range(520):
                made = store.create("customer", metadata={"tenantId": f"many-{number}"})
                store.emit("customer.created", made)
    finally:
        stack.stripe.webhooks.url = url
    assert len(requests.get(stack.api_url, timeout=600).content) < LARGEST
    page.reload()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to time and weather")).to_be_focused()
    page.locator("#filter-tenant").fill("many-")
    pages, rows = page.get_by_role("navigation", name="Pages of events"), page.locator("#timeline .rows > li")
    expect(pages).to_contain_text("1 to 18 of 520")
    page.get_by_role("link", name="Older").click()
    expect(pages).to_contain_text("19 to 36 of 520")
    expect(rows.first).to_contain_text(f"many-{520 - 19}")
    expect(page.locator("#filter-tenant")).to_have_value("many-")
    with stack.stripe.lock:
        store.emit("customer.created", made)
    expect(pages).to_contain_text("20 to 37 of 521")
    expect(rows.first).to_contain_text(f"many-{520 - 19}")
    page.locator("#filter-type").fill("customer.")
    expect(pages).to_contain_text("1 to 18 of 521")


def test_everything_begins_again(page: Page, stack: Stack, subscriber: str) -> None:
    asked = f"{stack.api_url}/api/v1/billing/stripe/checkout?tenantId=other&planId=plan-pro"
    answer = requests.post(asked, headers={"Authorization": f"Bearer {stack.token(subscriber)}"}, timeout=600)
    page.locator("#filter-tenant").fill(subscriber)
    badge(page, subscriber, "ACTIVE")
    expect(page.locator("#requests")).to_contain_text(answer.json()["requestId"])
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Reset").click()
    expect(page.locator("#note")).to_contain_text("as it was after the start")
    expect(page.locator(f"#tenant-{subscriber}")).to_have_count(0)
    expect(page.locator("#requests")).not_to_contain_text(answer.json()["requestId"])
    page.locator("#filter-tenant").fill("")
    expect(page.locator("#tenant-550e8400")).to_be_visible()
    subscribe(page, "anew")
    badge(page, "anew", "ACTIVE")
    portal(page, stack, "anew")  # its configuration is there again


def test_nothing_is_in_the_way_of_a_reader(browser: Browser, stack: Stack) -> None:
    """axe finds nothing on the console and on Stripe's pages, and no page is wider than a window of any width."""
    tenant = "t" * 64  # the longest id
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(stack.api_url)
    page.locator("#new-tenant-id").fill(tenant)
    page.get_by_role("button", name="Start its checkout").click()
    expect(page.get_by_text("Total due today")).to_be_visible()
    accessible(page)
    page.get_by_label("Card number").fill("4242 4242 4242 4242")
    page.get_by_role("button", name="Subscribe").click()
    badge(page, tenant, "ACTIVE")
    page.locator("#timeline .rows summary").first.click()
    expect(page.locator("#timeline .rows pre").first).to_be_visible()
    accessible(page)
    portal(page, stack, tenant)
    accessible(page)
    context.close()
