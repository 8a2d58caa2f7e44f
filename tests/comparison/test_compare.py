"""`thumbnet compare`: what is trained, kept, gone on with and refused, and the table's numbers."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from thumbnet import compare
from thumbnet.cli import main
from thumbnet.comparison import runs as comparison_runs
from thumbnet.comparison.study import Comparison
from thumbnet.errors import ConfigError

Write = Callable[..., str]
SETTINGS: dict[str, Any] = {"seeds": (0, 1), "timing_rounds": 2, "quiet": True}


@pytest.fixture(scope="module")
def recipes(write_recipe: Write, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("recipes")
    return [
        write_recipe(folder, "bicubic", downscaler={"kind": "bicubic"}),
        write_recipe(folder, "area", downscaler={"kind": "area"}, lr=0.03),
        write_recipe(folder, "thumbnet", lr=0.03),
        write_recipe(folder, "fine", student={"keep_stem_resolution": True}, downscaler={"kind": "bicubic"}),
        write_recipe(folder, "impossible", ratio=5),
    ]


@pytest.fixture(scope="module")
def compared(recipes: list[str], tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """Must not be changed by tests."""
    output = tmp_path_factory.mktemp("compared")
    return compare(recipes=recipes, output=output, ours=["thumb*"], **SETTINGS)


def read(path: Path) -> dict[str, np.ndarray]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def accuracy(folder: Path, who: str) -> float:
    said = read(folder / "predictions.csv")
    return float((said[who] == said["label"]).mean())


def test_the_tables_numbers_are_those_of_the_predictions(compared: Comparison) -> None:
    assert compared.results is not None
    rows = {row.name: row for row in compared.results.rows}
    for name in ("bicubic", "area", "thumbnet", "fine"):
        row = rows[name]
        folders = [compared.folder / f"{name}-seed{seed}" for seed in (0, 1)]
        students, teachers = ([accuracy(folder, who) for folder in folders] for who in ("student", "teacher"))
        assert row.metric is not None
        assert row.metric.values == pytest.approx(students)
        assert row.metric.mean == pytest.approx(np.mean(students))
        assert row.metric.std == pytest.approx(np.std(students, ddof=1))
        assert row.retention == pytest.approx(np.mean(np.divide(students, teachers)))
        assert row.drop is not None
        assert row.drop.mean == pytest.approx(np.mean(teachers) - np.mean(students))
        assert row.drop.low <= row.drop.mean <= row.drop.high
        if row.against:
            others = [accuracy(compared.folder / f"{row.against}-seed{seed}", "student") for seed in (0, 1)]
            assert row.difference is not None
            assert row.difference.mean == pytest.approx(np.mean(students) - np.mean(others))


def test_a_row_is_compared_with_the_best_alternative_of_equal_macs(compared: Comparison) -> None:
    assert compared.results is not None
    rows = {row.name: row for row in compared.results.rows}
    means = {name: row.metric.mean for name, row in rows.items() if row.metric}
    best = max(("bicubic", "area"), key=lambda name: means[name])
    assert rows["thumbnet"].kind == "ours"
    assert rows["thumbnet"].against == best
    # Ours is nobody's alternative, and the finer student has no alternative of its MACs.
    assert rows["bicubic"].against == "area"
    assert rows["fine"].against is None


def test_teacher_and_untrained_thumbnails_come_for_free(compared: Comparison) -> None:
    assert compared.results is not None
    rows = {row.name: row for row in compared.results.rows}
    assert list(rows)[:3] == [
        "teacher",
        "untrained_bicubic (ratio 4, plain)",
        "untrained_bicubic (ratio 4, keep_stem_resolution)",
    ]
    folder = compared.folder / "bicubic-seed0"
    plain = rows["untrained_bicubic (ratio 4, plain)"]
    assert rows["teacher"].metric is not None
    assert plain.metric is not None
    assert rows["teacher"].metric.mean == pytest.approx(accuracy(folder, "teacher"))
    assert plain.metric.mean == pytest.approx(accuracy(folder, "untrained_bicubic"))
    assert plain.student_macs == rows["bicubic"].student_macs
    assert plain.downscaler_macs == rows["bicubic"].downscaler_macs


def test_every_possible_recipe_and_the_teacher_are_timed(compared: Comparison) -> None:
    assert compared.results is not None
    timed = {row.name for row in compared.results.rows if row.latency_ms}
    assert timed == {"teacher", "bicubic", "area", "thumbnet", "fine"}


def test_a_failed_run_is_a_row_with_its_reason_and_the_rest_goes_on(compared: Comparison) -> None:
    assert {one.run.path.name for one in compared.failed} == {"impossible-seed0", "impossible-seed1"}
    content = json.loads((compared.folder / "comparison.json").read_text())
    assert "ratio 5 does not divide" in content["failures"]["impossible-seed0"]
    assert "impossible failed: ratio 5" in (compared.folder / "comparison.md").read_text()


def test_everything_is_written(compared: Comparison) -> None:
    content = json.loads((compared.folder / "comparison.json").read_text())
    assert {"command", "date", "hardware", "hours", "versions", "settings", "seeds", "rows"} <= set(content)
    assert content["hours"] > 0
    with (compared.folder / "comparison.csv").open(newline="") as file:
        rows = {row["recipe"]: row for row in csv.DictReader(file)}
    assert float(rows["thumbnet"]["metric"]) == content["rows"][5]["metric"]["mean"]
    assert content["rows"][5]["name"] == "thumbnet"
    for picture in ("pareto_macs.png", "pareto_latency.png", "pareto_bytes.png", "pareto_naturalness.png"):
        assert (compared.folder / picture).read_bytes().startswith(b"\x89PNG")


def test_a_row_says_how_far_its_thumbnails_are_from_bicubic_ones(compared: Comparison) -> None:
    assert compared.results is not None
    rows = {row.name: row for row in compared.results.rows}
    of_seeds = [
        json.loads((compared.folder / f"thumbnet-seed{seed}" / "evaluation.json").read_text())["naturalness"]
        for seed in rows["thumbnet"].seeds
    ]
    assert rows["thumbnet"].delta_e == pytest.approx(sum(one["delta_e"] for one in of_seeds) / len(of_seeds))
    assert rows["thumbnet"].ssim == pytest.approx(sum(one["ssim"] for one in of_seeds) / len(of_seeds))
    assert (rows["bicubic"].delta_e, rows["bicubic"].ssim) == (0, pytest.approx(1))
    assert f"| {rows['thumbnet'].delta_e:.1f} |" in (compared.folder / "comparison.md").read_text()


def test_what_is_finished_is_not_trained_again(
    compared: Comparison, recipes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []
    monkeypatch.setattr(comparison_runs, "fit", lambda settings, **_: trained.append(settings.output))
    again = compare(recipes=recipes[:4], output=compared.folder, ours=["thumbnet"], **SETTINGS)
    assert trained == []
    assert again.results is not None
    assert compared.results is not None
    before = {row.name: row.metric for row in compared.results.rows if row.metric}
    assert {row.name: row.metric for row in again.results.rows} == before


def test_a_run_that_was_killed_in_the_middle_goes_on(
    write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from thumbnet.run_folder import RunFolder

    recipe = write_recipe(tmp_path, "killed", epochs=2)
    whole = compare(recipes=[recipe], output=tmp_path / "whole", timing_rounds=0, quiet=True)
    append, killed = RunFolder.append_metrics, []

    def kill_in_second_epoch(run: RunFolder, record: dict[str, Any]) -> None:
        if record["epoch"] == 2 and not killed:
            killed.append(record)
            raise KeyboardInterrupt
        append(run, record)

    monkeypatch.setattr(RunFolder, "append_metrics", kill_in_second_epoch)
    with pytest.raises(KeyboardInterrupt):
        compare(recipes=[recipe], output=tmp_path / "parts", timing_rounds=0, quiet=True)
    assert not (tmp_path / "parts" / "killed-seed0" / "evaluation.json").exists()
    resumed = compare(recipes=[recipe], output=tmp_path / "parts", timing_rounds=0, quiet=True)
    assert killed
    assert resumed.results is not None
    assert whole.results is not None
    assert resumed.results.rows[-1].metric == whole.results.rows[-1].metric
    first, second = (tmp_path / name / "killed-seed0" / "predictions.csv" for name in ("whole", "parts"))
    assert first.read_text() == second.read_text()


def test_the_teacher_is_trained_first_and_given_to_all(write_recipe: Write, tmp_path: Path) -> None:
    teacher = write_recipe(tmp_path, "teacher", epochs=1)
    recipes = [teacher, write_recipe(tmp_path, "student", epochs=1)]
    compare(recipes=recipes, teacher_recipe=teacher, output=tmp_path / "out", timing_rounds=0, quiet=True)
    weights = tmp_path / "out" / "teacher" / "teacher.safetensors"
    config = yaml.safe_load((tmp_path / "out" / "student-seed0" / "config.yaml").read_text())
    assert config["teacher_weights"] == str(weights)
    made = weights.stat().st_mtime_ns
    compare(recipes=recipes, teacher_recipe=teacher, output=tmp_path / "out", timing_rounds=0, quiet=True)
    assert weights.stat().st_mtime_ns == made


def test_flags_change_every_recipe(write_recipe: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = write_recipe(tmp_path, "one", loss={"kd": 2.0}, epochs=1)
    changes = ["--set", "epochs=1", "--set", "lr=1e-2", "--set", "loss.kd=0.5", "--set", "downscaler.kind=area"]
    code = main(["compare", recipe, "--seeds", "3", "--output", str(tmp_path / "out"), *changes])
    config = yaml.safe_load((tmp_path / "out" / "one-seed3" / "config.yaml").read_text())
    assert code == 0
    assert (config["epochs"], config["lr"], config["loss"]["kd"], config["seed"]) == (1, 0.01, 0.5, 3)
    assert (config["loss"]["cl"], config["downscaler"]["kind"]) == (1, "area")
    written = capsys.readouterr().out
    assert "retention" in written
    assert "one: --set loss.kd=0.5 stands in place of the recipe's own 2.0." in written
    assert "--set epochs" not in written


def test_without_training_what_is_finished_is_compared(
    write_recipe: Write, recipes: list[str], compared: Comparison
) -> None:
    unfinished = write_recipe(Path(recipes[0]).parent, "later", downscaler={"kind": "lanczos"})
    before = sorted(path.name for path in compared.folder.iterdir())
    again = compare(recipes=[recipes[0], unfinished], output=compared.folder, train=False, **SETTINGS)
    assert again.results is not None
    assert [row.name for row in again.results.rows if row.kind == "alternative"] == ["bicubic"]
    assert not again.failed
    assert sorted(path.name for path in compared.folder.iterdir()) == before
    with pytest.raises(ConfigError, match=r"train is false, and no run in .* is finished; leave --train out"):
        compare(recipes=[unfinished], output=compared.folder, train=False, **SETTINGS)


def test_what_would_fail_every_run_is_said_before_the_first(recipes: list[str], tmp_path: Path) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("")
    with pytest.raises(ConfigError, match=r"output: .*file is a file; give a folder"):
        compare(recipes=recipes, output=occupied, **SETTINGS)
    with pytest.raises(ConfigError, match=r"teacher_weights: no file at absent\.safetensors"):
        compare(recipes=recipes, output=tmp_path / "out", teacher_weights="absent.safetensors", **SETTINGS)
    assert not (tmp_path / "out").exists()


def test_a_bound_and_a_full_size_student_have_rows_of_their_own(write_recipe: Write, tmp_path: Path) -> None:
    recipes = [
        write_recipe(tmp_path, "bound", downscaler={"kind": "all_information"}),
        write_recipe(tmp_path, "full", ratio=1, downscaler={"kind": "bicubic"}),
    ]
    found = compare(recipes=recipes, output=tmp_path / "out", bounds=["bound"], seeds=(0,), timing_rounds=1, quiet=True)
    assert found.results is not None
    rows = {row.name: row for row in found.results.rows}
    assert list(rows) == ["teacher", "bound", "full"]  # neither is the teacher's plain copy on thumbnails
    assert rows["bound"].picture_bytes is None
    assert rows["full"].picture_bytes == rows["teacher"].picture_bytes
    assert rows["full"].latency_ms is not None
    assert [rows[name].delta_e for name in rows] == [None, None, None]  # none of them makes a thumbnail


def test_a_bound_stands_beside_the_best_alternative_of_no_more_macs(write_recipe: Write, tmp_path: Path) -> None:
    recipes = [
        write_recipe(tmp_path, "plain", downscaler={"kind": "bicubic"}),
        write_recipe(tmp_path, "upsampled", downscaler={"kind": "bicubic"}, student={"upsample": True}),
    ]
    for bounds, held_against in (
        (["upsampled"], "plain"),
        ([], None),  # nobody's bound: their MACs are not equal
        (["plain"], None),  # the other one costs more than this bound
    ):
        found = compare(
            recipes=recipes, output=tmp_path / "out", bounds=bounds, seeds=(0,), timing_rounds=0, quiet=True
        )
        assert found.results is not None
        rows = {row.name: row for row in found.results.rows}
        assert rows["plain"].against is None
        assert rows["upsampled"].against == held_against
        assert (rows["upsampled"].difference is not None) == (held_against is not None)
        assert any("of no more MACs" in note for note in found.notes) == (held_against is not None)
