"""Pictures and places that do harm or are gone: failures of their own, and never of the run."""

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from thumbnails.conftest import contents, make
from thumbnet.bundle import ThumbNet
from thumbnet.errors import PictureError, StorageError
from thumbnet.progress import Announcer
from thumbnet.thumbnails.archive_folder import ArchiveFolder
from thumbnet.thumbnails.manifest import Manifest
from thumbnet.thumbnails.verification import verify_archive

pytestmark = pytest.mark.usefixtures("inline")
QUIET = Announcer(quiet=True)


def test_strange_names_and_a_loop_of_links(bundle: ThumbNet, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for name in (b"new\nline.png", b"caf\xe9.png", "日本.png".encode(), b"a b.png", b"-rf.png"):
        with open(os.fsencode(source) + b"/" + name, "wb") as file:
            Image.new("RGB", (50, 50), "red").save(file, format="png")
    (source / "loop").symlink_to(source, target_is_directory=True)
    result = make(bundle, source, tmp_path / "out")
    assert (result.totals.done, result.totals.failed) == (5, 0)
    assert verify_archive(ArchiveFolder(tmp_path / "out"), QUIET).sound


def mutations(count: int) -> Iterator[bytes]:
    """Pictures with flipped bits, cut short, or with another's header."""
    draw = random.Random(0)
    whole = []
    for suffix in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM"):
        for mode in ("RGB", "L"):
            path = f"/dev/shm/{os.getpid()}" if Path("/dev/shm").is_dir() else f"/tmp/{os.getpid()}"
            Image.effect_noise((48, 40), 60).convert(mode).save(path, format=suffix)
            whole.append(Path(path).read_bytes())
            Path(path).unlink()
    for _ in range(count):
        content = bytearray(draw.choice(whole))
        kind = draw.randrange(4)
        if kind == 0:
            for _ in range(draw.randrange(1, 20)):
                content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del content[draw.randrange(len(content)) :]
        elif kind == 2:
            header = draw.randrange(4, 64)
            content[:header] = draw.choice(whole)[:header]
        else:
            start = draw.randrange(len(content))
            content[start : start + draw.randrange(1, 200)] = draw.randbytes(draw.randrange(1, 200))
        yield bytes(content)


def test_ten_thousand_mutated_pictures_neither_crash_nor_hang(bundle: ThumbNet) -> None:
    maker = bundle.thumbnail_maker()
    read = failed = 0
    slowest = 0.0
    for content in mutations(10_000):
        started = time.monotonic()
        try:
            assert maker.view(maker.open(content)[0]).shape == (bundle.image_side, bundle.image_side, 3)
            read += 1
        except PictureError as error:
            assert str(error).isprintable()
            failed += 1
        slowest = max(slowest, time.monotonic() - started)
    assert read + failed == 10_000
    assert min(read, failed) > 1000, "some must survive and some must not for this to say anything"
    assert slowest < 10


def test_a_decompression_bomb_is_a_failure_like_others(bundle: ThumbNet, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    Image.new("1", (20_000, 20_000)).save(source / "bomb.png")
    Image.new("RGB", (50, 50)).save(source / "fine.png")
    result = make(bundle, source, tmp_path / "out")
    assert (result.totals.done, result.totals.failed) == (1, 1)
    assert "decompression bomb" in str(ArchiveFolder(tmp_path / "out").manifest.first_failures(1)[0].reason)


def test_a_pipe_or_a_folder_named_as_a_picture_does_not_hang(bundle: ThumbNet, tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    Image.fromarray(np.zeros((50, 50, 3), np.uint8)).save(tmp_path / "fine.png")
    (tmp_path / "list.txt").write_text("folder.png\npipe.png\nfine.png\ngone.png\n")
    result = make(bundle, tmp_path / "list.txt", tmp_path / "out")
    assert (result.totals.done, result.totals.failed) == (1, 3)


@pytest.mark.parametrize("hides", ["all of it", "a folder"])
def test_an_input_that_disappears_is_no_failure_of_its_pictures(
    hides: str, bundle: ThumbNet, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(bundle, pictures, tmp_path / "whole")
    hidden, commit = pictures if hides == "all of it" else pictures / "round", Manifest.commit

    def hide_after_the_first(self: Manifest, *arguments: Any) -> None:
        commit(self, *arguments)
        if hidden.exists():
            hidden.rename(tmp_path / "hidden")

    monkeypatch.setattr(Manifest, "commit", hide_after_the_first)
    with pytest.raises(StorageError, match="has disappeared while it was read"):
        make(bundle, pictures, tmp_path / "out")
    monkeypatch.setattr(Manifest, "commit", commit)
    (tmp_path / "hidden").rename(hidden)
    make(bundle, pictures, tmp_path / "out", resume=True)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_store_that_does_not_answer_ends_the_run_and_loses_nothing(
    bundle: ThumbNet, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = os.open

    def stale(path: Any, *arguments: Any, **options: Any) -> int:
        if str(path).endswith("003.jpg"):
            raise OSError(116, "Stale file handle")
        return read(path, *arguments, **options)

    monkeypatch.setattr(os, "open", stale)
    with pytest.raises(StorageError, match=r"cannot reach .*003\.jpg .*--resume"):
        make(bundle, pictures, tmp_path / "out")
    monkeypatch.setattr(os, "open", read)
    assert make(bundle, pictures, tmp_path / "out", resume=True).totals.done == 30
