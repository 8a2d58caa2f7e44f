"""The thumbnail that the browser makes is the server's."""

import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the server's packages are not installed: pip install 'thumbnet[serve]'")
pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from PIL import Image
from playwright.sync_api import Page

from page_browser import Open, Serve, answered, encoded, give, needs_chromium, needs_runtime, scene
from page_server import Running, serving
from thumbnet.deployment.server.networks import ExportedNetworks

pytest_plugins = ("page_fixtures",)
pytestmark = needs_chromium


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
    content: bytes, serve: Serve, export: Path, open_page: Open
) -> None:
    server = serve(folder=export)
    assert_same(server, open_page(server), content)


@needs_runtime
def test_so_it_does_with_trained_networks(exported: Any, open_page: Open) -> None:
    with serving(ExportedNetworks.load(exported.folder, threads=1), folder=exported.folder) as server:
        for content in (encoded(scene()), encoded(scene(64, 60), "JPEG", quality=90)):
            server.received.clear()
            assert_same(server, open_page(server), content, classes=2)


def assert_same(server: Running, page: Page, content: bytes, classes: int = 5) -> None:
    """What the page sends for a picture, shows, and what the server makes of the picture are one."""
    give(page, content)
    answered(page, classes)
    (path, thumbnail), *_ = server.received
    assert path.startswith("/classify")
    reply = httpx.post(f"{server.url}/thumbnail?format=png", content=content)
    with Image.open(io.BytesIO(reply.content)) as theirs, Image.open(io.BytesIO(thumbnail)) as ours:
        assert (ours.mode, ours.size) == (theirs.mode, theirs.size)
        sent, expected = np.asarray(ours, np.int16), np.asarray(theirs, np.int16)
    assert abs(sent - expected).max() <= 1
    assert (sent != expected).mean() < 0.05
    assert (written(page, "learned") == sent).all(), "what is shown is what was sent"
