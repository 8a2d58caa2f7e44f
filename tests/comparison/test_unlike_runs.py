"""Runs that may not stand in one table, since they differ in more than their recipes."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from thumbnet import compare
from thumbnet.errors import DataError

Write = Callable[..., str]


def test_runs_on_different_pictures_are_not_compared(write_recipe: Write, photos: Path, tmp_path: Path) -> None:
    recipes = [
        write_recipe(tmp_path, "all", epochs=1),
        write_recipe(tmp_path, "train", epochs=1, data=str(photos / "train"), holdout=0.3),
    ]
    with pytest.raises(DataError, match=r"evaluated on different pictures; .*--data"):
        compare(recipes=recipes, output=tmp_path / "out", timing_rounds=0, quiet=True)


def test_runs_that_learned_before_and_after_the_pictures_changed_are_not_compared(
    write_recipe: Write, photos: Path, tmp_path: Path
) -> None:
    shutil.copytree(photos, tmp_path / "photos")
    recipes = [write_recipe(tmp_path, name, data=str(tmp_path / "photos")) for name in ("one", "two")]
    given = {"output": tmp_path / "out", "timing_rounds": 0, "quiet": True}
    compare(recipes=recipes[:1], **given)
    next((tmp_path / "photos" / "train").rglob("*.png")).unlink()
    with pytest.raises(DataError, match=r"one-seed0 and .*two-seed0 learned from .*photos, and its pictures changed"):
        compare(recipes=recipes, **given)
    shutil.rmtree(tmp_path / "out" / "one-seed0")
    assert compare(recipes=recipes, **given).results is not None


def test_runs_on_different_labels_are_not_compared(write_recipe: Write, tmp_path: Path) -> None:
    recipes = [write_recipe(tmp_path, name) for name in ("one", "two")]
    given = {"output": tmp_path / "out", "timing_rounds": 0, "quiet": True}
    compare(recipes=recipes, **given)
    predictions = tmp_path / "out" / "two-seed0" / "predictions.csv"
    header, first, *others = predictions.read_text().splitlines()
    name, label, *said = first.split(",")
    predictions.write_text("\n".join([header, ",".join([name, f"no-{label}", *said]), *others]))
    with pytest.raises(DataError, match="two-seed0 were evaluated on different labels of the same pictures"):
        compare(recipes=recipes, **given)
