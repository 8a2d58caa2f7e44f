"""Whatever happens to a run, nothing is lost, nothing is made twice, and nothing is half-written."""

import os
import random
import signal
import subprocess
import sys
import tarfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from thumbnails.conftest import contents, make
from thumbnet.bundle import ThumbNet
from thumbnet.errors import StorageError
from thumbnet.progress import Announcer
from thumbnet.thumbnail_maker import ThumbnailMaker
from thumbnet.thumbnails.archive_folder import ArchiveFolder
from thumbnet.thumbnails.verification import verify_archive

pytestmark = pytest.mark.usefixtures("inline")
QUIET = Announcer(quiet=True)
ALONE = "THUMBNET_TEST_ALONE"
WATCHED = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir"}


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Runs `work` in a process that is killed, as by -9, at its step on the disk; False if it ended before."""
    child = os.fork()
    if child == 0:
        steps = [0]

        def kill(event: str, arguments: tuple[Any, ...]) -> None:
            if event in WATCHED:
                steps[0] += 1
                if steps[0] == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(kill)
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(child, 0)
    ended_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    assert ended_by in (None, signal.SIGKILL), "it may be killed, but not crash"
    assert ended_by or os.WEXITSTATUS(status) == 0, "it may be killed, but never fail"
    return ended_by is not None


def in_a_process_of_its_own(request: pytest.FixtureRequest) -> bool:
    """Runs a test that forks once more in a new process; True there.

    A fork of a process in which other tests have run lacks the threads that their libraries count on, and may crash.
    """
    if ALONE in os.environ:
        return True
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", request.node.nodeid]
    done = subprocess.run(
        command,
        cwd=request.config.rootpath,
        env={**environment, ALONE: "yes"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert (done.returncode, "1 passed" in done.stdout) == (0, True), done.stdout
    return False


@pytest.mark.timeout(400)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked to be killed")
@pytest.mark.parametrize("container", ["folder", "webdataset", "parquet"])
def test_a_run_killed_at_twenty_points_ends_as_one_that_was_not(
    container: str, bundle: ThumbNet, pictures: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if not in_a_process_of_its_own(request):
        return
    make(bundle, pictures, tmp_path / "whole", container=container)
    expected = contents(tmp_path / "whole")
    draw = random.Random(container)
    output, kills = tmp_path / "killed", 0
    while kills < 20:
        steps = draw.randrange(1, 70)
        began = output.joinpath("archive.json").exists()
        if killed_at(steps, lambda: make(bundle, pictures, output, container=container, resume=began)):  # noqa: B023
            kills += 1
        elif kills < 20:
            assert contents(output) == expected
            output = tmp_path / f"killed{kills}"  # it came to its end: once more from the beginning
    make(bundle, pictures, output, container=container, resume=(output / "archive.json").exists())
    assert contents(output) == expected
    assert verify_archive(ArchiveFolder(output), QUIET).sound


@pytest.mark.timeout(400)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked to be killed")
def test_what_is_finished_is_not_made_again(
    bundle: ThumbNet, pictures: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if not in_a_process_of_its_own(request):
        return
    make(bundle, pictures, tmp_path / "before")  # what is imported at first use would count as steps
    output = tmp_path / "out"
    assert killed_at(75, lambda: make(bundle, pictures, output))
    finished = sorted((output / "manifest").iterdir())
    assert 1 <= len(finished) < 4
    thumbnails = sorted((output / "thumbnails").rglob("*.png"))[: 8 * len(finished) - 1]
    before = {path: path.stat().st_mtime_ns for path in [*finished, *thumbnails]}
    result = make(bundle, pictures, output, resume=True)
    assert result.made == 31 - 8 * len(finished)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_full_disk_is_one_clear_line_and_the_run_goes_on_when_there_is_room(
    bundle: ThumbNet, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(bundle, pictures, tmp_path / "whole")
    written = [0]
    write = Path.write_bytes

    def full_after_a_while(self: Path, content: bytes) -> int:
        written[0] += 1
        if written[0] > 13:
            write(self, content[: len(content) // 2])
            raise OSError(28, "No space left on device")
        return write(self, content)

    monkeypatch.setattr(Path, "write_bytes", full_after_a_while)
    with pytest.raises(StorageError, match="no space left") as caught:
        make(bundle, pictures, tmp_path / "out")
    assert "--resume" in str(caught.value)
    monkeypatch.setattr(Path, "write_bytes", write)
    make(bundle, pictures, tmp_path / "out", resume=True)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_corrupt_shard_in_the_middle_costs_what_it_hid_and_nothing_else(bundle: ThumbNet, tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    shards.mkdir()
    for number in range(3):
        with tarfile.open(shards / f"{number}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            for place in range(10):
                path = tmp_path / f"{number}{place}.png"
                Image.effect_noise((50, 50), 40 + place).convert("RGB").save(path)
                tar.add(path, path.name)
    content = bytearray((shards / "1.tar").read_bytes())
    with tarfile.open(shards / "1.tar") as tar:
        header = tar.getmembers()[4].offset
    content[header : header + 512] = os.urandom(512)
    (shards / "1.tar").write_bytes(content)
    result = make(bundle, shards, tmp_path / "out")
    failures = ArchiveFolder(tmp_path / "out").manifest.first_failures(9)
    assert result.totals.done == 29
    assert [failure.source for failure in failures] == ["1.tar"]
    assert "bytes" in str(failures[0].reason)


def test_nothing_is_ever_written_outside_the_output(bundle: ThumbNet, tmp_path: Path) -> None:
    jail = tmp_path / "jail"
    jail.mkdir()
    picture = tmp_path / "a.png"
    Image.new("RGB", (50, 50), "red").save(picture)
    names = ["../../evil.png", "/etc/evil.png", "a/../../../evil.png", "new\nline.png", "..\\evil.png", "./b.png"]
    with tarfile.open(jail / "in.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        for name in names:
            tar.add(picture, name)
        raw = tar.gettarinfo(picture)
        raw.name = os.fsdecode(b"bytes\xff\xfe.png")
        with picture.open("rb") as opened:
            tar.addfile(raw, opened)
    before = contents(tmp_path)
    result = make(bundle, jail / "in.tar", jail / "out")
    outside = {name: content for name, content in contents(tmp_path).items() if not name.startswith("jail/out/")}
    assert outside == before
    assert not Path("/etc/evil.png").exists()
    assert result.totals.done + result.totals.failed == len(names) + 1
    assert verify_archive(ArchiveFolder(jail / "out"), QUIET).sound


def test_a_maker_is_the_same_for_every_batch(bundle: ThumbNet) -> None:
    views = np.random.default_rng(0).integers(0, 256, (21, bundle.image_side, bundle.image_side, 3), dtype=np.uint8)
    maker: ThumbnailMaker = bundle.thumbnail_maker()
    alone = np.concatenate([maker.thumbnails(view[None]) for view in views])
    assert np.array_equal(maker.thumbnails(views), alone)
