"""What the page's routes serve, to whom, and with which headers; no browser."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the server's packages are not installed: pip install 'thumbnet[serve]'")

from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from stand_in_networks import Greys
from thumbnet.config.serve import ServeSettings
from thumbnet.deployment.server.app import create_app
from thumbnet.deployment.server.page import ASSETS, DRAWN, RUNTIME, page_routes

Serve = Callable[..., TestClient]


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:
        yield lambda token=None, **page: stack.enter_context(
            TestClient(create_app(Greys(), ServeSettings(), token, **page))
        )


def test_the_page_asks_for_no_token_and_everything_else_does(serve: Serve) -> None:
    server = serve("secret")
    for path in ("/", "/about", "/page/page.js", "/page/samples/harbour.jpg"):
        assert server.get(path).status_code == 200, path
    assert server.get("/about").json()["token"] is True
    for path in ("/classify", "/teacher", "/thumbnail", "/page", "/about/"):
        assert server.post(path, content=b"x").status_code == 401, path


def test_what_the_page_needs_is_served_with_its_type_and_policy(serve: Serve) -> None:
    server = serve()
    types = {
        "/": "text/html; charset=utf-8",
        "/page/page.css": "text/css; charset=utf-8",
        "/page/downscaler-worker.js": "text/javascript; charset=utf-8",
        "/page/icon.svg": "image/svg+xml",
        "/page/samples/table.jpg": "image/jpeg",
    }
    for path, kind in types.items():
        answer = server.get(path)
        policy = answer.headers["content-security-policy"]
        assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
        assert policy.startswith("default-src 'none'; script-src 'self' 'wasm-unsafe-eval';")
        assert "unsafe-inline" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert server.get("/healthz").headers["cache-control"] == "no-store"


def test_what_has_not_changed_is_not_sent_again(serve: Serve) -> None:
    server = serve()
    first = server.get("/page/page.js")
    assert first.headers["cache-control"] == "no-cache"
    again = server.get("/page/page.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "name", ["", "nothing.js", "../page.py", "%2e%2e/page.py", "..%2fpage.py", "/etc/passwd", "ort/.stamp", "samples"]
)
def test_no_other_file_is_served(name: str, serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "export.json.bak").write_text("private", encoding="utf-8")
    answer = serve(folder=tmp_path, samples=tmp_path).get(f"/page/{name}")
    assert (answer.status_code, list(answer.json())) in ((404, ["error"]), (404, ["detail"]))


def test_the_browser_downscales_only_where_all_of_its_files_are(tmp_path: Path) -> None:
    assets, export = tmp_path / "assets", tmp_path / "export"
    for place in [*(assets / name for name in RUNTIME), assets / "index.html"]:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("", encoding="utf-8")
    export.mkdir()

    def asked(path: str) -> Any:
        app = FastAPI()
        app.include_router(page_routes(export, False, None, networks=Greys(), settings=ServeSettings(), assets=assets))
        return TestClient(app, raise_server_exceptions=False).get(path)

    assert asked("/about").json()["browser"] is False
    (export / "browser.onnx").write_bytes(b"graph")
    assert asked("/about").json()["browser"] is True
    assert asked("/about").json()["teacher"] is True
    assert asked("/page/browser.onnx").content == b"graph"
    assert asked(f"/page/{RUNTIME[2]}").headers["content-type"] == "application/wasm"
    (assets / RUNTIME[2]).unlink()
    assert asked("/about").json()["browser"] is False


def test_samples_that_were_given_come_first(serve: Serve, tmp_path: Path) -> None:
    for name in ("b-side #2 50%.png", "a_side.JPG", "notes.txt", "drawing.svg"):
        if name.endswith(("png", "JPG")):
            Image.new("RGB", (4, 4)).save(tmp_path / name)
        else:
            (tmp_path / name).write_text("x", encoding="utf-8")
    about = serve(samples=tmp_path).get("/about").json()
    own = ["harbour.jpg", "table.jpg"]
    assert [sample["name"] for sample in about["samples"]] == ["a_side.JPG", "b-side #2 50%.png", *own]
    assert about["samples"][0]["alt"] == "Sample: a side"
    assert about["samples"][2]["alt"] == DRAWN["harbour"]
    server = serve(samples=tmp_path)
    for sample in about["samples"]:
        assert server.get("/" + sample["url"]).status_code == 200
    assert (about["thumbnail_side"], about["classes"], about["image_side"], about["seen"]) == (8, 3, None, None)


def test_every_part_of_the_page_is_there_and_none_comes_from_elsewhere() -> None:
    own = [place for place in ASSETS.iterdir() if place.suffix in (".html", ".css", ".js")]
    for place in own:
        text = place.read_text(encoding="utf-8")
        assert "http://" not in text
        assert "https://" not in text
        assert " style=" not in text
        assert "onclick" not in text
    assert sum(place.stat().st_size for place in own) < 50_000
    assert all(place.stat().st_size < 60_000 for place in (ASSETS / "samples").iterdir())
