"""A folder with its subfolders as an input."""

import os
import pickle
from pathlib import Path

import pytest

from thumbnet.config import ColumnSettings
from thumbnet.errors import DataError
from thumbnet.thumbnails.blocks import ArchivePicture, Block, Damage
from thumbnet.thumbnails.sources import open_source


def blocks_of(address: str | Path, block_pictures: int = 100, exclude: Path | None = None) -> list[Block]:
    opened = open_source(str(address), columns=ColumnSettings(), block_pictures=block_pictures, exclude=exclude)
    return list(opened.blocks())


def read(address: str | Path, exclude: Path | None = None) -> list[ArchivePicture | Damage]:
    return [
        found for block in blocks_of(address, exclude=exclude) for found in pickle.loads(pickle.dumps(block)).read()
    ]


def names(address: str | Path, exclude: Path | None = None) -> list[str]:
    return [found.name for found in read(address, exclude) if isinstance(found, ArchivePicture)]


def targets(address: str | Path) -> list[str]:
    return [found.target for found in read(address) if isinstance(found, ArchivePicture)]


def put(root: Path, *files: str | bytes) -> Path:
    for file in files:
        path = root / os.fsdecode(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"picture")
    return root


def test_files_come_before_subfolders_and_both_in_the_order_of_their_bytes(tmp_path: Path) -> None:
    put(tmp_path, "b/1.jpg", "b/a/1.jpg", "a/2.png", "B/1.jpg", "z.JPG", "é.jpg", "a.webp", "notes.txt", "b/0.pdf")
    assert names(tmp_path) == ["a.webp", "z.JPG", "é.jpg", "B/1.jpg", "a/2.png", "b/1.jpg", "b/a/1.jpg"]


def test_a_picture_says_where_it_is_and_what_its_folder_is_called(tmp_path: Path) -> None:
    put(tmp_path, "cats/1.jpg", "0.jpg")
    above, inside = read(tmp_path)
    assert above == ArchivePicture(name="0.jpg", target="0", file=str(tmp_path / "0.jpg"), label=None)
    assert inside == ArchivePicture(name="cats/1.jpg", target="cats/1", file=str(tmp_path / "cats/1.jpg"), label="cats")


def test_blocks_are_slices_across_folders(tmp_path: Path) -> None:
    put(tmp_path, "0.jpg", "a/1.jpg", "a/2.jpg", "b/3.jpg", "b/4.jpg")
    blocks = blocks_of(tmp_path, 2)
    assert [(block.index, block.pictures) for block in blocks] == [(0, 2), (1, 2), (2, 1)]
    assert [found.name for found in blocks[1].read()] == ["a/2.jpg", "b/3.jpg"]
    assert blocks[1].name == "a/2.jpg to b/3.jpg"


def test_stamps_tell_which_blocks_have_changed(tmp_path: Path) -> None:
    put(tmp_path, "a/1.jpg", "a/2.jpg", "b/3.jpg", "b/4.jpg")
    before = [block.stamp for block in blocks_of(tmp_path, 2)]
    put(tmp_path, "b/5.jpg")
    after = [block.stamp for block in blocks_of(tmp_path, 2)]
    assert after[:2] == before
    assert blocks_of(tmp_path, 3)[0].stamp != before[0]


