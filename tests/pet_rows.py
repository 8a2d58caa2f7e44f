"""Four pictures of pets as rows of a table, and as a data set of the `datasets` library."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from thumbnet.data.labelled import Splits

Opened = Callable[..., Splits]
PETS = [("cats/0.png", "cat"), ("cats/1.png", "cat"), ("dogs/0.png", "dog"), ("dogs/1.png", "dog")]


def in_table(split: str | None = None) -> list[dict[str, str]]:
    return [{"path": name, "label": label, **({"split": split} if split else {})} for name, label in PETS]


def saved(folder: Path) -> Any:
    """As a data set of the `datasets` library."""
    import datasets

    rows = {"image": [str(folder / name) for name, _ in PETS], "label": [i // 2 for i in range(4)]}
    return (
        datasets.Dataset.from_dict(rows)
        .cast_column("image", datasets.Image())
        .cast_column("label", datasets.ClassLabel(names=["cat", "dog"]))
    )
