"""An archive from input to summary, without processes."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from filelock import FileLock
from PIL import Image, ImageCms

from thumbnails.conftest import contents, make
from thumbnet.bundle import ThumbNet
from thumbnet.errors import CheckpointError, ConfigError, DataError, StorageError
from thumbnet.progress import Announcer
from thumbnet.thumbnail_codec import ThumbnailFormat
from thumbnet.thumbnails.archive_folder import ArchiveFolder
from thumbnet.thumbnails.manifest import Manifest
from thumbnet.thumbnails.measurement import measure_archive
from thumbnet.thumbnails.stages import Outcome, encode_chunk
from thumbnet.thumbnails.verification import verify_archive

pytestmark = pytest.mark.usefixtures("inline")
QUIET = Announcer(quiet=True)


def all_records(output: Path) -> list[dict[str, object]]:
    return [row for file in sorted((output / "manifest").iterdir()) for row in pq.read_table(file).to_pylist()]


def test_a_folder_is_mirrored_and_every_picture_accounted_for(bundle: ThumbNet, pictures: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    result = make(bundle, pictures, output)
    there = {path.relative_to(output / "thumbnails").as_posix() for path in (output / "thumbnails").rglob("*.png")}
    assert there == {
        path.relative_to(pictures).with_suffix(".png").as_posix() for path in pictures.rglob("0*") if path.is_file()
    }
    assert (result.totals.done, result.totals.failed) == (30, 1)
    records = all_records(output)
    assert sorted(str(record["source"]) for record in records) == sorted(
        path.relative_to(pictures).as_posix() for path in pictures.rglob("*.*")
    )
    failures = pq.read_table(output / "failures.parquet").to_pylist()
    assert [failure["source"] for failure in failures] == ["flat/broken.jpg"]
    assert "not a picture" in failures[0]["reason"]
    summary = json.loads((output / "summary.json").read_text())
    assert (summary["done"], summary["failed"]) == (30, 1)
    assert set(summary["run"]["stage_seconds"]) == {"read, decode, resize", "downscale", "encode", "write"}


def test_a_thumbnail_is_byte_for_byte_that_of_the_bundle(bundle: ThumbNet, pictures: Path, tmp_path: Path) -> None:
    large = pictures / "flat" / "large.jpg"
    pixels = np.random.default_rng(1).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((1600, 1200)).save(large)
    make(bundle, pictures, tmp_path / "out")
    for record in all_records(tmp_path / "out"):
        if record["status"] == "done":
            with Image.open(tmp_path / "out" / "thumbnails" / str(record["output"])) as stored:
                alone = bundle.thumbnail(pictures / str(record["source"]))
                assert np.array_equal(np.asarray(stored), np.asarray(alone)), record["source"]


def test_short_side_keeps_the_whole_picture(bundle: ThumbNet, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, size in (("wide", (200, 80)), ("tall", (50, 120)), ("square", (64, 64))):
        Image.new("RGB", size, "teal").save(tmp_path / "in" / f"{name}.png")
    Image.new("RGB", (4000, 4), "teal").save(tmp_path / "in" / "strip.png")
    result = make(bundle, tmp_path / "in", tmp_path / "out", fit="short-side")
    sizes = {path.stem: Image.open(path).size for path in (tmp_path / "out" / "thumbnails").iterdir()}
    side = bundle.thumbnail_side
    assert sizes == {"wide": (20, side), "tall": (side, 19), "square": (side, side)}
    assert result.totals.failed == 1
    assert "times as long as wide" in str(pq.read_table(tmp_path / "out" / "failures.parquet")["reason"][0])


def test_shards_hold_picture_label_and_what_is_known(bundle: ThumbNet, pictures: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    make(bundle, pictures, output, container="webdataset", format="webp")
    assert [path.name for path in sorted((output / "thumbnails").iterdir())] == [f"{n:08d}.tar" for n in range(4)]
    with tarfile.open(output / "thumbnails" / "00000001.tar") as tar:
        names = tar.getnames()
        assert names[:3] == ["00000001000000.webp", "00000001000000.txt", "00000001000000.json"]
        about = json.load(tar.extractfile(names[2]) or io.BytesIO())
        label = (tar.extractfile(names[1]) or io.BytesIO()).read().decode()
    record = next(row for row in all_records(output) if row["output"] == "00000001.tar#00000001000000.webp")
    assert about["source"] == record["source"]
    assert label == about["label"] == record["label"] == str(record["source"]).split("/")[0]


def test_tables_are_read_by_the_datasets_library(bundle: ThumbNet, pictures: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    output = tmp_path / "out"
    make(bundle, pictures, output, container="parquet")
    rows = datasets.load_dataset(
        "parquet", data_files=str(output / "thumbnails" / "*.parquet"), cache_dir=str(tmp_path / "cache")
    )["train"]
    assert len(rows) == 30
    assert rows[0]["image"].size == (bundle.thumbnail_side, bundle.thumbnail_side)
    assert set(rows["label"]) == {"flat", "round"}


def test_orientation_and_colour_profile_are_applied_and_recorded(bundle: ThumbNet, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:20, :, 0] = 200
    picture, exif = Image.fromarray(pixels), Image.Exif()
    exif[0x0112] = 3  # upside down
    linear = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    picture.save(source / "turned.png", exif=exif)
    picture.save(source / "strange.png", icc_profile=linear)
    make(bundle, source, tmp_path / "out")
    records = {str(record["source"]): record for record in all_records(tmp_path / "out")}
    assert records["turned.png"]["orientation"] == 3
    assert (records["turned.png"]["width"], records["turned.png"]["height"]) == (60, 40)
    assert "Lab" in str(records["strange.png"]["colour_profile"])
    turned, strange = (
        np.asarray(Image.open(tmp_path / "out" / "thumbnails" / f"{name}.png")) for name in ("turned", "strange")
    )
    assert turned[-1, 4, 0] > turned[0, 4, 0]
    assert strange[0, 4, 0] > strange[-1, 4, 0]


@pytest.mark.parametrize("container", ["folder", "webdataset", "parquet"])
def test_what_is_verified_is_sound_until_something_changes(
    container: str, bundle: ThumbNet, pictures: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    make(bundle, pictures, output, container=container)
    folder = ArchiveFolder(output)
    found = verify_archive(folder, QUIET)
    assert (found.sound, found.checked) == (True, 30)
    files = sorted(path for path in (output / "thumbnails").rglob("*") if path.is_file())
    files[0].unlink()
    assert verify_archive(folder, QUIET).missing >= 1
    content = bytearray(files[1].read_bytes())
    content[len(content) // 2] ^= 0xFF
    files[1].write_bytes(content)
    damaged = verify_archive(folder, QUIET)
    assert damaged.missing + damaged.changed >= 2
    (output / "thumbnails" / "stranger.png").touch()
    found = verify_archive(folder, QUIET)
    assert (found.sound, found.unknown) == (False, 1)
    assert any("stranger.png" in problem for problem in found.problems)


def test_an_archive_that_is_not_finished_is_not_sound(bundle: ThumbNet, pictures: Path, tmp_path: Path) -> None:
    make(bundle, pictures, tmp_path / "out")
    (tmp_path / "out" / "summary.json").unlink()
    assert not verify_archive(ArchiveFolder(tmp_path / "out"), QUIET).sound
    with pytest.raises(CheckpointError, match="no archive in"):
        verify_archive(ArchiveFolder(tmp_path), QUIET)


def test_a_finished_archive_is_not_made_again_unless_asked(bundle: ThumbNet, pictures: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    make(bundle, pictures, output)
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*.p*") if path.parent.name != "out"}
    with pytest.raises(ConfigError, match="--resume"):
        make(bundle, pictures, output)
    again = make(bundle, pictures, output, resume=True)
    assert again.made == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert make(bundle, pictures, output, overwrite=True).made == 31


def test_going_on_with_other_settings_or_pictures_is_refused(bundle: ThumbNet, pictures: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    make(bundle, pictures, output)
    with pytest.raises(ConfigError, match=r'begun with format "png", and now it is "jpeg:90"'):
        make(bundle, pictures, output, resume=True, format="jpeg")
    (pictures / "flat" / "new.png").write_bytes((pictures / "round" / "001.png").read_bytes())
    with pytest.raises(ConfigError, match="the input has changed"):
        make(bundle, pictures, output, resume=True)


def test_two_runs_do_not_write_to_one_output(bundle: ThumbNet, pictures: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    with FileLock(output / ".lock"), pytest.raises(ConfigError, match="another run is writing"):
        make(bundle, pictures, output)
    assert make(bundle, pictures, output).totals.done == 30


def test_a_folder_that_holds_something_else_is_left_alone(bundle: ThumbNet, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match=r"files that are no archive, such as a\.txt"):
            make(bundle, pictures, tmp_path / "notes", overwrite=overwrite)
        with pytest.raises(DataError, match="is in the folder that thumbnails go to"):
            make(bundle, pictures, pictures.parent, overwrite=overwrite)
    with pytest.raises(DataError, match="nothing at"):
        make(bundle, tmp_path / "gone", tmp_path / "out")


def test_an_output_that_disappears_is_named(
    bundle: ThumbNet, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    commit = Manifest.commit

    def gone_after_the_first(self: Manifest, *arguments: object) -> None:
        commit(self, *arguments)  # type: ignore[arg-type]
        output.rename(tmp_path / "elsewhere")

    monkeypatch.setattr(Manifest, "commit", gone_after_the_first)
    with pytest.raises(StorageError, match="has disappeared"):
        make(bundle, pictures, output)
    monkeypatch.setattr(Manifest, "commit", commit)
    assert not output.exists()
    (tmp_path / "elsewhere").rename(output)
    assert make(bundle, pictures, output, resume=True).totals.done == 30


@pytest.mark.parametrize("container", ["folder", "webdataset", "parquet"])
def test_the_student_reads_what_is_stored(container: str, bundle: ThumbNet, photos: Path, tmp_path: Path) -> None:
    make(bundle, photos / "val", tmp_path / "out", container=container)
    measured = measure_archive(ArchiveFolder(tmp_path / "out"), bundle, QUIET)
    assert measured is not None
    right = [
        bundle.classify(path).label == path.parent.name for path in (photos / "val").rglob("*.png") if path.is_file()
    ]
    assert (measured.pictures, measured.labelled) == (12, 12)
    assert measured.top1 == pytest.approx(sum(right) / len(right))


def test_without_labels_there_is_nothing_to_measure(bundle: ThumbNet, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.new("RGB", (60, 60)).save(tmp_path / "in" / "a.png")
    make(bundle, tmp_path / "in", tmp_path / "out")
    assert measure_archive(ArchiveFolder(tmp_path / "out"), bundle, QUIET) is None


def test_the_same_archive_is_the_same_bytes(bundle: ThumbNet, pictures: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        make(bundle, pictures, tmp_path / name, container="parquet")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_going_on_with_fewer_pictures_is_refused(bundle: ThumbNet, pictures: Path, tmp_path: Path) -> None:
    make(bundle, pictures, tmp_path / "out")
    for path in sorted((pictures / "round").iterdir()):
        path.unlink()
    # 16 pictures of `flat` are two blocks, as they were: only what came after them is gone.
    with pytest.raises(ConfigError, match=r"round/.* is gone"):
        make(bundle, pictures, tmp_path / "out", resume=True)


def test_a_block_that_is_gone_with_its_records_is_missed(bundle: ThumbNet, pictures: Path, tmp_path: Path) -> None:
    make(bundle, pictures, tmp_path / "out", container="webdataset")
    for path in sorted((tmp_path / "out").rglob("00000001.*")):
        path.unlink()
    found = verify_archive(ArchiveFolder(tmp_path / "out"), QUIET)
    assert (found.sound, found.missing) == (False, 8)
    assert "8 records fewer" in found.problems[0]


def test_a_measurement_does_not_outlive_what_it_measured(bundle: ThumbNet, pictures: Path, tmp_path: Path) -> None:
    folder = make(bundle, pictures, tmp_path / "out").folder
    folder.measurement.write_text("{}")
    make(bundle, pictures, tmp_path / "out", overwrite=True)
    assert not folder.measurement.exists()


def test_a_strip_longer_than_its_format_holds_fails_alone() -> None:
    strip, fine = encode_chunk(
        ThumbnailFormat(name="webp"),
        [Outcome(name=str(width), target="", thumbnail=np.zeros((4, width, 3), np.uint8)) for width in (16_384, 8)],
    )
    assert (strip.content, fine.reason) == (None, None)
    assert "16384×4 pixels cannot be stored as webp" in str(strip.reason)
    assert fine.content is not None
