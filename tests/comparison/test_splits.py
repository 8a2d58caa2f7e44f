"""`thumbnet compare --splits`: recipes trained on every split, and the pictures held out taken together."""

import csv
import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from thumbnet import compare
from thumbnet.cli import main
from thumbnet.comparison import results, statistics
from thumbnet.comparison.statistics import paired_difference
from thumbnet.comparison.study import Comparison
from thumbnet.errors import ConfigError

Write = Callable[..., str]
QUICK: dict[str, Any] = {"timing_rounds": 0, "quiet": True}
SEEDS = (0, 1)


@pytest.fixture(scope="module")
def splits(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two splits that hold out 12 and 8 pictures, of other names."""
    folder = tmp_path_factory.mktemp("splits")
    first, second = folder / "first", folder / "second"
    shutil.copytree(photos, first)
    shutil.copytree(photos / "train", second / "train")
    for label in ("flat", "round"):
        (second / "val" / label).mkdir(parents=True)
        for file in sorted((second / "train" / label).iterdir())[:4]:
            file.rename(second / "val" / label / file.name)
    return [str(first), str(second)]


@pytest.fixture(scope="module")
def question(write_recipe: Write, splits: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is compared."""
    folder = tmp_path_factory.mktemp("compared")
    recipes = [
        write_recipe(folder, "bicubic", downscaler={"kind": "bicubic"}),
        write_recipe(folder, "thumbnet", lr=0.03, epochs=2),
    ]
    teacher, output = write_recipe(folder, "teacher", lr=0.01), folder / "out"
    asked = {"recipes": recipes, "splits": splits, "teacher_recipe": teacher, "seeds": SEEDS, "ours": ["thumbnet"]}
    return {**asked, "output": output, **QUICK}


@pytest.fixture(scope="module")
def compared(question: dict[str, Any]) -> Comparison:
    """Must not be changed by tests."""
    return compare(**question)


def right(folder: Path, who: str) -> np.ndarray:
    with (folder / "predictions.csv").open(newline="") as file:
        return np.array([row[who] == row["label"] for row in csv.DictReader(file)], dtype=float)


def pooled(folder: Path, name: str, seed: int, who: str) -> np.ndarray:
    return np.concatenate([right(folder / split / f"{name}-seed{seed}", who) for split in ("first", "second")])


def test_every_split_has_a_teacher_of_its_own(compared: Comparison) -> None:
    for split in ("first", "second"):
        folder = compared.folder / split
        config = yaml.safe_load((folder / "thumbnet-seed0" / "config.yaml").read_text())
        teacher = yaml.safe_load((folder / "teacher" / "config.yaml").read_text())
        assert config["teacher_weights"] == str(folder / "teacher" / "teacher.safetensors")
        assert Path(config["data"]).name == Path(teacher["data"]).name == split


def test_a_row_is_of_the_pictures_of_all_splits(compared: Comparison) -> None:
    assert compared.results is not None
    assert compared.results.pictures == 20
    rows = {row.name: row for row in compared.results.rows}
    for name in ("bicubic", "thumbnet"):
        students, teachers = (
            [pooled(compared.folder, name, seed, who).mean() for seed in SEEDS] for who in ("student", "teacher")
        )
        row = rows[name]
        assert row.metric is not None
        assert row.drop is not None
        assert row.seeds == SEEDS
        assert row.metric.values == pytest.approx(students)
        assert row.retention == pytest.approx(np.mean(np.divide(students, teachers)))
        assert row.drop.mean == pytest.approx(np.mean(teachers) - np.mean(students))
    assert rows["teacher"].metric is not None
    assert rows["teacher"].metric.mean == pytest.approx(pooled(compared.folder, "bicubic", 0, "teacher").mean())


def test_a_row_knows_what_each_of_its_runs_reached(compared: Comparison) -> None:
    content = json.loads((compared.folder / "comparison.json").read_text())
    row = next(row for row in content["rows"] if row["name"] == "thumbnet")
    assert [(run["split"], run["seed"]) for run in row["runs"]] == [
        ("first", 0),
        ("second", 0),
        ("first", 1),
        ("second", 1),
    ]
    for run in row["runs"]:
        folder = compared.folder / run["split"] / f"thumbnet-seed{run['seed']}"
        assert run["student"] == pytest.approx(right(folder, "student").mean())
        assert run["teacher"] == pytest.approx(right(folder, "teacher").mean())


def test_differences_are_paired_over_the_pictures_of_all_splits(compared: Comparison) -> None:
    assert compared.results is not None
    row = next(row for row in compared.results.rows if row.name == "thumbnet")
    ours, others = (
        np.stack([pooled(compared.folder, name, seed, "student") for seed in SEEDS]) for name in ("thumbnet", "bicubic")
    )
    assert row.against == "bicubic"
    assert row.difference == paired_difference(ours, others, splits=(12, 8))


@pytest.mark.usefixtures("compared")
def test_every_interval_draws_the_splits(question: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    given = []

    def noted(asked: Callable[..., Any], *scores: np.ndarray, **settings: Any) -> Any:
        given.append(settings.get("splits"))
        return asked(*scores, **settings)

    for name in ("paired_difference", "paired_ratio"):
        monkeypatch.setattr(results, name, partial(noted, getattr(statistics, name)))
    compare(**question, train=False)
    assert given == [(12, 8)] * 5  # retention and drop of both rows, and the difference of ours


def test_bytes_and_distances_are_means_over_all_pictures(compared: Comparison) -> None:
    assert compared.results is not None
    row = next(row for row in compared.results.rows if row.name == "thumbnet")
    evaluations = [
        [
            json.loads((compared.folder / split / f"thumbnet-seed{seed}" / "evaluation.json").read_text())
            for seed in SEEDS
        ]
        for split in ("first", "second")
    ]
    of_split = [np.mean([one["bytes"]["thumbnail"] for one in split]) for split in evaluations]
    assert row.picture_bytes == pytest.approx(np.average(of_split, weights=[12, 8]))
    distances = [np.mean([one["naturalness"]["delta_e"] for one in split]) for split in evaluations]
    assert row.delta_e == pytest.approx(np.average(distances, weights=[12, 8]))


def test_hours_are_those_of_all_splits(compared: Comparison) -> None:
    assert compared.results is not None
    row = next(row for row in compared.results.rows if row.name == "thumbnet")
    files = compared.folder.glob("*/thumbnet-seed*/metrics.jsonl")
    seconds = [json.loads(line).get("seconds", 0.0) for file in files for line in file.read_text().splitlines()]
    assert len(seconds) >= 8
    assert row.hours == pytest.approx(sum(seconds) / 3600)


def test_the_table_says_that_there_are_splits(compared: Comparison) -> None:
    assert "those of 2 splits" in (compared.folder / "comparison.md").read_text()


def test_a_recipe_counts_once_it_is_finished_on_every_split(
    write_recipe: Write, splits: list[str], tmp_path: Path
) -> None:
    recipes = [write_recipe(tmp_path, "done"), write_recipe(tmp_path, "begun")]
    command = ["compare", *recipes, "--splits", ",".join(splits), "--output", str(tmp_path / "out")]
    assert main([*command, "--timing-rounds", "0"]) == 0
    (tmp_path / "out" / "second" / "begun-seed0" / "predictions.csv").unlink()
    assert main([*command, "--timing-rounds", "0", "--train", "false"]) == 0
    rows = json.loads((tmp_path / "out" / "comparison.json").read_text())["rows"]
    found = {row["name"]: row for row in rows}
    assert found["done"]["metric"] is not None
    assert found["begun"]["metric"] is None
    assert found["begun"]["failures"] == ["not finished on every split"]


def test_a_split_on_which_nothing_is_finished_is_not_left_out(
    write_recipe: Write, splits: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["compare", write_recipe(tmp_path, "only"), "--output", str(tmp_path / "out"), "--timing-rounds", "0"]
    both = ["--splits", ",".join(splits)]
    assert main([*command, *both]) == 0
    (tmp_path / "out" / "second" / "only-seed0" / "predictions.csv").unlink()
    main([*command, *both, "--train", "false"])
    content = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert content["rows"] == []
    assert content["notes"] == ["only failed: not finished on every split"]


def test_failures_are_named_with_their_split(write_recipe: Write, splits: list[str], tmp_path: Path) -> None:
    recipes = [write_recipe(tmp_path, "good"), write_recipe(tmp_path, "bad", ratio=5)]
    compare(recipes=recipes, splits=splits, output=tmp_path / "out", **QUICK)
    failures = json.loads((tmp_path / "out" / "comparison.json").read_text())["failures"]
    assert set(failures) == {"first/bad-seed0", "second/bad-seed0"}
    rows = json.loads((tmp_path / "out" / "comparison.json").read_text())["rows"]
    reasons = next(row["failures"] for row in rows if row["name"] == "bad")
    assert [reason.partition(":")[0] for reason in reasons] == ["first", "second"]


def test_what_is_wrong_with_splits_is_said_before_any_training(
    write_recipe: Write, splits: list[str], tmp_path: Path
) -> None:
    one, elsewhere = write_recipe(tmp_path, "one"), write_recipe(tmp_path, "two", evaluation_data=splits[0])
    for recipe, wrong, words in (
        (one, [splits[0], "elpv-fold4"], "splits: there is no elpv-fold4"),
        (one, ["elpv", "elpv-fold0"], "splits: elpv and elpv-fold0 are the same"),
        (elsewhere, splits, "splits: a recipe names evaluation_data"),
    ):
        with pytest.raises(ConfigError, match=words):
            compare(recipes=[recipe], splits=wrong, output=tmp_path / "out", **QUICK)
    assert not (tmp_path / "out").exists()


def test_a_teacher_made_again_takes_the_runs_of_its_split_along(
    write_recipe: Write, splits: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    recipes = [write_recipe(tmp_path, "bicubic", downscaler={"kind": "bicubic"})]
    teacher = write_recipe(tmp_path, "teacher", lr=0.01)
    asked = {"recipes": recipes, "splits": splits, "teacher_recipe": teacher, "output": tmp_path / "out", **QUICK}
    compare(**asked)
    made = {split: tmp_path / "out" / split / "bicubic-seed0" / "predictions.csv" for split in ("first", "second")}
    before = {split: file.stat().st_mtime_ns for split, file in made.items()}
    config = tmp_path / "out" / "first" / "teacher" / "config.yaml"
    config.write_text(config.read_text().replace("lr: 0.01", "lr: 0.02"))
    with pytest.raises(ConfigError, match=r"was made with lr 0\.02, not 0\.01"):
        compare(**asked)
    with monkeypatch.context() as stopped, pytest.raises(KeyboardInterrupt):
        stopped.setattr("thumbnet.comparison.runs.fit", interrupt)
        compare(**asked, overwrite=True)
    compare(**asked)  # the teacher is new, so its student has to be, though nobody says so again
    again = {split for split, file in made.items() if file.stat().st_mtime_ns != before[split]}
    assert again == {"first"}
