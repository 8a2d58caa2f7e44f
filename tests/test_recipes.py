"""Every recipe parses, and says at its top what it is and how to run it."""

from pathlib import Path

import pytest

from thumbnet.cli.parser import build_parser

RECIPES = sorted((Path(__file__).parent.parent / "recipes").rglob("*.yaml"))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_parses_and_has_a_header(recipe: Path) -> None:
    text = recipe.read_text()
    header = text[: text.index("\nteacher:")]
    command = "train-teacher" if f"thumbnet train-teacher --config recipes/elpv/{recipe.name}" in header else "train"
    assert f"thumbnet {command} --config {recipe.relative_to(recipe.parents[2])}" in header
    assert "Expected numbers" in header
    build_parser().parse_args([command, "--config", str(recipe), "--output", "runs/x"])


def test_there_are_recipes() -> None:
    assert len(RECIPES) >= 6
