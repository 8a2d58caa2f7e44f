"""The engines: processes of this machine, and Ray Data."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from thumbnails.conftest import contents, make
from thumbnet.bundle import ThumbNet
from thumbnet.config import ArchiveSettings
from thumbnet.errors import ConfigError
from thumbnet.thumbnail_codec import ThumbnailFormat
from thumbnet.thumbnails.archive import open_archive
from thumbnet.thumbnails.blocks import ArchivePicture, Damage
from thumbnet.thumbnails.estimate import estimate
from thumbnet.thumbnails.local_engine import LocalEngine
from thumbnet.thumbnails.stages import Work, process_chunk, work_of
from troublesome_work import TroublesomeWork

PNG = ThumbnailFormat(name="png")


@pytest.fixture
def troublesome(bundle: ThumbNet) -> Work:
    work = work_of(bundle, "crop", PNG)
    return TroublesomeWork(**{field.name: getattr(work, field.name) for field in dataclasses.fields(work)})


def chunks(*groups: list[bytes]) -> Iterator[list[ArchivePicture | Damage]]:
    number = 0
    for group in groups:
        names = range(number, number + len(group))
        number += len(group)
        yield [
            ArchivePicture(name=str(name), target=str(name), file=file) for name, file in zip(names, group, strict=True)
        ]


def test_a_picture_that_hangs_or_kills_its_process_fails_alone(troublesome: Work) -> None:
    engine = LocalEngine(work=troublesome, workers=2, picture_seconds=3)
    groups = [[b"1", b"crash", b"2"], [b"3", b"4"], [b"hang", b"5"], [b"exit"], [b"6"]]
    outcomes = [outcome for done, _ in engine.run(chunks(*groups)) for outcome in done]
    assert [outcome.name for outcome in outcomes] == [str(number) for number in range(9)]
    reasons = {outcome.name: outcome.reason for outcome in outcomes if outcome.content is None}
    assert reasons == {
        "1": "ends the process that decodes it",
        "5": "takes more than 3 s to decode",
        "7": "ends the process that decodes it",
    }


def test_the_local_engine_gives_what_one_process_gives(
    bundle: ThumbNet, pictures: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    make(bundle, pictures, tmp_path / "processes")
    request.getfixturevalue("inline")
    make(bundle, pictures, tmp_path / "inline")
    assert contents(tmp_path / "processes") == contents(tmp_path / "inline")


def test_what_a_gpu_would_do_gives_the_same(bundle: ThumbNet, pictures: Path, tmp_path: Path) -> None:
    """Of any device but `cpu` the processes decode only; `cpu:0` is one, and computes the same."""
    source = open_archive(ArchiveSettings(source=str(pictures), output=str(tmp_path / "out")))
    block = next(source.blocks())
    work = work_of(bundle, "crop", PNG)
    together = LocalEngine(work=work, workers=1, picture_seconds=10)
    apart = LocalEngine(work=work, workers=1, picture_seconds=10, device="cpu:0")
    expected = [one.content for done, _ in together.run(iter([list(block.read())])) for one in done]
    assert [one.content for done, _ in apart.run(iter([list(block.read())])) for one in done] == expected


def test_a_killed_command_leaves_no_process_behind(trained_run: Path, pictures: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "thumbnet", "thumbnail", str(trained_run), str(pictures), str(tmp_path / "out")]
    path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    process = subprocess.Popen(
        [*command, "--allow-code", "--block-pictures", "2", "--workers", "1"],
        env={**os.environ, "PYTHONPATH": path, "MARK": str(tmp_path)},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not list((tmp_path / "out").glob("manifest/*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    while _alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _alive(process.pid)


def _alive(session: int) -> list[str]:
    """Processes of a session, but for those that ended and nobody has asked about."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(status.parent.name)
    return found


def test_an_estimate_counts_pictures_and_measures_a_sample(bundle: ThumbNet, pictures: Path, tmp_path: Path) -> None:
    source = open_archive(ArchiveSettings(source=str(pictures), output=str(tmp_path / "out"), block_pictures=4))
    found = estimate(source, LocalEngine(work=work_of(bundle, "crop", PNG), workers=1, picture_seconds=10))
    assert (found.pictures, found.counted, found.sampled, found.failed) == (31, True, 31, 1)
    expected = sum(path.stat().st_size for path in pictures.rglob("0*") if path.is_file())
    assert found.source_bytes == pytest.approx(expected * 31 / 30, rel=0.01)
    assert found.seconds == pytest.approx(31 / found.pictures_per_second)
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def ray() -> Iterator[None]:
    """One Ray for all tests here: starting it takes seconds."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'thumbnet[ray]'")
    path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=200_000_000,
        runtime_env={"env_vars": {"PYTHONPATH": path}},
    )
    yield
    ray.shutdown()


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("ray")
def test_ray_gives_byte_for_byte_what_the_local_engine_gives(
    bundle: ThumbNet, pictures: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    (pictures / "flat" / "cut.png").write_bytes((pictures / "round" / "001.png").read_bytes()[:300])
    make(bundle, pictures, tmp_path / "ray", engine="ray")
    request.getfixturevalue("inline")
    make(bundle, pictures, tmp_path / "inline")
    assert contents(tmp_path / "ray") == contents(tmp_path / "inline")


def test_a_ray_that_is_not_there_is_one_clear_line(bundle: ThumbNet, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ray_address is auto, but must be left out, or given with --engine ray"):
        make(bundle, pictures, tmp_path / "out", ray_address="auto")


def test_thumbnails_of_remote_pictures(bundle: ThumbNet, pictures: Path, tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    try:
        store.put(str(pictures), "/archive", recursive=True)
        listing = "".join(f"memory://archive/{path.relative_to(pictures)}\n" for path in sorted(pictures.rglob("*.*")))
        (tmp_path / "list.txt").write_text(listing + "memory://archive/gone.png\n")
        source = open_archive(ArchiveSettings(source=str(tmp_path / "list.txt"), output=str(tmp_path / "out")))
        work = work_of(bundle, "crop", PNG)
        found, _ = process_chunk(work.maker(), PNG, list(next(source.blocks()).read()))
    finally:
        store.rm("/archive", recursive=True)
    reasons = {outcome.name.rpartition("/")[2]: outcome.reason for outcome in found if outcome.reason}
    assert len(found) == 32
    assert reasons.keys() == {"broken.jpg", "gone.png"}
    assert reasons["gone.png"] == "no such file"
    done = next(outcome for outcome in found if outcome.name.endswith("001.png"))
    alone = bundle.thumbnail(pictures / "round" / "001.png")
    (tmp_path / "made.png").write_bytes(done.content or b"")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "made.png")), np.asarray(alone))


def test_a_remote_name_that_looks_like_a_pattern_is_a_name(bundle: ThumbNet, pictures: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    names = ["a[1].jpg", "a1.jpg", "b.jpg", "gone[1].jpg"]
    work = work_of(bundle, "crop", PNG)
    try:
        for name in names[:-1]:
            store.pipe_file(f"/patterns/{name}", (pictures / "flat" / "000.jpg").read_bytes())
        chunk = [ArchivePicture(name=name, target=name, file=f"memory://patterns/{name}") for name in names]
        found, _ = process_chunk(work.maker(), PNG, chunk)
    finally:
        store.rm("/patterns", recursive=True)
    assert [outcome.reason for outcome in found] == [None, None, None, "no such file"]
