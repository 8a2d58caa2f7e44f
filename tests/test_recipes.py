"""Every recipe parses, alone or over the base of each data set, and says at its top what it is and how to run it."""

from pathlib import Path

import pytest

from thumbnet.cli.parser import build_parser

RECIPES = Path(__file__).parent.parent / "recipes"
BASES = sorted(RECIPES.glob("*/base.yaml"))
DEFAULTS = sorted(RECIPES.glob("*/defaults.yaml"))
DIFFERENCES = sorted((RECIPES / "study").glob("*.yaml"))
WHOLE = sorted({*RECIPES.rglob("*.yaml")} - {*BASES, *DIFFERENCES})


def header_of(recipe: Path) -> str:
    lines = recipe.read_text().splitlines()
    return "\n".join(line for line in lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))])


@pytest.mark.parametrize("recipe", WHOLE, ids=lambda path: path.stem)
def test_a_recipe_parses_and_has_a_header(recipe: Path) -> None:
    header = header_of(recipe)
    command = "train-teacher" if "thumbnet train-teacher" in header else "train"
    assert f"thumbnet {command} --config {recipe.relative_to(RECIPES.parent)}" in header
    assert "Expected numbers" in header
    build_parser().parse_args([command, "--config", str(recipe), "--output", "runs/x"])


@pytest.mark.parametrize("base", BASES, ids=lambda path: path.parent.name)
@pytest.mark.parametrize("recipe", DIFFERENCES, ids=lambda path: path.stem)
def test_a_recipe_of_the_study_parses_over_every_base(recipe: Path, base: Path) -> None:
    header = header_of(recipe)
    assert f"--config {recipe.relative_to(RECIPES.parent)}" in header
    assert "Expected numbers" in header
    found = build_parser().parse_args(["train", "--config", str(base), "--config", str(recipe), "--output", "runs/x"])
    assert found.train.teacher == "thumbnet.data.samples:efficientnet_lite0"


@pytest.mark.parametrize("base", BASES, ids=lambda path: path.parent.name)
def test_a_base_says_how_the_whole_study_is_run(base: Path) -> None:
    header = header_of(base)
    assert f"thumbnet compare recipes/study/*.yaml --base {base.relative_to(RECIPES.parent)}" in header


def test_there_are_recipes() -> None:
    assert (len(WHOLE) >= 6, len(BASES), len(DIFFERENCES) >= 20) == (True, 2, True)


@pytest.mark.parametrize("defaults", DEFAULTS, ids=lambda path: path.parent.name)
def test_the_defaults_of_a_data_set_say_nothing_of_how_to_train(defaults: Path) -> None:
    train = build_parser().parse_args(["train", "--config", str(defaults), "--output", "runs/x"]).train
    needed = ["--teacher", train.teacher, "--data", str(train.data), "--output", "runs/x"]
    bare = build_parser().parse_args(["train", *needed]).train
    for field in ("ratio", "epochs", "batch_size", "lr", "loss", "downscaler", "student", "optimizer", "mix", "cache"):
        assert getattr(train, field) == getattr(bare, field), field
    assert train.views.per_image == bare.views.per_image == 0


def test_the_measurements_on_a_gpu_are_of_the_defaults() -> None:
    script = (RECIPES.parent / "benchmarks" / "gpu" / "run.sh").read_text()
    assert '--base "recipes/$name/defaults.yaml"' in script and "--set" not in script
    assert all(f"study {path.parent.name} --" in script for path in DEFAULTS)
