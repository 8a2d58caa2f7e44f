"""Speed and memory of a run's networks beside its teacher's."""

import csv
import importlib.util
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'thumbnet[onnx]'")

from command_line import Run, assert_one_clear_line
from thumbnet import ThumbNet
from thumbnet.cli import main
from thumbnet.config import BenchmarkSettings
from thumbnet.data.working_view import Preprocessing
from thumbnet.deployment.benchmark.benchmark import benchmark
from thumbnet.deployment.benchmark.memory import Memory, memory_of
from thumbnet.deployment.benchmark.networks import inputs_of
from thumbnet.deployment.benchmark.results import rows_of
from thumbnet.deployment.benchmark.subjects import BESIDE, WAYS, Engine, Inputs, Precision, Subject, Way, load
from thumbnet.deployment.benchmark.timing import Timed, fastest_batches, measure
from thumbnet.deployment.run_teacher import teacher_of
from thumbnet.errors import ConfigError, DataError, ExportError
from thumbnet.progress import Announcer

QUICK = BenchmarkSettings(rounds=2, seconds=0.02, batches=(4,), pictures=8, threads=1, memory=False)
PREPROCESSING = Preprocessing(image_side=8)


def subject(way: Way, engine: Engine = "torch", precision: Precision = "float") -> Subject:
    return Subject(way=way, engine=engine, precision=precision, files=(), preprocessing=PREPROCESSING, threads=1)


def inputs(count: int = 8) -> Inputs:
    views = np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), dtype=np.uint8)
    return Inputs(files=tuple(bytes([number]) for number in range(count)), views=views, thumbnails=views[:, ::4, ::4])


@pytest.fixture(scope="module")
def result(trained_run: Path, photos: Path) -> Any:
    bundle = ThumbNet.load(trained_run, allow_code=True)
    teacher = teacher_of(trained_run, bundle, allow_code=True)
    return benchmark(bundle, teacher, sorted((photos / "val").rglob("*.png")), QUICK, Announcer(quiet=True))


def test_every_way_is_timed_by_every_engine_with_one_picture_and_with_its_best_batch(result: Any) -> None:
    found = {(row.way, row.engine, row.precision) for row in result.rows}
    engines = (("torch", "float"), ("onnxruntime", "float"), ("onnxruntime", "int8"))
    assert found == {(way, *engine) for way in WAYS for engine in engines}
    for kind in found:
        rows = [row for row in result.rows if (row.way, row.engine, row.precision) == kind]
        assert [row.best for row in rows] == [False, True]
        assert rows[0].batch == 1
        assert rows[1].images_per_second >= rows[0].images_per_second
    assert all(row.images_per_second > 0 and row.p99_ms >= row.median_ms > 0 for row in result.rows)


def test_costs_are_those_of_the_networks_that_a_way_goes_through(result: Any, trained_run: Path) -> None:
    bundle = ThumbNet.load(trained_run, allow_code=True)
    macs = {row.way: row.macs for row in result.rows}
    assert macs["student"] == bundle.student_macs
    assert macs["downscaler + student"] == bundle.student_macs + bundle.downscaler_macs
    assert macs["teacher from JPEG"] == macs["teacher"] > macs["student"]


