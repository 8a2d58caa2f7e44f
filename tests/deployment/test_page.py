"""The page in a real browser, against a server on this machine."""

import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="the server's packages are not installed: pip install 'thumbnet[serve]'")
pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from page_server import Running, StandIns, export_for_page, serving
from thumbnet.deployment.server.page import ASSETS, RUNTIME

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or ""
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no chromium here: apt-get install chromium")
needs_runtime = pytest.mark.skipif(
    not all((ASSETS / name).is_file() for name in RUNTIME),
    reason="onnxruntime-web is not in the page's files: run scripts/build-page",
)
HARBOUR = (ASSETS / "samples" / "harbour.jpg").read_bytes()
Open = Callable[..., Page]


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
def serve(networks: StandIns) -> Iterator[Callable[..., Running]]:
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


def encoded(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def scene(width: int = 120, height: int = 90, channels: int = 3) -> Image.Image:
    """Waves and noise, so that no two pixels are alike and every resize filter has work."""
    random = np.random.default_rng(5)
    y, x = np.mgrid[0:height, 0:width]
    waves = 128 + 70 * np.sin(np.stack([x / 7, y / 9, (x + y) / 11, (x - y) / 40][:channels], 2))
    return Image.fromarray((waves + random.normal(0, 20, (height, width, channels))).clip(0, 255).astype(np.uint8))


def give(page: Page, content: bytes, name: str = "picture.png") -> None:
    page.set_input_files("#file", files=[{"name": name, "mimeType": "image/png", "buffer": content}])


def answered(page: Page) -> None:
    expect(page.locator("#student-ranked li")).to_have_count(5, timeout=30_000)


@needs_runtime
def test_only_the_thumbnail_of_a_chosen_file_leaves_the_machine(
    serve: Callable[..., Running], export: Path, open_page: Open
) -> None:
    server = serve(folder=export)
    page = open_page(server)
    give(page, HARBOUR, "harbour.jpg")
    answered(page)
    ((path, body),) = server.received
    assert path == "/classify?top=5&given=thumbnail"
    assert len(body) < 2000 < len(HARBOUR)
    assert page.inner_text("#sent") == f"{len(body):,} bytes"
    assert "of the picture’s 53.0 kB" in page.inner_text("#sent-share")
    assert "960 × 720 px, 53.0 kB" in page.inner_text("#original-facts")
    assert "16 × 16 px" in page.inner_text("#plain-facts")
    assert "the student says" in page.inner_text("#status").lower()
    assert page.locator("#student-steps tr").count() == 6
    assert page.locator("#teacher").is_hidden()
    sides = [page.locator(f"#{name}").locator("..").bounding_box() for name in ("original", "plain", "learned")]
    assert len({(round(side["width"]), round(side["height"])) for side in sides if side}) == 1
    assert page.locator("img:not([alt])").count() == 0
    assert "harbour.jpg" in (page.get_attribute("#learned", "alt") or "")


@needs_runtime
def test_a_sample_picture(serve: Callable[..., Running], export: Path, open_page: Open, tmp_path: Path) -> None:
    scene().save(tmp_path / "my_own-waves.png")
    page = open_page(serve(folder=export, samples=tmp_path))
    assert page.locator("#samples button").count() == 3
    page.get_by_role("button", name="Sample: my own waves").click()
    answered(page)
    assert "120 × 90 px" in page.inner_text("#original-facts")
    page.get_by_role("button", name="A drawn harbour").click()
    expect(page.locator("#original-facts")).to_have_text("960 × 720 px, 53.0 kB")
    answered(page)


def written(page: Page, name: str) -> np.ndarray:
    """The levels of a thumbnail that is shown; the content policy lets no script read its file."""
    script = """(id) => {
      const image = document.getElementById(id), canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
      const context = canvas.getContext("2d");
      context.drawImage(image, 0, 0);
      return Array.from(context.getImageData(0, 0, canvas.width, canvas.height).data);
    }"""
    levels = np.array(page.evaluate(script, name), np.uint8)
    side = round((len(levels) / 4) ** 0.5)
    assert (levels.reshape(side, side, 4)[..., 3] == 255).all()
    return levels.reshape(side, side, 4)[..., :3]


def turned(picture: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(picture, "JPEG", quality=90, exif=exif)


@needs_runtime
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(encoded(scene()), id="png"),
        pytest.param(encoded(scene(64, 200)), id="tall"),
        pytest.param(encoded(scene(), "JPEG", quality=85), id="jpeg"),
        pytest.param(encoded(scene(97, 75), "JPEG", quality=95, subsampling=0), id="jpeg-444"),
        pytest.param(turned(scene()), id="turned"),
        pytest.param(encoded(scene(), "WEBP", lossless=True), id="webp"),
        pytest.param(encoded(scene().convert("L")), id="grey"),
        pytest.param(encoded(scene(channels=4)), id="transparent"),
    ],
)
def test_the_browser_makes_the_servers_thumbnail_within_one_level(
    content: bytes, serve: Callable[..., Running], export: Path, open_page: Open
) -> None:
    server = serve(folder=export)
    page = open_page(server)
    give(page, content)
    answered(page)
    (_, thumbnail), *_ = server.received
    reply = httpx.post(f"{server.url}/thumbnail?format=png", content=content)
    with Image.open(io.BytesIO(reply.content)) as theirs, Image.open(io.BytesIO(thumbnail)) as ours:
        assert (ours.mode, ours.size) == (theirs.mode, theirs.size)
        sent, expected = np.asarray(ours, np.int16), np.asarray(theirs, np.int16)
    assert abs(sent - expected).max() <= 1
    assert (sent != expected).mean() < 0.05
    assert (written(page, "learned") == sent).all(), "what is shown is what was sent"


