"""Stored thumbnails: what each format costs, beside pictures stored in the same bytes."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from conftest import write_photos
from thumbnet import ThumbNet
from thumbnet.data.pictures import read_picture
from thumbnet.format_evaluation import evaluate_formats, largest
from thumbnet.opened_run import OpenedRun, open_run
from thumbnet.progress import Announcer
from thumbnet.run_folder import RunFolder
from thumbnet.thumbnail_codec import decode, encode, parse_format

QUIET = Announcer(quiet=True)
FORMATS = [parse_format(text) for text in ("png", "webp", "jpeg:90", "jpeg:10")]


@pytest.fixture(scope="module")
def run(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(trained_run, tmp_path_factory.mktemp("formats") / "run"))


def opened(run: Path, data: str | None = None) -> OpenedRun:
    return open_run(run, data, holdout=None, allow_code=True, batch_size=5, workers=0, device="cpu", announcer=QUIET)


@pytest.fixture(scope="module")
def measured(run: Path) -> dict[str, Any]:
    return evaluate_formats(opened(run), FORMATS, QUIET)


def test_it_is_written_beside_the_evaluation(measured: dict[str, Any], run: Path) -> None:
    assert json.loads((run / "formats.json").read_text()) == measured
    assert list(measured["formats"]) == ["png", "webp", "jpeg:90", "jpeg:10"]


def test_lossless_formats_have_the_evaluations_accuracy(measured: dict[str, Any], run: Path) -> None:
    evaluation = RunFolder(run).read_evaluation() or {}
    for name in ("png", "webp"):
        assert measured["formats"][name]["thumbnail"]["top1"] == evaluation["student"]["top1"]


@pytest.mark.parametrize("name", ["png", "jpeg:10"])
def test_accuracy_and_bytes_are_those_of_files_classified_one_by_one(
    name: str, measured: dict[str, Any], run: Path, photos: Path
) -> None:
    bundle = ThumbNet.load(run, allow_code=True)
    right, sizes = [], []
    for file in sorted((photos / "val").rglob("*.png")):
        content = encode(bundle.thumbnail(read_picture(file)), parse_format(name))
        sizes.append(len(content))
        right.append(bundle.classify(decode(content)).label == file.parent.name)
    found = measured["formats"][name]["thumbnail"]
    assert found["bytes"] == round(sum(sizes) / 12)
    assert found["top1"] == pytest.approx(sum(right) / 12)


def test_the_teachers_pictures_take_no_more_bytes_unless_it_says_so(measured: dict[str, Any]) -> None:
    for ways in measured["formats"].values():
        for way in ("full_size", "shrunk"):
            assert (ways[way]["bytes"] <= ways["thumbnail"]["bytes"]) == ways[way]["fits"]
            assert 0 <= ways[way]["top1"] <= 1
        assert ways["full_size"]["side"] == 32
        assert ways["shrunk"]["side"] <= 32


def test_other_data_is_measured_beside_the_runs_own(measured: dict[str, Any], run: Path, tmp_path: Path) -> None:
    other = write_photos(tmp_path, {"others": {"flat": 2, "round": 2}}, seed=5) / "others"
    evaluate_formats(opened(run, str(other)), FORMATS[:1], QUIET)
    assert (run / "evaluations" / "others" / "formats.json").exists()
    assert json.loads((run / "formats.json").read_text()) == measured


@pytest.mark.parametrize(("limit", "found"), [(0, (1, False)), (1, (1, True)), (57, (57, True)), (200, (100, True))])
def test_the_largest_that_fits_is_found(limit: int, found: tuple[int, bool]) -> None:
    asked: list[int] = []

    def fits(value: int) -> bool:
        asked.append(value)
        return value <= limit

    assert largest(1, 100, fits) == found
    assert len(asked) <= 8
