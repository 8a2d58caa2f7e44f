"""Makers of small pictures and data sets, all within tmp_path."""

import zlib
from collections.abc import Callable, Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from thumbnet.data.folders import read_classes
from thumbnet.data.labelled import Pictures


@pytest.fixture
def make_picture() -> Callable[..., Image.Image]:
    """A picture of random levels, the same for the same seed."""

    def make(width: int = 20, height: int = 24, seed: int = 0) -> Image.Image:
        levels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        return Image.fromarray(levels)

    return make


@pytest.fixture
def encode() -> Callable[..., bytes]:
    """A picture as the bytes of a file."""

    def encode(picture: Image.Image, kind: str, **options: Any) -> bytes:
        buffer = BytesIO()
        picture.save(buffer, kind, **options)
        return buffer.getvalue()

    return encode


@pytest.fixture
def save_pictures(make_picture: Callable[..., Image.Image]) -> Callable[..., Path]:
    """Writes one random picture to each of the given paths below a folder; the path decides the content."""

    def save(folder: Path, *names: str) -> Path:
        for name in names:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            make_picture(seed=zlib.crc32(name.encode())).save(path, "PNG" if path.suffix.lower() == ".png" else None)
        return folder

    return save


@pytest.fixture
def make_classes(save_pictures: Callable[..., Path]) -> Callable[..., Path]:
    """Writes `folder/<class>/<number>.png` for the given numbers of pictures."""

    def make(folder: Path, counts: Mapping[str, int]) -> Path:
        names = [f"{name}/{number}.png" for name, count in counts.items() for number in range(count)]
        return save_pictures(folder, *names)

    return make


@pytest.fixture
def pets(tmp_path: Path, make_classes: Callable[..., Path]) -> Pictures:
    """Six labelled pictures of two classes."""
    return read_classes(make_classes(tmp_path / "photos", {"cats": 3, "dogs": 3}))


@pytest.fixture
def quietly() -> Callable[[Iterable[int], int, str], Iterable[int]]:
    """Progress that shows nothing."""

    def pass_on(items: Iterable[int], total: int, description: str) -> Iterable[int]:
        return items

    return pass_on
