from collections.abc import Generator, Iterator
from contextlib import suppress
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Page, sync_playwright

from local.account import account
from local.scenarios import Scene
from local.stack import Stack
from local.stripe.webhooks import Weather
from tests.e2e.browser.steps import CHROMIUM, PLATFORM_SECONDS


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Chromium has no sandbox when root runs it. The other flags stop the browser's own network requests.
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield launched
        launched.close()


@pytest.fixture(autouse=True)
def fair_weather(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "stack" not in request.fixturenames:  # it starts no stack for a test that needs none
        return
    stack: Stack = request.getfixturevalue("stack")
    assert stack.stripe
    stack.stripe.webhooks.weather = Weather()


@pytest.fixture
def subscriber(stack: Stack) -> str:
    """A tenant with a subscription, for tests that only look. It is there once, and again after a reset."""
    tenant = "subscriber"
    if not account(stack.aws, tenant)["TENANT"]:
        Scene(stack, tenant, seed=1).subscribes()
    return tenant


@pytest.fixture
def page(browser: Browser, stack: Stack) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 960})
    context.set_default_timeout(PLATFORM_SECONDS * 1000)
    opened = context.new_page()
    broken: list[str] = []
    opened.on("pageerror", lambda error: broken.append(str(error)))
    opened.on(
        "console", lambda message: broken.append(message.text) if "Content Security Policy" in message.text else None
    )
    opened.goto(stack.api_url)
    yield opened
    context.close()
    assert not broken, broken


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """A failed test shows what stood on its page."""
    report = yield
    page: Page | None = getattr(item, "funcargs", {}).get("page")
    if report.failed and page and call.when == "call":
        with suppress(Error):
            text = page.locator("body").inner_text(timeout=10_000)
            report.sections.append((f"page {page.url}", text))
    return report
