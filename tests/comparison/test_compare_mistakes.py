"""What `thumbnet compare` refuses, before any training."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import tiny_values
from thumbnet import compare, train_teacher
from thumbnet.comparison.recipes import read_recipes
from thumbnet.config.comparison import CompareSettings
from thumbnet.errors import ConfigError

Write = Callable[..., str]


def test_a_run_with_other_settings_is_refused_by_name_and_overwritten_when_asked(
    write_recipe: Write, tmp_path: Path
) -> None:
    output = {"output": tmp_path / "out", "timing_rounds": 0, "quiet": True}
    compare(recipes=[write_recipe(tmp_path, "one", epochs=1), write_recipe(tmp_path, "two", epochs=1)], **output)
    kept = (tmp_path / "out" / "two-seed0" / "evaluation.json").stat().st_mtime_ns
    changed = [write_recipe(tmp_path, "one", epochs=1, lr=0.5), str(tmp_path / "two.yaml")]
    with pytest.raises(ConfigError, match=r"one-seed0 was made with lr None, not 0.5; .*--overwrite"):
        compare(recipes=changed, **output)
    compare(recipes=changed, overwrite=True, **output)
    assert yaml.safe_load((tmp_path / "out" / "one-seed0" / "config.yaml").read_text())["lr"] == 0.5
    assert (tmp_path / "out" / "two-seed0" / "evaluation.json").stat().st_mtime_ns == kept


def test_runs_of_another_teacher_in_the_same_file_are_refused_and_made_again_when_asked(
    write_recipe: Write, photos: Path, tmp_path: Path
) -> None:
    first, second = (
        train_teacher(**tiny_values(photos, tmp_path / str(seed)), seed=seed, quiet=True) for seed in (1, 2)
    )
    weights = tmp_path / "teacher.safetensors"
    shutil.copy(first, weights)
    recipe = write_recipe(tmp_path, "one", teacher_weights=str(weights))
    given = {"recipes": [recipe], "output": tmp_path / "out", "timing_rounds": 0, "quiet": True}
    compare(**given)
    predictions = tmp_path / "out" / "one-seed0" / "predictions.csv"
    made = predictions.stat().st_mtime_ns
    compare(**given, overwrite=True)
    assert predictions.stat().st_mtime_ns == made, "the same teacher teaches nothing anew"

    shutil.copy(second, weights)
    problem = (
        r"one-seed0 learned from another teacher than is now in .*teacher.safetensors; put that one back, .*--over"
    )
    with pytest.raises(ConfigError, match=problem):
        compare(**given)
    assert predictions.stat().st_mtime_ns == made
    compare(**given, overwrite=True)
    assert predictions.stat().st_mtime_ns != made

    weights.unlink()
    assert compare(**given, train=False).results is not None, "finished runs need their teacher no more"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seeds": (0, 0)}, "seeds is .* different numbers"),
        ({"set": ("epochs",)}, "NAME=VALUE"),
        ({"set": ("seed=3",)}, "seed is chosen by --seeds"),
        ({"set": ("epoch=3",)}, "recipe .*one.yaml: settings: .*epoch"),
        ({"set": ("ratio=9",)}, "one.yaml: ratio is 9"),
        ({"ours": ("two",)}, "ours: there is no recipe two; there are one"),
        ({"ours": ("one",), "bounds": ("o*",)}, "bounds is one, but must be other recipes"),
        ({"best_of": ("t*",)}, r"best_of: there is no recipe t\*; there are one"),
        ({"teacher_weights": "a.pth", "teacher_recipe": "b.yaml"}, "without teacher_recipe"),
        ({"splits": ("a", "b"), "data": "c"}, "splits is .* given without data"),
        ({"splits": ("a/one", "b/one")}, "splits is .* data whose names, or last parts of paths, differ"),
        ({"splits": ("one", ".")}, "splits is .* data whose names, or last parts of paths, differ"),
        ({"nonsense": 1}, "nonsense.*thumbnet compare --help"),
    ],
)
def test_a_comparison_that_cannot_be(write_recipe: Write, tmp_path: Path, changes: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        compare(**{"recipes": [write_recipe(tmp_path, "one")], "output": tmp_path / "out", "quiet": True, **changes})
    assert not (tmp_path / "out").exists()


def test_recipes_that_cannot_be_read(write_recipe: Write, tmp_path: Path) -> None:
    one, other = write_recipe(tmp_path / "a", "one"), write_recipe(tmp_path / "b", "one")
    with pytest.raises(ConfigError, match="have one name, one; rename one"):
        compare(recipes=[one, other], output=tmp_path / "out")
    with pytest.raises(ConfigError, match=r"missing.yaml cannot be read \(No such file"):
        compare(recipes=[tmp_path / "missing.yaml"], output=tmp_path / "out")
    (tmp_path / "list.yaml").write_text("- a")
    with pytest.raises(ConfigError, match="holds no settings"):
        compare(recipes=[tmp_path / "list.yaml"], output=tmp_path / "out")
    with pytest.raises(ConfigError, match=r"give it as --teacher-recipe"):
        compare(recipes=[write_recipe(tmp_path, "teacher")], output=tmp_path / "out")


def test_the_base_among_the_recipes_is_no_recipe(write_recipe: Write, tmp_path: Path) -> None:
    base, one = write_recipe(tmp_path, "base", epochs=1), write_recipe(tmp_path, "one", epochs=1)
    settings = CompareSettings(recipes=(base, one), base=base, output=str(tmp_path / "out"))
    assert [recipe.name for recipe in read_recipes(settings, None)] == ["one"]
    with pytest.raises(ConfigError, match="recipes hold nothing but the base"):
        read_recipes(replace(settings, recipes=(base,)), None)
