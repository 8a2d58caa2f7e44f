"""Data sets of Hugging Face's library as an input."""

import io
import pickle
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from thumbnet.config import ColumnSettings
from thumbnet.errors import DataError
from thumbnet.thumbnails.blocks import ArchivePicture, Damage
from thumbnet.thumbnails.sources import open_source

datasets = pytest.importorskip("datasets", reason="the extra thumbnet[hf] is not installed")


def picture(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(file, "PNG")
    return file.getvalue()


def saved(folder: Path, splits: dict[str, list[tuple[bytes, int]]]) -> Path:
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
    parts = {}
    for name, rows in splits.items():
        columns: dict[str, Any] = {"image": [{"bytes": one, "path": None} for one, _ in rows]}
        parts[name] = datasets.Dataset.from_dict({**columns, "label": [label for _, label in rows]}, features=features)
    datasets.DatasetDict(parts).save_to_disk(str(folder))
    return folder


def read(address: str | Path, most: int = 100) -> list[ArchivePicture | Damage]:
    opened = open_source(str(address), columns=ColumnSettings(), block_pictures=most, exclude=None)
    return [found for block in opened.blocks() for found in pickle.loads(pickle.dumps(block)).read()]


def test_all_splits_of_a_saved_data_set_come_one_behind_the_other(tmp_path: Path) -> None:
    red, blue = picture("red"), picture("blue")
    folder = saved(tmp_path / "set", {"train": [(red, 1), (blue, 0), (red, 0)], "test": [(blue, 1)]})
    opened = open_source(str(folder), columns=ColumnSettings(), block_pictures=2, exclude=None)
    blocks = list(opened.blocks())
    assert [(block.index, block.name, block.pictures) for block in blocks] == [
        (0, "train/000000000", 2),
        (1, "train/000000002", 1),
        (2, "test/000000000", 1),
    ]
    assert len({block.stamp for block in blocks}) == 3
    found = read(folder, 2)
    assert [(one.file, one.label) for one in found] == [(red, "dog"), (blue, "cat"), (red, "cat"), (blue, "dog")]
    assert (found[2].name, found[3].target) == ("train/000000002", "test/000000000")


def test_a_data_set_by_name_is_read_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    for label in ("cat", "dog"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        (tmp_path / "photos" / label / "1.png").write_bytes(picture("red"))
    found = read(f"hf/{tmp_path}/photos")
    assert [(one.name, one.label) for one in found] == [("train/000000000", "cat"), ("train/000000001", "dog")]


def test_a_data_set_that_is_not_there_or_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot open"):
        read(f"hf/{tmp_path}/none")
    with pytest.raises(DataError, match=r"no rows in|cannot open"):
        read(saved(tmp_path / "set", {"train": []}))
