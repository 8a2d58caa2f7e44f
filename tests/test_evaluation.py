"""Evaluation measures what ships, beside the teacher and the untrained bicubic thumbnail, on the pictures it says."""

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save

from conftest import tiny_values, write_photos
from thumbnet import ThumbNet, TrainSettings, evaluate, fit, train_teacher
from thumbnet.config import CacheSettings, DownscalerSettings
from thumbnet.data.pictures import read_picture
from thumbnet.errors import CheckpointError, DataError
from thumbnet.progress import Announcer
from thumbnet.run_folder import RunFolder


@pytest.fixture
def run(trained_run: Path, tmp_path: Path) -> Path:
    """A copy that a test may write to."""
    return Path(shutil.copytree(trained_run, tmp_path / "run"))


def test_it_holds_what_the_architecture_promises(trained_run: Path) -> None:
    result = RunFolder(trained_run).read_evaluation()
    assert result is not None
    for who in ("teacher", "student"):
        assert {"top1", "top5", "macs", "per_class"} <= result[who].keys()
    assert result["downscaler"]["macs"] > 0
    assert 0 <= result["untrained_bicubic"]["top1"] <= 1
    assert result["retention"] == pytest.approx(result["student"]["top1"] / result["teacher"]["top1"])
    assert 0 <= result["agreement"] <= 1
    assert result["bytes"]["thumbnail"] < result["bytes"]["image"]
    assert result["student"]["macs"] < result["teacher"]["macs"] / 10


def test_it_says_how_natural_the_thumbnails_are(trained_run: Path) -> None:
    result = RunFolder(trained_run).read_evaluation()
    assert result is not None
    natural = result["naturalness"]
    assert natural.keys() == {"ssim", "delta_e", "levels", "psnr"}
    # Two epochs leave E close to the bicubic thumbnail that it starts from.
    assert 0.9 < natural["ssim"] < 1
    assert 0 < natural["levels"] < 5


def test_a_bicubic_thumbnail_is_as_natural_as_can_be(tiny_settings: Callable[..., TrainSettings]) -> None:
    settings = tiny_settings(downscaler=DownscalerSettings(kind="bicubic"), epochs=1)
    fit(settings, quiet=True)
    result = RunFolder(settings.output).read_evaluation() or {}
    assert result["naturalness"] == {"ssim": pytest.approx(1), "delta_e": 0, "levels": 0, "psnr": None}


def test_accuracies_and_agreement_can_be_counted_from_the_predictions(trained_run: Path) -> None:
    result = RunFolder(trained_run).read_evaluation()
    assert result is not None
    rows = list(csv.DictReader((trained_run / "predictions.csv").open()))
    assert len(rows) == 12
    for who in ("student", "teacher", "untrained_bicubic"):
        right = [row[who] == row["label"] for row in rows]
        assert result[who]["top1"] == pytest.approx(sum(right) / 12)
        flat = [row[who] == "flat" for row in rows if row["label"] == "flat"]
        assert result[who]["per_class"]["flat"] == pytest.approx(sum(flat) / 6)
    assert result["agreement"] == pytest.approx(sum(row["student"] == row["teacher"] for row in rows) / 12)


def test_the_predictions_are_those_of_the_bundle_used_picture_by_picture(trained_run: Path, photos: Path) -> None:
    bundle = ThumbNet.load(trained_run, allow_code=True)
    for row in csv.DictReader((trained_run / "predictions.csv").open()):
        assert bundle.classify(read_picture(photos / "val" / row["picture"])).label == row["student"]


def test_the_samples_are_the_bundles_own_thumbnails(trained_run: Path, photos: Path) -> None:
    bundle = ThumbNet.load(trained_run, allow_code=True)
    first = read_picture(photos / "val" / "flat" / "000.png")
    assert Image.open(trained_run / "samples" / "00-thumbnail.png").tobytes() == bundle.thumbnail(first).tobytes()


def test_other_data_with_the_same_classes_is_evaluated_whole(run: Path, tmp_path: Path) -> None:
    other = write_photos(tmp_path, {"others": {"flat": 3, "round": 4}}, seed=5) / "others"
    result = evaluate(run, str(other), allow_code=True, workers=0, device="cpu")
    assert result["data"] == {"name": str(other), "pictures": 7, "description": "all of others"}


