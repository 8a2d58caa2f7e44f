"""WebDataset shards as an input: what is in them, and what of them can still be read when they are damaged."""

import io
import pickle
import tarfile
from pathlib import Path

import pytest

from thumbnet.config import ColumnSettings
from thumbnet.errors import DataError
from thumbnet.thumbnails import tar_entries
from thumbnet.thumbnails.blocks import ArchivePicture, Damage
from thumbnet.thumbnails.sources import open_source

ZEROS = bytes(512)


def entry(name: str, content: bytes = b"picture", **changes: object) -> bytes:
    """One entry of an archive as bytes: a block of header, and the content filled up to whole blocks."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in changes.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape") + content + bytes(-len(content) % 512)


def write_shard(path: Path, *entries: bytes, end: bytes = 2 * ZEROS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(entries) + end)
    return path


def read(address: str | Path, columns: ColumnSettings | None = None) -> list[ArchivePicture | Damage]:
    opened = open_source(str(address), columns=columns or ColumnSettings(), block_pictures=2, exclude=None)
    return [found for block in opened.blocks() for found in pickle.loads(pickle.dumps(block)).read()]


def names(found: list[ArchivePicture | Damage]) -> list[str]:
    return [one.name for one in found if isinstance(one, ArchivePicture)]


def reasons(found: list[ArchivePicture | Damage]) -> list[str]:
    return [one.reason for one in found if isinstance(one, Damage)]


def test_a_picture_comes_with_its_bytes_and_the_label_of_its_sample(tmp_path: Path) -> None:
    shard = write_shard(
        tmp_path / "x-0.tar",
        entry("a/1.jpg", b"one"),
        entry("a/1.cls", b"cat\n"),
        entry("a/1.txt", b"a caption"),
        entry("a/2.cls", b"3"),
        entry("a/2.seg.png", b"two"),
        entry("a/3.JPG", b"three"),
        entry("a/3.json", b'{"label": 7}'),
        entry("b/3.jpg", b"four"),
        entry("b/3.json", b'{"label"'),
    )
    one, two, three, four = read(shard)
    assert one == ArchivePicture(name="x-0.tar/a/1.jpg", target="x-0/a/1.jpg", file=b"one", label="cat")
    assert (two.name, two.file, two.label) == ("x-0.tar/a/2.seg.png", b"two", "3")
    assert (three.label, four.label) == ("7", None)


def test_columns_choose_the_files_of_a_sample(tmp_path: Path) -> None:
    content = (entry("1.left.jpg", b"l"), entry("1.right.jpg", b"r"), entry("1.json", b'{"kind": "cat"}'))
    shard = write_shard(tmp_path / "x.tar", *content)
    (found,) = read(shard, ColumnSettings(picture="right.jpg", label="json.kind"))
    assert (found.file, found.label) == (b"r", "cat")


def test_a_pattern_or_a_folder_is_one_block_a_shard_in_order(tmp_path: Path) -> None:
    for name in ("b/2.tar", "a/10.tar", "a/9.tar"):
        write_shard(tmp_path / name, entry("1.jpg"), entry("2.jpg"), entry("3.jpg"))
    blocks = list(open_source(f"{tmp_path}/*/*.tar", columns=ColumnSettings(), block_pictures=1, exclude=None).blocks())
    assert [(block.index, block.name, block.pictures) for block in blocks] == [
        (0, "a/10.tar", None),
        (1, "a/9.tar", None),
        (2, "b/2.tar", None),
    ]
    assert next(blocks[2].read()).target == "b/2/1.jpg"
    assert names(read(tmp_path / "a")) == [f"{shard}.tar/{number}.jpg" for shard in (10, 9) for number in (1, 2, 3)]


def test_a_stamp_changes_with_its_shard_alone(tmp_path: Path) -> None:
    write_shard(tmp_path / "0.tar", entry("1.jpg"))
    write_shard(tmp_path / "1.tar", entry("1.jpg"))

    def stamps() -> list[str]:
        opened = open_source(str(tmp_path), columns=ColumnSettings(), block_pictures=1, exclude=None)
        return [block.stamp for block in opened.blocks()]

    before = stamps()
    write_shard(tmp_path / "1.tar", entry("1.jpg"), entry("2.jpg"))
    assert [one == other for one, other in zip(before, stamps(), strict=True)] == [True, False]


def test_hostile_names_stay_below_the_shards_folder(tmp_path: Path) -> None:
    hostile = ["../../x.jpg", "/etc/x.jpg", "a\nb.jpg", "caf\udce9.jpg", "a//b.jpg", "C:\\x.jpg", "y" * 300 + ".jpg"]
    found = read(write_shard(tmp_path / "s.tar", *map(entry, hostile)))
    assert len(found) == len({one.target for one in found}) == len(hostile)
    assert found[0].name == "s.tar/../../x.jpg"
    assert found[0].target == "s/__/__/x.jpg"
    for one in found:
        assert one.target.startswith("s/")
        assert not {"", ".", ".."} & set(one.target.split("/"))
        assert one.name.isprintable()
        assert max(map(len, one.target.encode().split(b"/"))) <= 200


def test_a_name_that_is_there_twice_gets_a_number(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "s.tar", entry("a.jpg", b"1"), entry("./a.jpg", b"2"), entry("a.jpg", b"3"))
    found = read(shard)
    assert names(found) == ["s.tar/a.jpg", "s.tar/a.jpg#2", "s.tar/a.jpg#3"]
    assert [one.target for one in found] == ["s/a.jpg", "s/a.jpg#2", "s/a.jpg#3"]


def test_links_and_devices_are_told_if_they_are_called_pictures(tmp_path: Path) -> None:
    shard = write_shard(
        tmp_path / "s.tar",
        entry("1.jpg", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        entry("2.jpg", b"", type=tarfile.CHRTYPE),
        entry("3.cls", b"", type=tarfile.LNKTYPE, linkname="1.jpg"),
        entry("4.jpg", b"", type=tarfile.DIRTYPE),
        entry("5.jpg"),
    )
    found = read(shard)
    assert reasons(found) == ["a link to /etc/passwd, not a file", "a device or pipe, not a file"]
    assert [one.name for one in found] == ["s.tar/1.jpg", "s.tar/2.jpg", "s.tar/5.jpg"]


def test_after_a_damaged_header_reading_goes_on_and_the_bytes_are_named(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "s.tar", *(entry(f"{number}.jpg", b"x" * 1000) for number in range(4)))
    content = bytearray(shard.read_bytes())
    content[1536 + 3] ^= 255  # within the header of 1.jpg
    shard.write_bytes(content)
    found = read(shard)
    assert names(found) == ["s.tar/0.jpg", "s.tar/2.jpg", "s.tar/3.jpg"]
    assert reasons(found) == ["bytes 1536 to 3071 hold no entry that can be read, after 0.jpg"]


@pytest.mark.parametrize("start", [0, 2 * 1024])
def test_a_shard_whose_first_or_last_header_is_damaged(tmp_path: Path, start: int) -> None:
    shard = write_shard(tmp_path / "s.tar", *(entry(f"{number}.jpg") for number in range(3)))
    content = bytearray(shard.read_bytes())
    content[start : start + 100] = b"\xff" * 100
    shard.write_bytes(content)
    found = read(shard)
    assert len(names(found)) == 2
    assert len(reasons(found)) == 1
    assert f"bytes {start} to " in reasons(found)[0]


@pytest.mark.parametrize("left", [1024 + 512 + 10, 1024 + 100, 1024])
def test_a_shard_that_is_cut_off_says_so_and_keeps_what_is_before(tmp_path: Path, left: int) -> None:
    shard = write_shard(tmp_path / "0.tar", entry("1.jpg"), entry("2.jpg", b"x" * 5000))
    shard.write_bytes(shard.read_bytes()[:left])
    write_shard(tmp_path / "1.tar", entry("3.jpg"))
    found = read(tmp_path)
    assert names(found) == ["0.tar/1.jpg", "1.tar/3.jpg"]
    assert len(reasons(found)) == 1
    assert "cut off" in reasons(found)[0] or "hold no entry" in reasons(found)[0]


def test_a_cut_within_a_label_is_told_as_well(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "s.tar", entry("1.jpg"), entry("1.json", b"x" * 900))
    shard.write_bytes(shard.read_bytes()[: 1024 + 512 + 300])
    found = read(shard)
    assert names(found) == ["s.tar/1.jpg"]
    assert reasons(found) == ["cut off within 1.json, after 300 of its 900 bytes"]


def test_a_disk_that_fails_in_the_middle_leaves_what_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(io.FileIO):
        def readinto(self, buffer: object) -> int:
            if self.tell() >= 4096:
                raise OSError(5, "Input/output error")
            return super().readinto(buffer)

    def failing(place: str) -> io.BufferedReader:
        return io.BufferedReader(Failing(place), 1024)

    monkeypatch.setattr("thumbnet.thumbnails.shards.open_binary", failing)
    found = read(write_shard(tmp_path / "s.tar", *(entry(f"{number}.jpg") for number in range(9))))
    assert names(found) == [f"s.tar/{number}.jpg" for number in range(4)]
    assert reasons(found) == ["cannot be read (Input/output error)"]


def test_a_shard_beside_a_folder_of_shards_keeps_out_of_it(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.tar", entry("b/1.jpg"))
    write_shard(tmp_path / "a/b.tar", entry("1.jpg"))
    assert [one.target for one in read(f"{tmp_path}/**/*.tar")] == ["a.tar/b/1.jpg", "a/b/1.jpg"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty (0 bytes)"),
        (b"no archive" * 1000, "no tar archive, or damaged from its start to its end"),
        (bytes(10240), "it holds no entries, only zeros"),
        (entry("1.jpg") + 2 * ZEROS + b"rubbish", "bytes 2048 to 2054 hold no entry that can be read, after 1.jpg"),
    ],
)
def test_what_is_no_archive_is_told_and_other_shards_go_on(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "0.tar").write_bytes(content)
    write_shard(tmp_path / "1.tar", entry("3.jpg"))
    found = read(tmp_path)
    assert reasons(found) == [reason]
    assert names(found)[-1] == "1.tar/3.jpg"


def test_archives_behind_one_another_are_whole(tmp_path: Path) -> None:
    one, other = (entry(name) + 18 * ZEROS for name in ("1.jpg", "2.jpg"))
    found = read(write_shard(tmp_path / "s.tar", one, other))
    assert (names(found), reasons(found)) == (["s.tar/1.jpg", "s.tar/2.jpg"], [])


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_every_format_of_the_standard_library_is_whole(tmp_path: Path, kind: int) -> None:
    long = "é" * 60 + "/" + "n" * 70 + ".jpg"
    headers = {"comment": "global"} if kind == tarfile.PAX_FORMAT else None
    with tarfile.open(tmp_path / "s.tar", "w", format=kind, pax_headers=headers) as archive:
        for name in (long, "2.jpg"):
            info = tarfile.TarInfo(name)
            info.size = 600
            archive.addfile(info, io.BytesIO(b"x" * 600))
    found = read(tmp_path / "s.tar")
    assert (names(found), reasons(found)) == ([f"s.tar/{long}", "s.tar/2.jpg"], [])


def test_a_huge_entry_is_told_and_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_entries, "MAXIMUM_BYTES", 1000)
    found = read(write_shard(tmp_path / "s.tar", entry("1.jpg", b"x" * 1001), entry("2.jpg")))
    assert reasons(found) == ["1001 bytes, more than 1000 for one picture"]
    assert names(found) == ["s.tar/2.jpg"]


def test_headers_that_would_fill_the_memory_or_never_end_are_damage(tmp_path: Path) -> None:
    huge = entry("x", b"", type=tarfile.GNUTYPE_LONGNAME, size=2**40)
    chain = [entry("x", b"y\0", type=tarfile.GNUTYPE_LONGNAME) for _ in range(2000)]
    found = read(write_shard(tmp_path / "s.tar", huge, *chain, entry("1.jpg"), entry("2.jpg")))
    assert names(found)[-1] == "s.tar/2.jpg"
    assert reasons(found)


def test_a_key_that_never_changes_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thumbnet.thumbnails.shards.SAMPLE_BYTES", 3000)
    shard = write_shard(tmp_path / "s.tar", *(entry(f"a.{number}.jpg") for number in range(8)), entry("a.cls", b"cat"))
    found = read(shard)
    assert len(names(found)) == 8
    assert (found[0].label, found[-1].label) == (None, "cat")


def test_a_folder_of_shards_and_loose_pictures_is_not_guessed_at(tmp_path: Path) -> None:
    write_shard(tmp_path / "s.tar", entry("1.jpg"))
    (tmp_path / "1.jpg").touch()
    with pytest.raises(DataError, match=r"name them as '.*/\*\.tar'"):
        read(tmp_path)
    assert names(read(f"{tmp_path}/*.tar")) == ["s.tar/1.jpg"]


def test_a_pattern_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file matches"):
        read(f"{tmp_path}/*.tar")
