"""The page in a real browser, against a server on this machine."""

from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the server's packages are not installed: pip install 'thumbnet[serve]'")
pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from PIL import Image
from playwright.sync_api import Route, expect

from page_browser import HARBOUR, Open, Serve, answered, encoded, give, needs_chromium, needs_runtime, scene

pytest_plugins = ("page_fixtures",)
pytestmark = needs_chromium


@needs_runtime
def test_only_the_thumbnail_of_a_chosen_file_leaves_the_machine(serve: Serve, export: Path, open_page: Open) -> None:
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
def test_a_sample_picture(serve: Serve, export: Path, open_page: Open, tmp_path: Path) -> None:
    scene().save(tmp_path / "my_own-waves.png")
    page = open_page(serve(folder=export, samples=tmp_path))
    assert page.locator("#samples button").count() == 3
    page.get_by_role("button", name="Sample: my own waves").click()
    answered(page)
    assert "120 × 90 px" in page.inner_text("#original-facts")
    page.get_by_role("button", name="A drawn harbour").click()
    expect(page.locator("#original-facts")).to_have_text("960 × 720 px, 53.0 kB")
    answered(page)


@needs_runtime
def test_a_bad_file_is_told_and_the_next_is_taken(serve: Serve, export: Path, open_page: Open) -> None:
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
def test_a_server_that_is_gone_is_told_and_asked_again(serve: Serve, export: Path, open_page: Open) -> None:
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
def test_a_busy_server_is_told(serve: Serve, export: Path, open_page: Open) -> None:
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
    serve: Serve, open_page: Open
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
def test_a_downscaler_that_does_not_start_sends_nothing_by_itself(serve: Serve, export: Path, open_page: Open) -> None:
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
def test_a_token_is_asked_for(serve: Serve, export: Path, open_page: Open) -> None:
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
def test_the_teacher_is_asked_only_on_demand(serve: Serve, export: Path, open_page: Open) -> None:
    server = serve(folder=export, has_teacher=True)
    page = open_page(server)
    give(page, HARBOUR, "harbour.jpg")
    answered(page)
    assert page.inner_text("#teacher-cost") == "Asking it sends the whole picture: 53.0 kB."
    assert [path for path, _ in server.received] == ["/classify?top=5&given=thumbnail"]
    page.get_by_role("button", name="Ask the teacher").click()
    expect(page.locator("#teacher-ranked li")).to_have_count(5)
    assert server.received[1] == ("/teacher?top=5", HARBOUR)
    assert page.inner_text("#sent") == f"{sum(len(body) for _, body in server.received):,} bytes"


def test_a_page_that_cannot_ask_its_server_says_so(serve: Serve, open_page: Open) -> None:
    page = open_page(serve())
    page.route("**/about", lambda route: route.abort())
    page.reload()
    expect(page.locator("#problem-text")).to_contain_text("The server does not answer")
    page.unroute("**/about")
    page.click("#again")
    expect(page.locator("#samples button").first).to_be_visible()
    expect(page.locator("#problem")).to_be_hidden()


def test_a_dropped_file_is_taken_wherever_it_lands(serve: Serve, open_page: Open) -> None:
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
