"""From YAML files to the settings of a comparison's runs."""

from pathlib import Path

import pytest
import yaml

from thumbnet.comparison.recipes import common_changes, read_recipe, replaced_by_set
from thumbnet.config.comparison import CompareSettings
from thumbnet.errors import ConfigError


def test_a_number_is_one_as_train_reads_it(tmp_path: Path, photos: Path) -> None:
    recipe, base = tmp_path / "one.yaml", tmp_path / "base.yaml"
    recipe.write_text("lr: 1e-3\noptimizer: {weight_decay: 5.E2}\n")
    base.write_text(f"teacher: timm/test_resnet\ndata: '{photos}'\nloss: {{kd: -0e0}}\n")
    read = read_recipe(recipe, {}, base)
    assert (read.lr, read.optimizer.weight_decay, read.loss.kd, read.teacher) == (0.001, 500.0, 0.0, "timm/test_resnet")


def test_a_recipe_may_hold_only_what_makes_it_different(tmp_path: Path) -> None:
    base, recipe = tmp_path / "base.yaml", tmp_path / "mine.yaml"
    shared = {"teacher": "timm/resnet18", "data": "photos", "epochs": 7, "loss": {"kd": 3.0, "fm": 0.0}}
    base.write_text(yaml.safe_dump(shared))
    recipe.write_text(yaml.safe_dump({"epochs": 2, "loss": {"fm": 0.25}}))
    found = read_recipe(recipe, {"loss.mm": 0.0}, base)
    assert (found.teacher, found.epochs) == ("timm/resnet18", 2)
    assert (found.loss.kd, found.loss.fm, found.loss.mm) == (3.0, 0.25, 0.0)
    with pytest.raises(ConfigError, match=r"recipe .*absent\.yaml cannot be read"):
        read_recipe(recipe, {}, tmp_path / "absent.yaml")


def test_what_set_replaces_of_a_recipes_own_words_is_known(tmp_path: Path) -> None:
    recipe = tmp_path / "one.yaml"
    recipe.write_text("epochs: 4\nevaluate_every: 2\nlr: 1e-3\nloss: {kd: 2, fm: 1}\nmix: null\n")
    given = ("epochs=4", "evaluate-every=1", "lr=null", "loss.kd=0.5", "loss.em=3", "mix.mixup=1", "ratio=2")
    changes = common_changes(CompareSettings(recipes=(str(recipe),), output="out", data="photos", set=given))
    assert replaced_by_set(recipe, given, changes) == (
        "--set evaluate_every=1 stands in place of the recipe's own 2",
        "--set lr=null stands in place of the recipe's own 0.001",
        "--set loss.kd=0.5 stands in place of the recipe's own 2",
    )
