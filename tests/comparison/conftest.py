"""A few recipes that train in about a second each."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

RECIPE = {
    "teacher": "tiny_networks:two_stages",
    "image_side": 32,
    "epochs": 1,
    "batch_size": 8,
    "workers": 0,
    "device": "cpu",
    "loss": {"mm": 0, "cl": 1, "kd": 0, "fm": 0},
}
Write = Callable[..., str]


@pytest.fixture(scope="session")
def write_recipe(photos: Path) -> Callable[..., str]:
    """Writes a recipe file with changes, and gives its path."""

    def write(folder: Path, name: str, **changes: object) -> str:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump({**RECIPE, "data": str(photos), **changes}))
        return str(file)

    return write