def test_a_link_to_a_folder_is_followed_and_a_loop_ends(tmp_path: Path) -> None:
    put(tmp_path / "in", "a/1.jpg")
    put(tmp_path / "elsewhere", "2.jpg")
    (tmp_path / "in/b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in/a/up").symlink_to(tmp_path / "in")
    (tmp_path / "in/a/self").symlink_to("self")
    assert names(tmp_path / "in") == ["a/1.jpg", "b/2.jpg"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list any folder")
def test_a_folder_that_may_not_be_listed_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    put(tmp_path, "a/1.jpg", "b/2.jpg")
    (tmp_path / "a").chmod(0)
    try:
        damage, picture = read(tmp_path)
    finally:
        (tmp_path / "a").chmod(0o755)
    assert damage == Damage(name="a", reason="folder cannot be listed (Permission denied)")
    assert picture.name == "b/2.jpg"


def test_a_folder_that_cannot_be_listed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a/1.jpg", "b/2.jpg")
    scandir = os.scandir

    def broken(folder: str) -> object:
        if folder.endswith("/a"):
            raise OSError(5, "Input/output error")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", broken)
    assert read(tmp_path)[0] == Damage(name="a", reason="folder cannot be listed (Input/output error)")
    assert names(tmp_path) == ["b/2.jpg"]


def test_what_is_called_a_picture_and_is_no_file_is_told(tmp_path: Path) -> None:
    put(tmp_path, "ok.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "gone.png").symlink_to("nowhere.png")
    assert [found.name for found in read(tmp_path) if isinstance(found, Damage)] == ["gone.png", "pipe.jpg"]
    assert names(tmp_path) == ["ok.jpg"]


def test_names_of_any_bytes_are_readable_and_their_files_can_be_opened(tmp_path: Path) -> None:
    put(tmp_path, b"new\nline/caf\xe9.jpg", b"new\nline/caf\xe8.jpg", "tab\t.jpg")
    found = read(tmp_path)
    assert [one.name for one in found] == [r"tab\t.jpg", r"new\nline/caf\xe8.jpg", r"new\nline/caf\xe9.jpg"]
    assert len({one.target for one in found}) == 3
    for one in found:
        assert Path(one.file).read_bytes() == b"picture"
        one.target.encode()
        assert "\n" not in one.target + one.label if one.label else True


def test_targets_of_one_folder_are_never_the_same(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", "a.png", "a.jpg.png", "b.gif", b"c\xff.jpg", "c\ufffd.jpg", "c_.jpg", "a.png.d/x.jpg")
    found = targets(tmp_path)
    assert found[:2] == ["a.jpg", "a.jpg.png"]
    assert {"a.png", "b", "c_", "a.png.d/x"} <= set(found)
    assert len(set(found)) == 8


def test_a_folder_that_is_called_like_a_thumbnail_is_not_in_its_way(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", "a.png/b.jpg")
    above, inside = targets(tmp_path)
    assert above == "a"
    assert not inside.startswith("a.png/")


def test_names_as_long_as_a_file_system_takes_are_shortened_and_stay_different(tmp_path: Path) -> None:
    put(tmp_path, "x" * 250 + ".jpg", "x" * 249 + "y.jpg")
    one, other = targets(tmp_path)
    assert one != other
    assert max(len(one), len(other)) <= 200


def test_the_output_folder_is_left_out_even_if_it_comes_to_be_later(tmp_path: Path) -> None:
    put(tmp_path, "a/1.jpg")
    output = tmp_path / "a" / "out"
    opened = open_source(str(tmp_path), columns=ColumnSettings(), block_pictures=10, exclude=output)
    put(output, "2.jpg", "deeper/3.jpg")
    assert [found.name for block in opened.blocks() for found in block.read()] == ["a/1.jpg"]


def test_an_input_within_the_output_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "out/in/1.jpg")
    with pytest.raises(DataError, match="choose another folder for the thumbnails"):
        read(tmp_path / "out/in", exclude=tmp_path / "out")


def test_one_picture_is_an_input(tmp_path: Path) -> None:
    put(tmp_path, "cat.JPG")
    file = str(tmp_path / "cat.JPG")
    assert read(file) == read(f"file://{file}") == [ArchivePicture(name="cat.JPG", target="cat", file=file)]


@pytest.mark.parametrize(
    ("made", "asked"), [("x/notes.txt", "x"), ("x/y", ""), ("x/y", "x/none"), ("x/y.pdf", "x/y.pdf")]
)
def test_an_input_without_pictures_is_one_line_that_says_what_to_give(tmp_path: Path, made: str, asked: str) -> None:
    put(tmp_path, made)
    with pytest.raises(DataError, match="give a folder, a picture, ") as caught:
        read(str(tmp_path / asked) if asked else "")
    assert "\n" not in str(caught.value)
