"""The studies of the thumbnail itself run from the command to the JSON, go on where they stopped, and draw."""

import json
import shutil
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from benchmark_scripts import script
from conftest import tiny_values, write_photos
from thumbnet import ThumbNet
from thumbnet.config import DownscalerSettings, TrainSettings
from thumbnet.run_folder import RunFolder

FROZEN = {"weights", "frozen"} <= {field.name for field in fields(DownscalerSettings)}


@pytest.fixture
def recipe(photos: Path, tmp_path: Path) -> Path:
    settings = replace(TrainSettings(**tiny_values(photos, tmp_path / "none")), epochs=1)
    values = {name: value for name, value in settings.as_dict().items() if name != "output"}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(values))
    return tmp_path / "recipe.yaml"


def test_the_curve_has_a_point_for_every_combination_and_goes_on(recipe: Path, tmp_path: Path) -> None:
    study, output, runs = script("naturalness_curve"), tmp_path / "curve.json", tmp_path / "runs"
    finer = tmp_path / "finer.yaml"
    finer.write_text("student: {keep_stem_resolution: true, detail_steps: 2}")
    arguments = ["--recipe", str(recipe), str(finer), "--mm", "0,10", "--pm", "5", "--lr-factors", "1"]
    arguments += ["--kinds", "residual", "--starts", "natural,detail"]
    arguments += ["--runs", str(runs), "--output", str(output)]
    study.main(arguments)
    result = json.loads(output.read_text())
    assert [(point["kind"], point["start"], point["loss"], point["weight"]) for point in result["points"]] == [
        ("bicubic", "natural", "mm", 0),
        ("residual", "natural", "mm", 0),
        ("residual", "natural", "mm", 10),
        ("residual", "detail", "pm", 5),
    ]
    assert result["points"][0]["ssim"] == pytest.approx(1)
    bicubic = result["points"][0]["top1"]
    for point in result["points"]:
        assert point["beside_bicubic"]["mean"] == pytest.approx(point["top1"] - bicubic)
    assert all(0 <= point["top1"] <= 1 and point["delta_e"] >= 0 for point in result["points"])
    assert yaml.safe_load((runs / "residual-natural-lr1-mm10-0" / "config.yaml").read_text())["loss"]["mm"] == 10
    assert yaml.safe_load((runs / "residual-detail-lr1-pm5-0" / "config.yaml").read_text())["loss"]["pm"] == 5
    with Image.open(output.with_suffix(".png")) as figure:
        assert figure.width > 900
    written = {file: file.stat().st_mtime_ns for file in runs.rglob("evaluation.json")}
    study.main(arguments)
    assert {file: file.stat().st_mtime_ns for file in runs.rglob("evaluation.json")} == written


def transfer(recipe: Path, source: Path, folder: Path, parts: str) -> dict[str, Any]:
    data = write_photos(folder / "others", {"train": {"flat": 8, "round": 8}, "val": {"flat": 5, "round": 5}}, seed=7)
    arguments = [str(source), "--recipe", str(recipe), "--data", str(data), "--seeds", "0,1", "--parts", parts]
    arguments += ["--teacher", "tiny_networks:without_dropout", "--runs", str(folder / "transfer")]
    script("transfer_study").main([*arguments, "--output", str(folder / "transfer.json")])
    result: dict[str, Any] = json.loads((folder / "transfer.json").read_text())
    return result


def test_thumbnails_of_every_downscaler_are_retrieved(recipe: Path, trained_run: Path, tmp_path: Path) -> None:
    found = transfer(recipe, trained_run, tmp_path, "retrieval")["retrieval"]
    assert list(found["means"]) == ["image", "learned", "bicubic", "area", "lanczos"]
    for means in found["means"].values():
        assert all(0 <= value <= 1 for value in means.values())
    difference = found["paired_differences"]["learned - area"]["average_precision"]
    means = found["means"]
    wanted = means["learned"]["average_precision"] - means["area"]["average_precision"]
    assert difference["mean"] == pytest.approx(wanted, abs=1e-6)
    assert difference["low"] <= difference["mean"] <= difference["high"]


