"""What tables, shards and data sets of the `datasets` library are refused for: one line that says what to do."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pet_rows import PETS, Opened, in_table, saved
from row_makers import write_table
from thumbnet.errors import DataError

datasets = pytest.importorskip("datasets")


@pytest.fixture
def folder(tmp_path: Path, save_pictures: Callable[..., Path]) -> Path:
    """Four pictures, two of cats and two of dogs."""
    return save_pictures(tmp_path, *(name for name, _ in PETS))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ("missing.csv", "no file at .*missing.csv; check the path"),
        ("missing.tar", "no shards at .*missing.tar; give FILE.tar, or a pattern"),
        ("none/*.tar", r"no shards at .*none/\*.tar"),
        ("broken.parquet", r"cannot open .*broken.parquet \(Parquet magic bytes not found"),
        ("broken.csv", r"cannot open .*broken.csv \(Error tokenizing data"),
        ("broken.tar", r"cannot open .*broken.tar \("),
        ("empty.csv", r"cannot open .*empty.csv \("),
        ("rows.csv", r"no pictures in .*rows.csv: it has no rows; check the file"),
        ("only.csv", "only one class, 'cat', in .*only.csv; a classifier needs two or more"),
        ("gap.csv", "picture cats/1.png of gap.csv has no label; mend or remove it"),
        ("parts.csv", "has the splits left, right, and none of train, val or test; call them so"),
        ("half.csv", "half.csv has pictures to train on and none to evaluate on; give --evaluation-data, or"),
        ("odd.csv", "picture dogs/1.png of odd.csv has the label 'emu', which is none of the classes"),
        ("named.csv", "no label column found in .*named.csv, which has path, kind; name it with --columns.label"),
    ],
)
def test_data_that_cannot_be_used_is_refused_in_one_line(folder: Path, opened: Opened, data: str, problem: str) -> None:
    for name in ("broken.parquet", "broken.tar"):
        (folder / name).write_bytes(b"nonsense " * 40)
    (folder / "broken.csv").write_text('path,label\na,b\n"c')
    (folder / "empty.csv").write_text("")
    (folder / "rows.csv").write_text("path,label\n")
    write_table(folder / "only.csv", in_table()[:2])
    write_table(
        folder / "gap.csv", [{**row, "label": "" if i == 1 else row["label"]} for i, row in enumerate(in_table())]
    )
    write_table(folder / "parts.csv", [*in_table("left"), *in_table("right")])
    write_table(folder / "half.csv", in_table("train"))
    write_table(folder / "odd.csv", [*in_table("train"), {"path": "dogs/1.png", "label": "emu", "split": "val"}])
    write_table(folder / "named.csv", [{"path": name, "kind": label} for name, label in PETS])
    with pytest.raises(DataError) as caught:
        opened(folder / data)
    assert str(caught.value).startswith("data: ")
    assert "\n" not in str(caught.value)
    assert re.search(problem, str(caught.value)), str(caught.value)


def test_a_missing_name_is_refused_in_one_line(tmp_path: Path, opened: Opened) -> None:
    with pytest.raises(DataError, match=r"^data: cannot open hf/.*nowhere \(.*\); check its name, format and splits$"):
        opened(f"hf/{tmp_path / 'nowhere'}")
    with pytest.raises(DataError, match=r"^data: hf/#test is no data set's name; give hf/NAME"):
        opened("hf/#test")


def test_splits_of_other_names_are_named(folder: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = datasets.DatasetDict({"big": saved(folder), "small": saved(folder)})
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: parts)
    with pytest.raises(DataError, match=r"has the splits big, small.*; name one with #SPLIT in hf/pets#big$"):
        opened("hf/pets")


def test_holding_out_beside_a_split_is_refused(folder: Path, opened: Opened) -> None:
    table = write_table(folder / "t.csv", [*in_table("train"), *in_table("val")])
    with pytest.raises(DataError, match=r"has its own pictures to evaluate on; leave --holdout out$"):
        opened(table, 0.5)
    plain = write_table(folder / "plain.csv", in_table())
    with pytest.raises(DataError, match=r"leave --holdout out$"):
        opened(plain, 0.5, evaluation_data=plain)


def test_without_the_library_the_extra_is_named(folder: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"needs the package datasets; run: pip install 'thumbnet\[hf\]'$"):
        opened(write_table(folder / "t.csv", in_table()))
