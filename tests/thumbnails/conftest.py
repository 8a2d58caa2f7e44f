"""A bundle, an archive to make thumbnails of, and an engine that works in the test's own process."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from thumbnet.bundle import ThumbNet
from thumbnet.config import ArchiveSettings
from thumbnet.progress import Announcer
from thumbnet.thumbnails import archive
from thumbnet.thumbnails.archive import ArchiveResult, thumbnail_archive
from thumbnet.thumbnails.blocks import Block, chunks_of
from thumbnet.thumbnails.stages import Outcome, Work, process_chunk


@pytest.fixture(scope="session")
def bundle(trained_run: Path) -> ThumbNet:
    return ThumbNet.load(trained_run, allow_code=True)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Thirty pictures in two classes, of several sizes and formats, and one that cannot be read."""
    folder = tmp_path / "pictures"
    random = np.random.default_rng(0)
    for number in range(30):
        name = "round" if number % 2 else "flat"
        suffix = (".jpg", ".png", ".webp")[number % 3]
        target = folder / name / f"{number:03d}{suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        size = (random.integers(40, 90), random.integers(40, 90), 3)
        Image.fromarray(random.integers(0, 256, size, dtype=np.uint8)).save(target)
    (folder / "flat" / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    return folder


@dataclass(frozen=True)
class InlineEngine:
    """No processes: fast, and killed with the test that kills itself."""

    work: Work

    def run_blocks(self, blocks: Iterator[Block]) -> Iterator[tuple[Block, list[Outcome], dict[str, float], bool]]:
        maker = self.work.maker()
        for block in blocks:
            for chunk in chunks_of(block, 4):
                outcomes, seconds = process_chunk(maker, self.work.stored_as, chunk)
                yield block, outcomes, seconds, False
            yield block, [], {}, True


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Archives are made without processes."""
    monkeypatch.setattr(archive, "_engine", lambda settings, work, device: InlineEngine(work))


def make(bundle: ThumbNet, source: Path | str, output: Path, **changes: Any) -> ArchiveResult:
    """An archive in blocks of eight, without a word."""
    flags = {name: changes.pop(name) for name in ("resume", "overwrite") if name in changes}
    settings = ArchiveSettings(source=str(source), output=str(output), **{"block_pictures": 8, "workers": 2, **changes})
    return thumbnail_archive(bundle, settings, announcer=Announcer(quiet=True), **flags)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but the summary, which holds times."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("summary.json", ".lock")
    }
