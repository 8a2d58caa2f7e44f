"""Lists of paths in text files and tables as an input."""

import os
from pathlib import Path

import pytest

from thumbnet.config import ColumnSettings
from thumbnet.errors import DataError
from thumbnet.thumbnails.blocks import ArchivePicture, Damage
from thumbnet.thumbnails.sources import open_source


def read(path: Path, block_pictures: int = 10, columns: ColumnSettings | None = None) -> list[ArchivePicture | Damage]:
    opened = open_source(str(path), columns=columns or ColumnSettings(), block_pictures=block_pictures, exclude=None)
    return [found for block in opened.blocks() for found in block.read()]


def test_every_line_is_a_picture_and_relative_ones_count_from_the_list(tmp_path: Path) -> None:
    listed = tmp_path / "all.txt"
    listed.write_bytes(b"\xef\xbb\xbfcats/1.jpg\r\n\n   \n./2.jpg\n/data/3.jpg\ns3://bucket/4.jpg\n../5.jpg")
    found = read(listed)
    assert [one.name for one in found] == ["cats/1.jpg", "2.jpg", "/data/3.jpg", "s3://bucket/4.jpg", "../5.jpg"]
    assert [one.file for one in found] == [
        f"{tmp_path}/cats/1.jpg",
        f"{tmp_path}/2.jpg",
        "/data/3.jpg",
        "s3://bucket/4.jpg",
        f"{tmp_path}/../5.jpg",
    ]
    assert [one.target for one in found if "s3" not in one.name] == ["cats/1.jpg", "2.jpg", "_/data/3.jpg", "__/5.jpg"]
    assert {one.label for one in found} == {None}


def test_bytes_that_are_no_text_survive(tmp_path: Path) -> None:
    file = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    with open(file, "wb") as opened:
        opened.write(b"picture")
    listed = tmp_path / "all.lst"
    listed.write_bytes(b"caf\xe9.jpg\n")
    (found,) = read(listed)
    assert Path(found.file).read_bytes() == b"picture"
    assert found.name == r"caf\xe9.jpg"


def test_the_same_line_twice_is_the_same_target(tmp_path: Path) -> None:
    listed = tmp_path / "all.txt"
    listed.write_text("a.jpg\na.jpg\n./a.jpg\na.png\n")
    assert [one.target for one in read(listed)] == ["a.jpg", "a.jpg", "a.jpg", "a.png"]


def test_blocks_are_slices_of_lines(tmp_path: Path) -> None:
    listed = tmp_path / "all.txt"
    listed.write_text("\n".join(f"{number}.jpg" for number in range(5)))
    blocks = list(open_source(str(listed), columns=ColumnSettings(), block_pictures=2, exclude=None).blocks())
    assert [block.pictures for block in blocks] == [2, 2, 1]
    assert len({block.stamp for block in blocks}) == 3


def test_a_file_without_lines_is_told_and_not_taken_into_memory(tmp_path: Path) -> None:
    listed = tmp_path / "all.txt"
    listed.write_bytes(b"a.jpg\n" + b"x" * 200_000 + b"\nb.jpg\n")
    picture, damage = read(listed)
    assert picture.name == "a.jpg"
    assert damage == Damage(name="all.txt", reason="line 2 is too long to be a path; the rest is left out")


def test_an_empty_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / "all.txt").write_text("\n\n")
    with pytest.raises(DataError, match="pictures: none in the list"):
        read(tmp_path / "all.txt")


@pytest.mark.parametrize(("suffix", "mark"), [("csv", ","), ("tsv", "\t")])
def test_a_table_of_paths_gives_labels_too(tmp_path: Path, suffix: str, mark: str) -> None:
    rows = [("label", "path"), ("cat", "a.jpg"), ("", "b.jpg"), ("dog", '"c 1.jpg"')]
    (tmp_path / f"all.{suffix}").write_text("".join(f"{mark.join(row)}\n" for row in rows))
    found = read(tmp_path / f"all.{suffix}")
    assert [(one.name, one.label) for one in found] == [("a.jpg", "cat"), ("b.jpg", None), ("c 1.jpg", "dog")]


def test_a_damaged_row_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    (tmp_path / "all.csv").write_text("path,label\na.jpg,cat\nb.jpg\n,dog\n\nc.jpg,cat\n")
    found = read(tmp_path / "all.csv")
    assert [one.name for one in found] == ["a.jpg", "all.csv/000000002", "all.csv/000000003", "c.jpg"]
    assert [one.reason for one in found if isinstance(one, Damage)] == ["1 cells, not 2", "no path"]


def test_a_table_without_a_column_of_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "all.csv").write_text("where,label\na.jpg,cat\n")
    with pytest.raises(DataError, match="no picture column found"):
        read(tmp_path / "all.csv")
    assert read(tmp_path / "all.csv", columns=ColumnSettings(picture="where"))[0].name == "a.jpg"
