"""Chromium, and servers for it: a plugin for pytest."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from page_browser import CHROMIUM, Open, Serve
from page_server import Running, StandIns, export_for_page, serving


@pytest.fixture(scope="module")
def networks() -> StandIns:
    return StandIns()


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory, networks: StandIns) -> Path:
    return export_for_page(tmp_path_factory.mktemp("export"), networks)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def serve(networks: StandIns) -> Iterator[Serve]:
    with ExitStack() as stack:
        yield lambda *arguments, **keywords: stack.enter_context(serving(networks, *arguments, **keywords))


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Opens pages, and fails at the end where one complained: of its content policy, of a script, or in the console."""
    complaints: list[str] = []
    contexts = []

    def heard(message: Any) -> None:
        # What the page was refused is said by the page; that the browser says it too is no fault.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    def make(server: Running, before: Callable[[Page], None] = lambda _: None, **options: Any) -> Page:
        contexts.append(browser.new_context(**{"viewport": {"width": 1000, "height": 800}, **options}))
        page = contexts[-1].new_page()
        page.on("console", heard)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        before(page)
        page.goto(server.url)
        expect(page.locator("#samples button").first).to_be_visible()
        return page

    yield make
    for context in contexts:
        context.close()
    assert complaints == []
