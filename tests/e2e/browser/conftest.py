from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from local.stack import Stack
from local.stripe.webhooks import Weather
from tests.e2e.browser.steps import CHROMIUM, PLATFORM_SECONDS


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