def test_the_files_say_the_same(result: Any, tmp_path: Path) -> None:
    written = result.save(tmp_path)
    assert [file.name for file in written] == ["benchmark.json", "benchmark.csv", "benchmark.md", "benchmark.png"]
    stored = json.loads((tmp_path / "benchmark.json").read_text())
    with open(tmp_path / "benchmark.csv", encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(stored["rows"]) == len(lines) == len(result.rows)
    assert float(lines[3]["images_per_second"]) == stored["rows"][3]["images_per_second"]
    assert stored["threads"] == 1
    assert len((tmp_path / "benchmark.md").read_text().splitlines()) == len(result.rows) + 4
    with Image.open(tmp_path / "benchmark.png") as picture:
        assert min(picture.size) > 300


def test_ratios_are_of_the_same_round_engine_and_kind_of_batch() -> None:
    teacher, student = subject("teacher"), subject("student")
    timed = {
        teacher: {1: Timed(batch=1, rounds=[[0.1], [0.2]]), 4: Timed(batch=4, rounds=[[0.2], [0.8]])},
        student: {1: Timed(batch=1, rounds=[[0.01], [0.01]]), 4: Timed(batch=4, rounds=[[0.02], [0.02]])},
    }
    memory = {(teacher, 1): Memory(loaded=100, peak=180), (student, 1): Memory(loaded=90, peak=110)}
    memory |= {(teacher, 32): Memory(loaded=100, peak=300), (student, 32): Memory(loaded=90, peak=110)}
    rows = {(row.way, row.batch): row for row in rows_of(timed, memory, (1, 32), {"teacher": 1300, "student": 100})}
    one, best = rows["student", 1], rows["student", 4]
    assert one.ratio_range == pytest.approx((10, 20))
    assert one.ratio == pytest.approx(15)
    assert best.ratio_range == pytest.approx((10, 40))
    assert (one.memory_batch, one.memory_ratio) == (1, 0.25)
    assert (best.memory_batch, best.memory_ratio) == (32, 0.1), "memory is compared at one batch size, whatever is best"
    assert rows["teacher", 4].ratio == 1


def test_at_their_best_is_against_the_teacher_at_its_best_whatever_the_batches_are() -> None:
    teacher, student = subject("teacher"), subject("student")
    timed = {
        teacher: {1: Timed(batch=1, rounds=[[0.1]]), 4: Timed(batch=4, rounds=[[0.2]])},
        student: {1: Timed(batch=1, rounds=[[0.01]]), 4: Timed(batch=4, rounds=[[0.05]])},
    }
    one, best = [row for row in rows_of(timed, {}, (1, 32), {"teacher": 2, "student": 1}) if row.way == "student"]
    assert (one.batch, one.best, best.batch, best.best) == (1, False, 1, True)
    assert (one.ratio, best.ratio) == (pytest.approx(10), pytest.approx(5))


def test_next_to_no_memory_gives_no_ratio() -> None:
    teacher, student = subject("teacher"), subject("student")
    timed = {one: {1: Timed(batch=1, rounds=[[0.1]])} for one in (teacher, student)}
    memory = {(teacher, 1): Memory(loaded=100, peak=100), (student, 1): Memory(loaded=90, peak=93)}
    rows = rows_of(timed, memory, (1, 32), {"teacher": 2, "student": 1})
    assert [row.memory_ratio for row in rows] == [None] * 4
    assert [row.inference_memory_mb for row in rows if row.way == "student"] == [3, None]


def test_ready_thumbnails_are_compared_with_the_teacher_on_pictures() -> None:
    assert BESIDE["student"] == "teacher"
    assert BESIDE["downscaler + student from JPEG"] == "teacher from JPEG"


def test_the_best_batch_is_the_one_that_answers_most_a_second() -> None:
    def slow_start(batch: Any) -> None:
        time.sleep({1: 0.01, 4: 0.01, 8: 0.012, 16: 0.1}[len(batch)])

    one = subject("teacher")
    settings = BenchmarkSettings(rounds=3, seconds=0.1, batches=(4, 8, 16))
    assert fastest_batches(slow_start, one, inputs(16), settings) == [4, 8]
    timed = measure({one: slow_start}, inputs(16), settings, Announcer(quiet=True))
    assert list(timed[one]) == [1, 4, 8]
    assert [(row.batch, row.best) for row in rows_of(timed, {}, (1, 16), {"teacher": 1})] == [(1, False), (8, True)]


def test_subjects_are_timed_in_turn_so_that_a_busy_machine_meets_all() -> None:
    asked: list[str] = []
    asks = {subject(way): (lambda _, way=way: asked.append(way)) for way in ("teacher", "student")}
    settings = BenchmarkSettings(rounds=3, seconds=1e-9, batches=(1,))
    timed = measure(asks, inputs(), settings, Announcer(quiet=True))
    assert [len(one[1].rounds) for one in timed.values()] == [3, 3]
    turns = [way for place, way in enumerate(asked) if place == 0 or asked[place - 1] != way]
    assert turns[-6:] == ["teacher", "student"] * 3


def test_batches_go_round_the_pictures() -> None:
    given = inputs(3)
    assert given.batch("teacher from JPEG", 2, 1) == [b"\x02", b"\x00"]
    assert given.batch("student", 2, 0).shape == (2, 2, 2, 3)
    assert given.batch("downscaler + student", 4, 0)[:, 0, 0, 0].tolist() == [0, 1, 2, 0]


class Hungry(nn.Module):
    """Takes 200 MB to answer."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return torch.ones(50_000_000).sum() + pixels.float().mean((1, 2, 3))


def test_memory_is_what_answering_adds(tmp_path: Path) -> None:
    torch.save(Hungry(), tmp_path / "hungry.pt")
    hungry = Subject(
        way="teacher",
        engine="torch",
        precision="float",
        files=(tmp_path / "hungry.pt",),
        preprocessing=PREPROCESSING,
        threads=1,
    )
    measured = memory_of(hungry, inputs().batch("teacher", 2, 0))
    assert 190 < measured.inference < 300
    assert load(hungry)(inputs().batch("teacher", 2, 0)).shape == (2,)


def test_pictures_that_are_no_jpeg_become_one_and_unreadable_ones_are_passed_over(
    trained_run: Path, photos: Path
) -> None:
    bundle = ThumbNet.load(trained_run, allow_code=True)
    files = [b"no picture", *sorted((photos / "val").rglob("*.png"))[:3]]
    made = inputs_of(bundle, files, 2)
    assert len(made.files) == 2
    assert made.files[0][:2] == b"\xff\xd8"
    assert made.thumbnails.shape == (2, 8, 8, 3)
    with pytest.raises(DataError, match="give others with --data"):
        inputs_of(bundle, [b"no picture"], 2)


def test_the_command_measures_a_run_on_its_own_pictures(
    trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = ["--rounds", "1", "--seconds", "0.01", "--batches", "2", "--int8", "false", "--memory", "false"]
    given = ["benchmark", str(trained_run), "--allow-code", "--output", str(tmp_path), *quick]
    assert main(given) == 0
    printed = capsys.readouterr().out
    assert "downscaler + student from JPEG" in printed
    assert str(tmp_path / "benchmark.json") in printed
    rows = json.loads((tmp_path / "benchmark.json").read_text())["rows"]
    assert {row["precision"] for row in rows} == {"float"}
    assert {row["peak_memory_mb"] for row in rows} == {None}


def test_a_bundle_without_its_run_has_no_teacher_and_none_can_be_left_out(thumbnet: Run, trained_run: Path) -> None:
    answer = thumbnet("benchmark", trained_run / "bundle", "--allow-code")
    assert_one_clear_line(answer, "does not say what its teacher was; give the run's folder")
    assert "leave" not in answer[2]


def test_missing_packages_are_named_before_anything_is_opened(
    thumbnet: Run, trained_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnx" else found(name))
    said = "benchmark: onnx needs the package onnx; run: pip install 'thumbnet[onnx]'"
    assert_one_clear_line(thumbnet("benchmark", "nowhere"), said)
    bundle = ThumbNet.load(trained_run, allow_code=True)
    with pytest.raises(ExportError, match="benchmark: onnx needs the package onnx"):
        benchmark(bundle, nn.Identity(), [], QUICK, Announcer(quiet=True))


@pytest.mark.parametrize("wrong", [{"rounds": 0}, {"seconds": 0.0}, {"batches": (0,)}, {"pictures": 0}, {"threads": 0}])
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        BenchmarkSettings(**wrong)