@pytest.mark.skipif(not FROZEN, reason="downscaler.weights and downscaler.frozen are not there yet")
def test_students_are_trained_on_every_downscalers_thumbnails(recipe: Path, trained_run: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    found = transfer(recipe, trained_run, tmp_path, "students")["students"]
    assert found["top1"].keys() == {"learned", "bicubic", "area", "lanczos"}
    assert all(len(values) == 2 for values in found["top1"].values())
    assert found["naturalness"]["bicubic"]["ssim"] == pytest.approx(1)
    before, after = (
        load_file(run / "bundle" / "downscaler.safetensors")
        for run in (trained_run, tmp_path / "transfer" / "learned-0")
    )
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_an_interval_is_around_the_mean_and_narrow_for_a_sure_difference() -> None:
    study = script("transfer_study")
    random = np.random.default_rng(0)
    found = study.interval(0.1 + 0.5 * random.standard_normal((3, 200)))
    assert found["low"] < found["mean"] < found["high"]
    assert found["high"] - found["low"] < 0.3
    sure = study.interval(np.full((2, 50), 0.25))
    assert sure == {"mean": 0.25, "low": 0.25, "high": 0.25}


def test_a_sheet_shows_image_bicubic_and_every_runs_thumbnail(trained_run: Path, tmp_path: Path) -> None:
    output = tmp_path / "sheet.png"
    script("sheet").main([str(trained_run), str(trained_run), "--output", str(output), "--pictures", "3"])
    with Image.open(output) as sheet:
        assert sheet.size == (4 * 200 + 8, 36 + 3 * 200 + 8)
        # The second and third column are the bicubic and the first run's thumbnail, pixel for pixel.
        with Image.open(trained_run / "samples" / "00-thumbnail.png") as thumbnail:
            shown = sheet.crop((408, 44, 600, 236)).resize(thumbnail.size, Image.Resampling.NEAREST)
            assert shown.tobytes() == thumbnail.tobytes()


def test_a_long_name_stays_over_its_own_column() -> None:
    sheet = script("sheet")
    name = "learned_resizer_all_fine_first_quarter-seed0"
    assert sheet._fitting(name).getlength(name) <= sheet.SHOWN
    assert sheet._fitting("bicubic").size == 12


def test_a_sheet_of_runs_on_other_pictures_is_refused(trained_run: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.yaml").write_text("teacher: x")
    with pytest.raises(SystemExit, match="evaluated on other pictures"):
        script("sheet").main([str(trained_run), str(tmp_path / "other"), "--output", str(tmp_path / "sheet.png")])


@pytest.fixture
def same_run_elsewhere(trained_run: Path, tmp_path: Path) -> Callable[[str], Path]:
    """The trained run once more, in a folder of that name: as one of another recipe, or of another split."""
    return lambda name: shutil.copytree(trained_run, tmp_path / name)


def test_students_are_compared_on_stored_thumbnails_in_every_format(
    trained_run: Path, same_run_elsewhere: Callable[[str], Path], tmp_path: Path
) -> None:
    output = tmp_path / "stored.json"
    arguments = [
        str(trained_run),
        str(same_run_elsewhere("other")),
        "--formats",
        "png,jpeg:50",
        "--output",
        str(output),
    ]
    script("stored_thumbnails").main(arguments)
    result = json.loads(output.read_text())
    evaluation = json.loads((trained_run / "evaluation.json").read_text())
    name = trained_run.name
    assert result["formats"]["png"]["runs"][name]["top1"] == pytest.approx(evaluation["student"]["top1"])
    assert result["formats"]["png"]["runs"][name]["bytes"] == pytest.approx(evaluation["bytes"]["thumbnail"], abs=1)
    assert result["formats"].keys() == {"png", "jpeg:50"}
    assert result["formats"]["png"]["paired_differences"]["other"]["mean"] == 0
    assert result["pictures"] == 12


def test_runs_of_one_recipe_on_several_splits_are_pooled(
    trained_run: Path, same_run_elsewhere: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, other = trained_run, same_run_elsewhere("other")
    second = same_run_elsewhere(f"split/{first.name}")
    flags = ["--formats", "png", "--output", str(tmp_path / "stored.json")]
    main = script("stored_thumbnails").main
    with pytest.raises(SystemExit):
        main([str(first), str(second), *flags])
    assert "hold out the same pictures; give one of them" in capsys.readouterr().err
    predictions = second / "predictions.csv"
    predictions.write_text(predictions.read_text().replace("/", "/of-the-second-split-"))
    main([str(first), str(second), *flags])
    result = json.loads((tmp_path / "stored.json").read_text())
    assert result["pictures"] == 24
    assert list(result["formats"]["png"]["runs"]) == [first.name]
    for runs in ([first, second, other], [second, other]):  # one that lacks a split, and one of another split
        with pytest.raises(SystemExit):
            main([*map(str, runs), *flags])
        assert "hold out different pictures; give each recipe's splits" in capsys.readouterr().err


def test_a_finished_run_is_measured_at_any_crop_share_beside_its_teacher(trained_run: Path, tmp_path: Path) -> None:
    output = tmp_path / "shares.json"
    own = RunFolder(trained_run).read_evaluation() or {}
    share = ThumbNet.load(trained_run, allow_code=True).description.preprocessing.crop_share
    script("crop_shares").main([str(trained_run), "--shares", f"{share},0.3", "--output", str(output)])
    result = json.loads(output.read_text())
    assert result["command"].startswith("python benchmarks/crop_shares.py")
    run = result["runs"][trained_run.name]
    as_evaluated, smaller = run["rows"]
    assert (as_evaluated["crop_share"], smaller["crop_share"]) == (share, 0.3)
    assert as_evaluated["teacher_top1"] == pytest.approx(own["teacher"]["top1"])
    assert as_evaluated["student_top1"] == pytest.approx(own["student"]["top1"])
    assert as_evaluated["retention"]["mean"] == pytest.approx(own["retention"])
    assert (run["pictures"], run["ratio"], run["student_macs"]) == (12, 4, own["student"]["macs"])


def test_a_smaller_crop_share_shows_the_middle_of_each_picture(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Round pictures are bright in the middle, so their crops are brighter than the whole."""
    shown: list[float] = []
    thumbnails = ThumbNet.thumbnails

    def look(bundle: ThumbNet, image: torch.Tensor) -> torch.Tensor:
        shown.append(float(image.mean()))
        return thumbnails(bundle, image)

    monkeypatch.setattr(ThumbNet, "thumbnails", look)
    script("crop_shares").main([str(trained_run), "--shares", "1.0,0.3", "--output", str(tmp_path / "shares.json")])
    whole, middle = shown
    assert middle > whole + 0.02


def test_reading_and_answering_are_timed_for_every_recipe(photos: Path, recipe: Path, tmp_path: Path) -> None:
    full = tmp_path / "full.yaml"
    full.write_text(yaml.safe_dump({"ratio": 1, "downscaler": {"kind": "bicubic"}, "loss": {"mm": 0, "fm": 0}}))
    output = tmp_path / "times.json"
    words = [str(recipe), str(full), "--base", str(recipe), "--data", str(photos), "--pictures", "5", "--rounds", "2"]
    script("reading_and_answering").main([*words, "--output", str(output)])
    result = json.loads(output.read_text())
    assert result["pictures"] == 5
    assert result["ratio"] == 4
    formats = {"png", "webp", "webp:80", "jpeg:90"}
    assert result["bytes"].keys() == {"pictures", *formats}
    read = {f"read {name}" for name in ("pictures", *formats)}
    assert result["milliseconds"].keys() == {*read, "teacher", recipe.stem, "full"}
    assert min(result["milliseconds"].values()) > 0
