"""Makers of small pictures, data sets, streams and teacher caches, all within tmp_path."""

import zlib
from collections.abc import Callable, Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pet_rows import Opened
from row_makers import write_table
from stream_orders import COUNT, StreamOf
from teacher_answers import SHAPES, OpenCache
from thumbnet.data.datasets import Wanted
from thumbnet.data.folders import read_classes
from thumbnet.data.labelled import Pictures, Splits
from thumbnet.data.sources import open_data
from thumbnet.data.streaming import PictureStream, open_stream
from thumbnet.data.teacher_cache import TeacherCache


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


@pytest.fixture
def said() -> list[str]:
    """The lines that were announced."""
    return []


@pytest.fixture
def open_cache(tmp_path: Path, said: list[str]) -> OpenCache:
    """Opens the cache of the given key, with ten rows unless told otherwise."""

    def open_cache(key: str = "key", rows: int = 10, limit_bytes: float = 1e6, **options: Any) -> TeacherCache:
        return TeacherCache(tmp_path / "caches" / key, rows, SHAPES, limit_bytes, said.append, **options)

    return open_cache


@pytest.fixture
def wanted(tmp_path: Path) -> Callable[..., Wanted]:
    def make(**options: Any) -> Wanted:
        return Wanted(cache=tmp_path / "cache", **options)

    return make


@pytest.fixture
def opened(wanted: Callable[..., Wanted]) -> Opened:
    """Opens data with options of `Wanted`."""

    def opened(
        data: Path | str, holdout: float | None = None, evaluation_data: Path | None = None, **options: Any
    ) -> Splits:
        return open_data(str(data), holdout, evaluation_data and str(evaluation_data), wanted(**options))

    return opened


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library waits five seconds at the end of a pass over parquet, for its threads to be gone."""
    monkeypatch.setattr("datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN", 0, raising=False)


@pytest.fixture
def folder(tmp_path: Path, save_pictures: Callable[..., Path]) -> Path:
    """Ten pictures to stream, called by their number."""
    return save_pictures(tmp_path, *(f"{i}.png" for i in range(COUNT)))


@pytest.fixture
def stream_of(tmp_path: Path) -> StreamOf:
    """Opens data as a stream, with options of `Wanted`."""

    def stream_of(data: Path | str, evaluation_data: Path | None = None, **options: Any) -> PictureStream:
        wanted = Wanted(streaming=True, cache=tmp_path / "cache", **options)
        splits = open_data(str(data), None, evaluation_data and str(evaluation_data), wanted)
        return open_stream(str(data), splits.evaluation, wanted)

    return stream_of


@pytest.fixture
def table(folder: Path) -> Path:
    """Ten pictures to train on and two to evaluate on, by path."""
    rows = [{"path": f"{i}.png", "label": "ab"[i % 2], "split": "train"} for i in range(COUNT)]
    return write_table(folder / "t.csv", [*rows, *({**row, "split": "val"} for row in rows[:2])])


@pytest.fixture
def stream(table: Path, stream_of: StreamOf) -> PictureStream:
    return stream_of(table)