@needs_runtime
def test_a_bad_file_is_told_and_the_next_is_taken(serve: Callable[..., Running], export: Path, open_page: Open) -> None:
    page = open_page(serve(folder=export, max_pixels=1_000_000))
    for content in (b"hello", b"", HARBOUR[:30]):
        give(page, content, "notes.jpg")
        expect(page.locator("#problem-text")).to_contain_text("cannot be read as a picture")
        expect(page.locator("#results")).to_be_hidden()
    give(page, encoded(Image.new("L", (2000, 2000))))
    expect(page.locator("#problem-text")).to_have_text("The picture has 4 megapixels; this page takes up to 1.")
    give(page, HARBOUR)
    answered(page)
    expect(page.locator("#problem")).to_be_hidden()


@needs_runtime
def test_a_server_that_is_gone_is_told_and_asked_again(
    serve: Callable[..., Running], export: Path, open_page: Open
) -> None:
    server = serve(folder=export)
    page = open_page(server)
    give(page, HARBOUR)
    answered(page)
    server.stop()
    give(page, encoded(scene()))
    expect(page.locator("#problem-text")).to_have_text("The server does not answer; is it still running?")
    expect(page.locator("#learned-facts")).to_contain_text("16 × 16 px")  # made here, so it is shown
    expect(page.locator("#sent")).to_have_text("0 bytes")
    assert page.locator("#student-ranked li").count() == 0, "the answer to another picture is not left standing"
    serve(folder=export, port=int(server.url.rsplit(":", 1)[1]))
    page.click("#again")
    answered(page)


@needs_runtime
def test_a_busy_server_is_told(serve: Callable[..., Running], export: Path, open_page: Open) -> None:
    page = open_page(serve(folder=export))
    busy = {"status": 503, "headers": {"Retry-After": "3"}, "json": {"error": "busy; send it again in a moment"}}
    page.route("**/classify*", lambda route: route.fulfill(**busy))
    give(page, HARBOUR)
    expect(page.locator("#problem-text")).to_have_text("The server is busy. Try again in 3 s.")
    once = int(page.inner_text("#sent").split()[0])
    page.unroute("**/classify*")
    page.click("#again")
    answered(page)
    assert page.inner_text("#sent").startswith(f"{2 * once:,} "), "what was sent in vain is counted as well"


def test_without_its_downscaler_the_page_says_so_and_the_server_makes_the_thumbnails(
    serve: Callable[..., Running], open_page: Open
) -> None:
    server = serve()
    page = open_page(server)
    expect(page.locator("#notice")).to_contain_text("The server makes the thumbnails instead")
    give(page, HARBOUR, "harbour.jpg")
    answered(page)
    paths = ["/thumbnail?format=png&downscaler=learned", "/thumbnail?format=png&downscaler=bicubic"]
    assert [path for path, _ in server.received] == [*paths, "/classify?top=5&given=thumbnail"]
    assert page.inner_text("#sent") == f"{sum(len(body) for _, body in server.received):,} bytes"
    assert "times the picture’s" in page.inner_text("#sent-share")


