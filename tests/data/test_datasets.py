"""Tables, shards and data sets of the `datasets` library become the same labelled pictures as a folder does."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pet_rows import PETS, Opened, in_table, saved
from row_makers import write_parquet, write_shards, write_table
from thumbnet.config import ColumnSettings
from thumbnet.data.datasets import parse_name
from thumbnet.data.labelled import Pictures
from thumbnet.data.pictures import read_picture

datasets = pytest.importorskip("datasets")


@pytest.fixture
def folder(tmp_path: Path, save_pictures: Callable[..., Path]) -> Path:
    """Four pictures, two of cats and two of dogs."""
    return save_pictures(tmp_path, *(name for name, _ in PETS))


def in_bytes(folder: Path, **extra: Any) -> list[dict[str, Any]]:
    return [{"image": (folder / name).read_bytes(), "label": label, **extra} for name, label in PETS]


def in_shards(folder: Path) -> list[dict[str, bytes]]:
    return [
        {"png": (folder / name).read_bytes(), "cls": b"01"[i // 2 : i // 2 + 1]} for i, (name, _) in enumerate(PETS)
    ]


def pixels(pictures: Pictures) -> set[bytes]:
    return {read_picture(file).tobytes() for file in pictures.files}


def assert_pets(pictures: Pictures, folder: Path) -> None:
    """The four pictures with their labels, in any order."""
    expected = {read_picture(folder / name).tobytes(): label for name, label in PETS}
    found = {
        read_picture(file).tobytes(): pictures.classes[label]
        for file, label in zip(pictures.files, pictures.labels, strict=True)
    }
    assert [label[0] for _, label in sorted(found.items())] == [label[0] for _, label in sorted(expected.items())]
    assert found.keys() == expected.keys()


# What is read.


@pytest.mark.parametrize(("name", "separator"), [("t.csv", ","), ("t.tsv", "\t")])
def test_a_table_has_paths_that_count_from_its_folder(
    folder: Path, opened: Opened, name: str, separator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = write_table(folder / name, in_table(), separator)
    splits = opened(table)
    assert splits.train is None
    assert_pets(splits.evaluation, folder)
    assert splits.evaluation.names == tuple(name for name, _ in PETS)
    assert splits.description == f"all of {name}"
    monkeypatch.chdir(folder)
    assert_pets(opened(name).evaluation, folder)


def test_absolute_paths_have_the_same_names_as_relative_ones(folder: Path, opened: Opened) -> None:
    rows = [{**row, "path": str(folder / row["path"])} for row in in_table()]
    assert opened(write_table(folder / "t.csv", rows)).evaluation.names == tuple(name for name, _ in PETS)


def test_parquet_holds_paths_or_bytes(folder: Path, opened: Opened) -> None:
    assert_pets(opened(write_parquet(folder / "paths.parquet", in_table())).evaluation, folder)
    embedded = opened(write_parquet(folder / "bytes.parquet", in_bytes(folder))).evaluation
    assert_pets(embedded, folder)
    assert all(isinstance(file, bytes) for file in embedded.files)


def test_bytes_and_paths_may_be_mixed(folder: Path, opened: Opened) -> None:
    rows = [
        {"image": {"bytes": (folder / name).read_bytes() if i % 2 else None, "path": name}, "label": label}
        for i, (name, label) in enumerate(PETS)
    ]
    assert_pets(opened(write_parquet(folder / "mixed.parquet", rows)).evaluation, folder)


@pytest.mark.parametrize("data", ["shards", "shards/*.tar", "shards/000.tar"])
def test_shards_are_read_from_a_folder_a_pattern_or_one_file(folder: Path, opened: Opened, data: str) -> None:
    write_shards(folder / "shards", in_shards(folder), shards=1 if data.endswith("000.tar") else 2)
    pictures = opened(folder / data).evaluation
    assert pixels(pictures) == {read_picture(folder / name).tobytes() for name, _ in PETS}
    assert pictures.classes == ("0", "1")
    assert sorted(pictures.names) == ["00000", "00001", "00002", "00003"]


def test_a_label_may_be_a_part_of_a_shards_json(folder: Path, opened: Opened) -> None:
    rows = [{"png": (folder / name).read_bytes(), "json": json.dumps({"kind": label}).encode()} for name, label in PETS]
    data = write_shards(folder / "shards", rows)
    assert_pets(opened(data, columns=ColumnSettings(label="json.kind")).evaluation, folder)


def test_a_saved_data_set_has_its_own_names_of_classes(folder: Path, opened: Opened) -> None:
    saved(folder).save_to_disk(str(folder / "saved"))
    assert_pets(opened(folder / "saved").evaluation, folder)
    assert opened(folder / "saved").evaluation.classes == ("cat", "dog")


def test_a_saved_data_set_has_its_splits(folder: Path, opened: Opened) -> None:
    rows = saved(folder)
    parts = datasets.DatasetDict({"train": rows, "validation": rows.select([0, 3]), "test": rows.select([0])})
    parts.save_to_disk(str(folder / "saved"))
    splits = opened(folder / "saved")
    assert splits.train is not None
    assert_pets(splits.train, folder)
    assert (len(splits.evaluation), splits.description) == (2, "validation of saved")


def test_a_local_data_set_by_name_has_names_that_are_the_same_on_every_machine(
    tmp_path: Path, make_classes: Callable[..., Path], opened: Opened
) -> None:
    for split in ("train", "test"):
        make_classes(tmp_path / "photos" / split, {"cats": 2, "dogs": 2})
    splits = opened(f"hf/{tmp_path / 'photos'}")
    assert splits.train is not None
    assert splits.train.classes == ("cats", "dogs")
    assert splits.train.names[0] == "train/cats/0.png"
    only = opened(f"hf/{tmp_path / 'photos'}#test")
    assert only.train is None
    assert only.evaluation.names[0] == "test/cats/0.png"


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        ("hf/beans", ("beans", None, None)),
        ("hf/nobody/beans:small", ("nobody/beans", "small", None)),
        ("hf/nobody/beans#test[:10%]", ("nobody/beans", None, "test[:10%]")),
        ("hf/nobody/beans:small#test", ("nobody/beans", "small", "test")),
    ],
)
def test_a_name_may_have_a_configuration_and_a_split(data: str, parts: tuple[str | None, ...]) -> None:
    assert parse_name(data) == parts


def test_name_configuration_and_split_are_what_the_library_is_asked_for(
    folder: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def answer(name: str, configuration: str | None, split: str | None, **options: Any) -> Any:
        asked.append((name, configuration, split, options["streaming"]))
        return saved(folder)

    monkeypatch.setattr(datasets, "load_dataset", answer)
    assert_pets(opened("hf/nobody/pets:small#test").evaluation, folder)
    assert asked == [("nobody/pets", "small", "test", False)]


def test_a_picture_with_neither_path_nor_bytes_is_an_empty_file(folder: Path, opened: Opened) -> None:
    rows = [{"path": name if i else None, "label": label} for i, (name, label) in enumerate(PETS)]
    assert opened(write_parquet(folder / "t.parquet", rows)).evaluation.files[0] == b""


def test_a_turned_picture_is_not_turned_by_the_library(folder: Path, opened: Opened) -> None:
    """The library would decode; pictures stay the files that they are."""
    buffer = io.BytesIO()
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (20, 10)).save(buffer, "JPEG", exif=turned)
    rows = [{"image": {"bytes": buffer.getvalue(), "path": None}, "label": i} for i in (0, 1)]
    table = datasets.Dataset.from_list(rows).cast_column("image", datasets.Image())
    table.save_to_disk(str(folder / "saved"))
    file = opened(folder / "saved").evaluation.files[0]
    assert file == buffer.getvalue()
    assert read_picture(file).size == (10, 20)


# Splits.


def test_a_split_column_makes_the_splits(folder: Path, opened: Opened) -> None:
    table = write_table(folder / "t.csv", [*in_table("train"), *in_table("val"), *in_table("spare")])
    splits = opened(table)
    assert splits.train is not None
    assert_pets(splits.train, folder)
    assert_pets(splits.evaluation, folder)
    assert splits.description == "val of t.csv"


def test_folders_of_shards_make_the_splits(folder: Path, opened: Opened) -> None:
    for split in ("train", "val"):
        write_shards(folder / "shards" / split, in_shards(folder))
    splits = opened(folder / "shards")
    assert splits.train is not None
    assert (len(splits.train), len(splits.evaluation)) == (4, 4)


def test_a_share_is_held_out_of_each_class(folder: Path, opened: Opened) -> None:
    splits = opened(write_table(folder / "t.csv", in_table()), 0.5)
    assert splits.train is not None
    assert sorted(splits.train.labels) == sorted(splits.evaluation.labels) == [0, 1]
    assert splits.description == "50% held out of t.csv"


def test_other_data_is_evaluated_on_with_the_classes_of_the_first(folder: Path, opened: Opened) -> None:
    train = write_table(folder / "train.csv", in_table())
    others = write_parquet(folder / "others.parquet", in_bytes(folder)[2:])
    splits = opened(train, evaluation_data=others)
    assert splits.train is not None
    assert_pets(splits.train, folder)
    assert (splits.evaluation.labels, splits.evaluation.classes) == ((1, 1), ("cat", "dog"))
    assert splits.description == "all of others.parquet"


def test_a_table_is_evaluated_on_a_folder_and_a_folder_on_a_table(
    tmp_path: Path, make_classes: Callable[..., Path], opened: Opened
) -> None:
    photos = make_classes(tmp_path / "photos", {"cats": 2, "dogs": 2})
    rows = [{"path": f"photos/{kind}/{i}.png", "label": kind} for kind in ("cats", "dogs") for i in range(2)]
    table = write_table(tmp_path / "t.csv", rows)
    for data, others in ((photos, table), (table, photos)):
        splits = opened(data, evaluation_data=others)
        assert splits.train is not None
        assert splits.train.labels == splits.evaluation.labels == (0, 0, 1, 1)


def test_a_class_map_orders_the_classes(folder: Path, opened: Opened) -> None:
    pictures = opened(write_table(folder / "t.csv", in_table()), class_map=("dog", "emu", "cat")).evaluation
    assert (pictures.labels, pictures.classes) == ((2, 2, 0, 0), ("dog", "emu", "cat"))


# Kinds of labels.


def test_a_class_of_a_table_may_have_a_name_that_elsewhere_means_nothing(folder: Path, opened: Opened) -> None:
    rows = [{"path": name, "label": label} for (name, _), label in zip(PETS, ("None", "None", "NA", "NA"), strict=True)]
    assert opened(write_table(folder / "t.csv", rows)).evaluation.classes == ("NA", "None")


def test_several_labels_become_rows(folder: Path, opened: Opened) -> None:
    rows = [{"path": name, "labels": text} for (name, _), text in zip(PETS, ["cat|red", "cat", "", "red"], strict=True)]
    pictures = opened(write_table(folder / "t.csv", rows), 0.5, multilabel=True)
    assert pictures.train is not None
    assert pictures.train.kind == pictures.evaluation.kind == "multi"
    assert pictures.evaluation.classes == ("cat", "red")


def test_an_empty_cell_of_several_labels_is_none_of_them(folder: Path, opened: Opened) -> None:
    rows = [
        {"image": (folder / name).read_bytes(), "labels": labels}
        for (name, _), labels in zip(PETS, [["cat"], [], ["red", "cat"], ["red"]], strict=True)
    ]
    pictures = opened(write_parquet(folder / "t.parquet", rows), multilabel=True).evaluation
    assert np.array_equal(pictures.labels, [[1, 0], [0, 0], [1, 1], [0, 1]])


def test_shares_stay_shares(folder: Path, opened: Opened) -> None:
    rows = [{"path": name, "label": json.dumps([0.25, 0.75])} for name, _ in PETS]
    pictures = opened(write_table(folder / "t.csv", rows), class_map=("cat", "dog")).evaluation
    assert pictures.kind == "soft"
    assert np.allclose(pictures.labels, [[0.25, 0.75]] * 4)


def test_unlabelled_data_needs_no_label_column(folder: Path, opened: Opened) -> None:
    pictures = opened(write_table(folder / "t.csv", [{"path": name} for name, _ in PETS]), unlabelled=True).evaluation
    assert (pictures.kind, pictures.labels) == ("none", (-1, -1, -1, -1))
