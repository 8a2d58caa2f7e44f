"""The page on small screens, by keyboard, in the dark."""

from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the server's packages are not installed: pip install 'thumbnet[serve]'")
pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from playwright.sync_api import expect

from page_browser import HARBOUR, Open, Serve, answered, give, needs_chromium, needs_runtime

pytest_plugins = ("page_fixtures",)
pytestmark = needs_chromium


@needs_runtime
@pytest.mark.parametrize("width", [320, 375, 768])
def test_nothing_is_wider_than_the_screen(width: int, serve: Serve, export: Path, open_page: Open) -> None:
    page = open_page(
        serve("token", folder=export, has_teacher=True), viewport={"width": width, "height": 640}, has_touch=True
    )
    page.fill("#token", "token")
    page.keyboard.press("Enter")
    give(page, HARBOUR, "a-name-that-is-so-long-that-it-would-not-fit-on-any-line-of-a-telephone.jpg")
    answered(page)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    small = (
        "[...document.querySelectorAll('button, .toggle')].filter((one) => one.offsetHeight && one.offsetHeight < 32)"
    )
    assert page.evaluate(f"{small}.length") == 0


@needs_runtime
def test_by_keyboard_alone(serve: Serve, export: Path, open_page: Open) -> None:
    page = open_page(serve(folder=export, has_teacher=True))
    focused = "document.activeElement.id || document.activeElement.tagName"
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "file"
    outline = "getComputedStyle(document.querySelector('#drop label')).outlineStyle"
    assert page.evaluate(outline) == "solid", "that the field has the focus is seen at its label"
    # What opens the system's dialog; the dialog itself is not waited for, as not every headless browser opens it.
    page.evaluate("file.addEventListener('click', (click) => { window.asked = true; click.preventDefault(); })")
    page.keyboard.press("Enter")
    page.wait_for_function("window.asked")
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "BUTTON"
    page.keyboard.press("Enter")
    answered(page)
    for _ in range(2):
        page.keyboard.press("Tab")
    assert page.evaluate(focused) == "smooth"
    page.keyboard.press("Space")
    assert page.evaluate("getComputedStyle(document.getElementById('plain')).imageRendering") == "auto"
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "ask-teacher"
    page.keyboard.press("Enter")
    expect(page.locator("#teacher-ranked li")).to_have_count(5)


def test_dark_where_the_system_is_dark(serve: Serve, open_page: Open) -> None:
    server = serve()
    of_body = "(({ color, backgroundColor }) => [color, backgroundColor])(getComputedStyle(document.body))"
    colours = {scheme: open_page(server, color_scheme=scheme).evaluate(of_body) for scheme in ("light", "dark")}
    assert colours == {
        "light": ["rgb(28, 33, 39)", "rgb(255, 255, 255)"],
        "dark": ["rgb(228, 232, 236)", "rgb(20, 23, 27)"],
    }