def test_the_evaluation_on_other_data_stands_beside_the_runs_own(run: Path, tmp_path: Path) -> None:
    before = {name: (run / name).read_bytes() for name in ("evaluation.json", "predictions.csv")}
    other = write_photos(tmp_path, {"others": {"flat": 3, "round": 4}}, seed=5) / "others"
    evaluate(run, str(other), allow_code=True, workers=0, device="cpu")
    assert {name: (run / name).read_bytes() for name in before} == before
    assert (run / "evaluations" / "others" / "evaluation.json").exists()
    assert len((run / "evaluations" / "others" / "predictions.csv").read_text().splitlines()) == 8


def test_two_places_of_one_name_stand_beside_each_other(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = [write_photos(tmp_path / name, {"test": {"flat": 1, "round": 1}}) / "test" for name in ("one", "two")]
    for place in (*places, places[1]):
        evaluate(run, str(place), allow_code=True, workers=0, device="cpu")
    found = {json.loads(file.read_text())["data"]["name"] for file in run.glob("evaluations/test*/evaluation.json")}
    assert found == {str(place) for place in places}
    assert f"written: {run / 'evaluations' / 'test-'}" in "".join(capsys.readouterr().err.split("\n"))


def test_the_runs_own_data_by_another_name_keeps_its_holdout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_photos(tmp_path, {"all": {"flat": 12, "round": 12}}) / "all"
    values = {**tiny_values(data, tmp_path / "run"), "epochs": 1, "holdout": 0.25}
    fit(**values, quiet=True)
    monkeypatch.chdir(tmp_path)
    result = evaluate(tmp_path / "run", "./all", allow_code=True, workers=0, device="cpu")
    assert result["data"]["pictures"] == 6


def kept_files(folder: Path) -> list[Path]:
    return sorted((folder / "teacher").glob("*/evaluation.safetensors"))


def with_cache(run: Path, cache: CacheSettings) -> Path:
    """The run as if it had been trained with this cache."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["cache"] = asdict(cache)
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    return run


def evaluated(run: Path, **changes: Any) -> list[bytes]:
    """What an evaluation leaves, to the last byte."""
    for path in (run / "samples").iterdir():
        path.unlink()
    evaluate(run, **{"allow_code": True, "workers": 0, "device": "cpu", **changes})
    return [
        path.read_bytes() for path in (run / "evaluation.json", run / "predictions.csv", *sorted(run.rglob("*.png")))
    ]


def test_the_next_evaluation_asks_the_student_alone_and_says_the_same(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_cache(run, CacheSettings(folder=str(tmp_path / "cache")))
    asked = evaluated(run)
    assert len(kept_files(tmp_path / "cache")) == 1

    def refuse(*_: object) -> None:
        raise AssertionError("the teacher was asked")

    monkeypatch.setattr("thumbnet.evaluation_answers._answer", refuse)
    assert evaluated(run) == asked


def test_a_run_asks_the_teacher_that_an_earlier_run_asked_no_more(
    tiny_settings: Callable[..., TrainSettings], tmp_path: Path
) -> None:
    cache = CacheSettings(folder=str(tmp_path / "cache"))
    for seed in (0, 1):
        fit(tiny_settings(output=str(tmp_path / f"{seed}"), seed=seed, epochs=1, cache=cache), quiet=True)
    assert len(kept_files(tmp_path / "cache")) == 1
    fit(tiny_settings(output=str(tmp_path / "2"), ratio=2, epochs=1, cache=cache), quiet=True)
    assert len(kept_files(tmp_path / "cache")) == 2, "the untrained copy is another one"


def test_other_pictures_or_another_teacher_are_asked_about_anew(run: Path, photos: Path, tmp_path: Path) -> None:
    with_cache(run, CacheSettings(folder=str(tmp_path / "cache")))
    evaluated(run)
    other = write_photos(tmp_path, {"others": {"flat": 3, "round": 4}}, seed=5) / "others"
    evaluate(run, str(other), allow_code=True, workers=0, device="cpu")
    assert len(kept_files(tmp_path / "cache")) == 2
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["teacher"] = "tiny_networks:without_dropout"
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    evaluated(run)
    assert len(kept_files(tmp_path / "cache")) == 3


@pytest.mark.parametrize("content", [b"", b"not a file of tensors", save({"teacher": torch.zeros(12, 2)})])
def test_a_damaged_file_of_kept_answers_is_named_and_made_anew(
    content: bytes, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_cache(run, CacheSettings(folder=str(tmp_path / "cache")))
    asked = evaluated(run)
    (file,) = kept_files(tmp_path / "cache")
    good = file.read_bytes()
    file.write_bytes(content)
    assert evaluated(run) == asked
    assert "cannot be used" in capsys.readouterr().err
    assert file.read_bytes() == good


def test_answers_above_the_limit_are_not_kept_and_older_ones_make_way(run: Path, tmp_path: Path) -> None:
    small = CacheSettings(folder=str(tmp_path / "cache"), limit_gb=1e-7)
    asked = evaluated(with_cache(run, small))
    assert not kept_files(tmp_path / "cache")
    assert evaluated(with_cache(run, replace(small, limit_gb=5e-7))) == asked
    (first,) = kept_files(tmp_path / "cache")
    evaluated(run, batch_size=5)
    (second,) = kept_files(tmp_path / "cache")
    assert first != second


def test_a_folder_that_cannot_be_written_to_keeps_nothing_and_says_so(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    evaluated(with_cache(run, CacheSettings(folder=str(tmp_path / "cache"))))
    assert "the teacher's answers are not kept" in capsys.readouterr().err


def test_data_with_other_classes_is_refused(run: Path, tmp_path: Path) -> None:
    other = write_photos(tmp_path, {"others": {"flat": 2, "spiral": 2}}) / "others"
    with pytest.raises(DataError, match=r"class 'spiral' is not among the bundle's \(flat, round\)"):
        evaluate(run, str(other), allow_code=True)


def test_without_its_teacher_the_student_is_still_evaluated(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = run / "config.yaml"
    config.write_text(
        config.read_text().replace("teacher_weights: pretrained", f"teacher_weights: {tmp_path}/gone.pth")
    )
    before = (run / "evaluation.json").read_bytes()
    result = evaluate(run, allow_code=True, workers=0, device="cpu")
    assert "teacher" not in result
    assert result["student"]["top1"] >= 0
    assert "the teacher is not at hand" in capsys.readouterr().err
    assert (run / "evaluation.json").read_bytes() == before


def test_a_run_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no run in .* \(no config\.yaml\)"):
        evaluate(tmp_path)


def test_a_run_without_labels_is_measured_on_data_that_has_them(run: Path, photos: Path, tmp_path: Path) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["unlabelled"], config["loss"]["cl"] = True, 0.0
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    shutil.copytree(photos, tmp_path / "labelled")
    shutil.copytree(photos / "val" / "round", tmp_path / "bare")
    asked = {"allow_code": True, "workers": 0, "device": "cpu", "announcer": Announcer(quiet=True)}
    labelled = evaluate(run, str(tmp_path / "labelled"), **asked)
    assert labelled["metric"] == "top1"
    assert "top1" in labelled["student"]
    assert evaluate(run, str(tmp_path / "bare"), **asked)["metric"] == "agreement"


def test_a_run_is_evaluated_without_the_class_map_it_was_trained_with(
    tiny_settings: Callable[..., TrainSettings], tmp_path: Path
) -> None:
    names = tmp_path / "classes.txt"
    names.write_text("round\nflat\n")
    settings = tiny_settings(class_map=str(names), epochs=1)
    fit(settings, quiet=True)
    names.unlink()
    result = evaluate(settings.output, allow_code=True, workers=0, device="cpu")
    assert set(result["student"]["per_class"]) == {"flat", "round"}


def test_a_run_of_a_teacher_says_how_to_evaluate_it(
    tiny_settings: Callable[..., TrainSettings], tmp_path: Path
) -> None:
    settings = tiny_settings(epochs=1)
    train_teacher(settings, quiet=True)
    with pytest.raises(CheckpointError, match=r"holds a teacher and no student; thumbnet evaluate --teacher tiny_"):
        evaluate(settings.output)