@needs_runtime
def test_a_downscaler_that_does_not_start_sends_nothing_by_itself(
    serve: Callable[..., Running], export: Path, open_page: Open
) -> None:
    held: list[Route] = []
    server = serve(folder=export)

    def hold(route: Route) -> None:
        held.append(route)

    page = open_page(server, lambda page: page.context.route("**/browser.onnx", hold))
    give(page, HARBOUR)
    expect(page.locator("#status")).to_have_text("Making the thumbnails …")
    while not held:  # it is asked for once the runtime is there
        page.wait_for_timeout(50)
    held[0].fulfill(body=b"no graph")
    expect(page.locator("#problem-text")).to_contain_text("Nothing was sent; try again to send the whole picture")
    expect(page.locator("#notice")).to_contain_text("does not start in this browser")
    assert server.received == []
    page.click("#again")
    answered(page)
    assert server.received[0] == ("/thumbnail?format=png&downscaler=learned", HARBOUR)


@needs_runtime
def test_a_token_is_asked_for(serve: Callable[..., Running], export: Path, open_page: Open) -> None:
    page = open_page(serve("geheim-é", folder=export))
    give(page, HARBOUR)
    expect(page.locator("#problem-text")).to_contain_text("access token, and this one is missing or wrong")
    field = page.get_by_label("Access token")
    expect(field).to_be_focused()
    field.fill("wrong")
    page.get_by_role("button", name="Use it").click()
    expect(page.locator("#problem-text")).to_contain_text("missing or wrong")
    field.fill("geheim-é")
    field.press("Enter")
    answered(page)
    expect(page.locator("#problem")).to_be_hidden()


@needs_runtime
def test_the_teacher_is_asked_only_on_demand(serve: Callable[..., Running], export: Path, open_page: Open) -> None:
    server = serve(folder=export, has_teacher=True)
    page = open_page(server)
    give(page, HARBOUR, "harbour.jpg")
    answered(page)
    assert page.inner_text("#teacher-cost") == "Asking it sends the whole picture: 53.0 kB."
    assert [path for path, _ in server.received] == ["/classify?top=5&given=thumbnail"]
    page.get_by_role("button", name="Ask the teacher").click()
    expect(page.locator("#teacher-ranked li")).to_have_count(3)
    assert server.received[1] == ("/teacher?top=5", HARBOUR)
    assert page.inner_text("#sent") == f"{sum(len(body) for _, body in server.received):,} bytes"


@needs_runtime
@pytest.mark.parametrize("width", [320, 375, 768])
def test_nothing_is_wider_than_the_screen(
    width: int, serve: Callable[..., Running], export: Path, open_page: Open
) -> None:
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
def test_by_keyboard_alone(serve: Callable[..., Running], export: Path, open_page: Open) -> None:
    page = open_page(serve(folder=export, has_teacher=True))
    focused = "document.activeElement.id || document.activeElement.tagName"
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "file"
    outline = "getComputedStyle(document.querySelector('#drop label')).outlineStyle"
    assert page.evaluate(outline) == "solid", "that the field has the focus is seen at its label"
    with page.expect_file_chooser():
        page.keyboard.press("Enter")
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
    expect(page.locator("#teacher-ranked li")).to_have_count(3)


def test_dark_where_the_system_is_dark(serve: Callable[..., Running], open_page: Open) -> None:
    server = serve()
    of_body = "(({ color, backgroundColor }) => [color, backgroundColor])(getComputedStyle(document.body))"
    colours = {scheme: open_page(server, color_scheme=scheme).evaluate(of_body) for scheme in ("light", "dark")}
    assert colours == {
        "light": ["rgb(28, 33, 39)", "rgb(255, 255, 255)"],
        "dark": ["rgb(228, 232, 236)", "rgb(20, 23, 27)"],
    }


def test_a_page_that_cannot_ask_its_server_says_so(serve: Callable[..., Running], open_page: Open) -> None:
    page = open_page(serve())
    page.route("**/about", lambda route: route.abort())
    page.reload()
    expect(page.locator("#problem-text")).to_contain_text("The server does not answer")
    page.unroute("**/about")
    page.click("#again")
    expect(page.locator("#samples button").first).to_be_visible()
    expect(page.locator("#problem")).to_be_hidden()


def test_a_dropped_file_is_taken_wherever_it_lands(serve: Callable[..., Running], open_page: Open) -> None:
    page = open_page(serve())
    carried = page.evaluate_handle(
        """(levels) => {
          const carried = new DataTransfer();
          carried.items.add(new File([new Uint8Array(levels)], "dropped.png", { type: "image/png" }));
          return carried;
        }""",
        list(encoded(scene())),
    )
    page.dispatch_event("footer", "drop", {"dataTransfer": carried})
    answered(page)
    assert "dropped.png" in (page.get_attribute("#original", "alt") or "")
