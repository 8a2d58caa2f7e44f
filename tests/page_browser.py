"""What tests do with the page in Chromium."""

import io
import os
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from page_server import Running
from thumbnet.deployment.server.page import ASSETS, RUNTIME

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or ""
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="no chromium here: apt-get install chromium")
needs_runtime = pytest.mark.skipif(
    not all((ASSETS / name).is_file() for name in RUNTIME),
    reason="onnxruntime-web is not in the page's files: run scripts/build-page",
)
HARBOUR = (ASSETS / "samples" / "harbour.jpg").read_bytes()
Serve = Callable[..., Running]
Open = Callable[..., Page]


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


def answered(page: Page, classes: int = 5) -> None:
    expect(page.locator("#student-ranked li")).to_have_count(classes, timeout=30_000)
