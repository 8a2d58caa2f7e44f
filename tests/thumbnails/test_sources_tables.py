"""Parquet tables as an input: rows with bytes, paths or both, and what of damaged tables can still be read."""

import json
import pickle
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from thumbnet.config import ColumnSettings
from thumbnet.errors import DataError
from thumbnet.thumbnails.blocks import ArchivePicture, Block, Damage
from thumbnet.thumbnails.sources import open_source


def write(path: Path, rows: list[dict[str, Any]], group: int = 100, classes: list[str] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pyarrow.Table.from_pylist(rows)
    if classes:
        features = {"info": {"features": {"label": {"names": classes, "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    pyarrow.parquet.write_table(table, path, row_group_size=group, compression="none")
    return path


def numbered(count: int) -> list[dict[str, Any]]:
    return [{"image": bytes([number]) * 2000, "label": number % 2} for number in range(count)]


def blocks_of(address: str | Path, most: int = 100, columns: ColumnSettings | None = None) -> list[Block]:
    opened = open_source(str(address), columns=columns or ColumnSettings(), block_pictures=most, exclude=None)
    return list(opened.blocks())


def read(address: str | Path, most: int = 100, columns: ColumnSettings | None = None) -> list[ArchivePicture | Damage]:
    blocks = blocks_of(address, most, columns)
    return [found for block in blocks for found in pickle.loads(pickle.dumps(block)).read()]


def test_a_row_is_a_picture_called_by_its_number(tmp_path: Path) -> None:
    found = read(write(tmp_path / "x.parquet", numbered(3)))
    assert found[2] == ArchivePicture(name="x.parquet/000000002", target="x/000000002", file=b"\2" * 2000, label="0")


def test_blocks_are_slices_within_row_groups(tmp_path: Path) -> None:
    table = write(tmp_path / "x.parquet", numbered(50), group=40)
    blocks = blocks_of(table, 25)
    assert [(block.index, block.name, block.pictures) for block in blocks] == [
        (0, "x.parquet/000000000", 25),
        (1, "x.parquet/000000025", 15),
        (2, "x.parquet/000000040", 10),
    ]
    assert [found.file[0] for found in blocks[1].read()] == list(range(25, 40))
    assert [found.name[-2:] for found in blocks[2].read()] == [str(number) for number in range(40, 50)]


def test_a_folder_and_a_pattern_give_tables_in_order(tmp_path: Path) -> None:
    for name in ("b/1.parquet", "a/1.parquet"):
        write(tmp_path / name, numbered(1))
    assert [one.target for one in read(f"{tmp_path}/*/*.parquet")] == ["a/1/000000000", "b/1/000000000"]
    assert [one.target for one in read(tmp_path / "b")] == ["1/000000000"]


def test_paths_count_from_the_tables_folder(tmp_path: Path) -> None:
    rows = [{"path": "p/1.jpg"}, {"path": "/data/2.jpg"}, {"path": "s3://bucket/3.jpg"}, {"path": None}]
    found = read(write(tmp_path / "x.parquet", rows))
    assert [one.file for one in found] == [f"{tmp_path}/p/1.jpg", "/data/2.jpg", "s3://bucket/3.jpg", b""]
    assert {one.label for one in found} == {None}


def test_records_of_hugging_face_give_bytes_or_paths_and_names_of_classes(tmp_path: Path) -> None:
    rows = [
        {"image": {"bytes": b"one", "path": "ignored.jpg"}, "label": 1},
        {"image": {"bytes": None, "path": "2.jpg"}, "label": None},
    ]
    found = read(write(tmp_path / "x.parquet", rows, classes=["cat", "dog"]))
    assert [(one.file, one.label) for one in found] == [(b"one", "dog"), (f"{tmp_path}/2.jpg", None)]


def test_columns_are_chosen_by_name(tmp_path: Path) -> None:
    rows = [{"left": b"l", "right": b"r", "about": {"kind": "cat"}}]
    table = write(tmp_path / "x.parquet", rows)
    (found,) = read(table, columns=ColumnSettings(picture="right", label="about.kind"))
    assert (found.file, found.label) == (b"r", "cat")
    with pytest.raises(DataError, match="no picture column found"):
        read(table)


def test_a_damaged_row_group_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    table = write(tmp_path / "x.parquet", numbered(30), group=10)
    content = bytearray(table.read_bytes())
    start = pyarrow.parquet.read_metadata(table).row_group(1).column(0).data_page_offset
    content[start : start + 64] = b"\xff" * 64
    table.write_bytes(content)
    found = read(table)
    assert [one.file[0] for one in found if isinstance(one, ArchivePicture)] == [*range(10), *range(20, 30)]
    (damage,) = (one for one in found if isinstance(one, Damage))
    assert damage.name == "x.parquet"
    assert damage.reason.startswith("rows 10 to 19 cannot be read (")


@pytest.mark.parametrize("content", [b"", b"PAR1 is how it starts", None])
def test_a_table_that_cannot_be_opened_is_told_and_others_go_on(tmp_path: Path, content: bytes | None) -> None:
    write(tmp_path / "b.parquet", numbered(2))
    whole = write(tmp_path / "a.parquet", numbered(2)).read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[:-20] if content is None else content)
    damage, *pictures = read(tmp_path)
    assert damage.name == "a.parquet"
    assert damage.reason.startswith("cannot be read (")
    assert [one.name for one in pictures] == ["b.parquet/000000000", "b.parquet/000000001"]


def test_a_table_of_other_columns_among_others_is_told(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", numbered(1))
    write(tmp_path / "b.parquet", [{"other": 1}])
    picture, damage = read(tmp_path)
    assert picture.name == "a.parquet/000000000"
    assert "no picture column found" in damage.reason


def test_tables_without_rows_or_without_any_that_opens_are_refused(tmp_path: Path) -> None:
    schema = pyarrow.schema([("image", pyarrow.binary())])
    pyarrow.parquet.write_table(schema.empty_table(), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="no rows in"):
        read(tmp_path)
    (tmp_path / "a.parquet").write_bytes(b"")
    with pytest.raises(DataError, match="cannot open"):
        read(tmp_path)


def test_a_stamp_changes_with_its_table_alone(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / f"{name}.parquet", numbered(2))
    before = [block.stamp for block in blocks_of(tmp_path)]
    write(tmp_path / "b.parquet", numbered(3))
    after = [block.stamp for block in blocks_of(tmp_path)]
    assert (before[0] == after[0], before[1] == after[1]) == (True, False)
