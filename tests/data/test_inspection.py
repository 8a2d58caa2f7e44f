import json
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from thumbnet.data import inspection
from thumbnet.data.folders import read_classes
from thumbnet.data.inspection import Inspection, inspect
from thumbnet.data.labelled import Pictures
from thumbnet.data.pictures import read_picture
from thumbnet.errors import DataError

Inspect = Callable[..., Inspection]
SavePictures = Callable[..., Path]
Progress = Callable[[Iterable[int], int, str], Iterable[int]]


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    return tmp_path / "memory"


@pytest.fixture
def inspect_pets(memory: Path, quietly: Progress) -> Inspect:
    """Inspects pictures, any share of them unreadable, and remembers."""

    def inspect_pets(pictures: Pictures, allow_unreadable: float = 1.0) -> Inspection:
        return inspect(pictures, allow_unreadable, memory, quietly, workers=2)

    return inspect_pets


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the pictures that are decoded, one entry each."""
    count: list[int] = []

    def counting(source: bytes) -> object:
        count.append(len(source))
        return read_picture(source)

    monkeypatch.setattr(inspection, "read_picture", counting)
    return count


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def make_older(path: Path) -> None:
    found = path.stat()
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns - 10**9))


# What is found.


def test_all_of_a_sound_data_set_is_readable(pets: Pictures, inspect_pets: Inspect) -> None:
    found = inspect_pets(pets, allow_unreadable=0.0)
    assert found.readable == pets
    assert found.unreadable == ()


def test_unreadable_pictures_are_left_out_and_listed_with_the_reason(pets: Pictures, inspect_pets: Inspect) -> None:
    damage(pets.files[1])
    pets.files[3].write_bytes(b"")
    pets.files[5].unlink()
    found = inspect_pets(pets)
    assert found.readable == pets.select([0, 2, 4])
    names, reasons = zip(*found.unreadable, strict=True)
    assert names == ("cats/1.png", "dogs/0.png", "dogs/2.png")
    assert "truncated" in reasons[0]
    assert reasons[1:] == ("the file is empty (0 bytes)", "No such file or directory")


def test_progress_counts_every_picture(pets: Pictures, memory: Path) -> None:
    seen: list[int] = []

    def progress(items: Iterable[int], total: int, description: str) -> Iterator[int]:
        assert (total, description) == (6, "reading pictures")
        for item in items:
            seen.append(item)
            yield item

    inspect(pets, 0.0, memory, progress, workers=2)
    assert seen == list(range(6))


# What stops.


def test_more_unreadable_pictures_than_allowed_stop_with_the_share_to_allow(
    pets: Pictures, inspect_pets: Inspect
) -> None:
    damage(pets.files[1])
    pets.files[3].write_bytes(b"")
    with pytest.raises(DataError) as caught:
        inspect_pets(pets, allow_unreadable=0.2)
    problem = str(caught.value)
    assert problem.startswith("data: 2 of 6 pictures (33.3%) cannot be read, such as cats/1.png: damaged or truncated")
    assert problem.endswith("; repair or remove them, or give --allow-unreadable 0.334")
    assert problem.isprintable(), "a problem is one line of text"
    assert inspect_pets(pets, allow_unreadable=0.334).unreadable


def test_as_many_unreadable_pictures_as_allowed_go_on(pets: Pictures, inspect_pets: Inspect) -> None:
    damage(pets.files[0])
    assert len(inspect_pets(pets, allow_unreadable=1 / 6).unreadable) == 1


def test_one_unreadable_picture_stops_where_none_is_allowed(pets: Pictures, inspect_pets: Inspect) -> None:
    damage(pets.files[0])
    with pytest.raises(DataError, match="1 of 6 pictures"):
        inspect_pets(pets, allow_unreadable=0.0)


def test_a_class_without_a_readable_picture_stops_and_is_named(pets: Pictures, inspect_pets: Inspect) -> None:
    for path in pets.files[3:]:
        damage(path)
    with pytest.raises(DataError) as caught:
        inspect_pets(pets, allow_unreadable=1.0)
    assert str(caught.value) == ("data: no readable picture of class 'dogs' is left; add some or remove the class")


@pytest.mark.timeout(20)
def test_stopping_by_hand_does_not_wait_for_every_picture(
    pets: Pictures, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = pets.select([i % 6 for i in range(600)])
    read: list[int] = []
    go_on = threading.Event()

    def slow(pictures: Pictures, index: int) -> tuple[str, str]:
        read.append(index)
        go_on.wait(0.02)
        return "", ""

    def interrupted(items: Iterable[int], total: int, description: str) -> Iterator[int]:
        yield from list(items)[:2]
        raise KeyboardInterrupt

    monkeypatch.setattr(inspection, "_read_one", slow)
    with pytest.raises(KeyboardInterrupt):
        inspect(pictures, 0.0, memory, interrupted, workers=2)
    assert len(read) < 50
    assert not memory.exists(), "an unfinished inspection was remembered"


# The fingerprint.


def test_the_fingerprint_depends_neither_on_the_place_nor_on_the_time(
    pets: Pictures, tmp_path: Path, inspect_pets: Inspect
) -> None:
    before = inspect_pets(pets).fingerprint
    folder = pets.files[0].parents[1]
    shutil.copytree(folder, tmp_path / "copy")
    assert inspect_pets(read_classes(tmp_path / "copy")).fingerprint == before
    make_older(pets.files[0])
    assert inspect_pets(pets).fingerprint == before


def test_the_fingerprint_changes_with_any_content(
    pets: Pictures, save_pictures: SavePictures, inspect_pets: Inspect
) -> None:
    before = inspect_pets(pets).fingerprint
    fingerprints = {before}
    for index in range(6):
        kept = pets.files[index].read_bytes()
        shutil.copy(save_pictures(pets.files[0].parents[2], "other.png") / "other.png", pets.files[index])
        make_older(pets.files[index])
        fingerprints.add(inspect_pets(pets).fingerprint)
        pets.files[index].write_bytes(kept)
    assert len(fingerprints) == 7
    assert inspect_pets(pets).fingerprint == before


def test_the_fingerprint_changes_with_a_label_a_name_or_a_lost_picture(pets: Pictures, inspect_pets: Inspect) -> None:
    changed = [
        pets,
        replace(pets, labels=(1, *pets.labels[1:])),
        replace(pets, names=("cats/renamed.png", *pets.names[1:])),
        pets.select([0, 1, 3, 4]),
    ]
    assert len({inspect_pets(pictures).fingerprint for pictures in changed}) == 4


def test_a_picture_that_becomes_unreadable_changes_the_fingerprint(pets: Pictures, inspect_pets: Inspect) -> None:
    before = inspect_pets(pets).fingerprint
    damage(pets.files[0])
    assert inspect_pets(pets).fingerprint != before


# The memory.


def test_unchanged_pictures_are_not_opened_again(pets: Pictures, inspect_pets: Inspect, opened: list[int]) -> None:
    first = inspect_pets(pets)
    assert len(opened) == 6
    assert inspect_pets(pets) == first
    assert len(opened) == 6


def test_a_relative_path_is_remembered_with_the_folder_it_starts_from(
    pets: Pictures, inspect_pets: Inspect, opened: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pets.files[0].parents[1])
    inspect_pets(pets)
    inspect_pets(replace(pets, files=tuple(Path(name) for name in pets.names)))
    assert len(opened) == 6


@pytest.mark.parametrize("change", [damage, make_older, Path.unlink])
def test_a_change_of_any_picture_is_noticed(
    change: Callable[[Path], None], pets: Pictures, inspect_pets: Inspect, opened: list[int]
) -> None:
    inspect_pets(pets)
    change(pets.files[2])
    before = len(opened)
    inspect_pets(pets)
    assert len(opened) > before


def test_a_picture_whose_permission_is_mended_is_readable_again(
    pets: Pictures, inspect_pets: Inspect, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_bytes = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path == pets.files[1]:
            raise PermissionError(13, "Permission denied")
        return read_bytes(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        assert inspect_pets(pets).unreadable == (("cats/1.png", "Permission denied"),)
    assert inspect_pets(pets).unreadable == ()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"null", b"5", b"[1, 2, 3, 4, 5, 6]", b'[["a"]]', b"[]", b"\xff\xfe\x00", b"[null]"]
)
def test_a_damaged_memory_is_ignored(
    content: bytes, pets: Pictures, memory: Path, inspect_pets: Inspect, opened: list[int]
) -> None:
    first = inspect_pets(pets)
    (remembered,) = memory.iterdir()
    remembered.write_bytes(content)
    assert inspect_pets(pets) == first
    assert len(opened) == 12
    assert len(json.loads(remembered.read_bytes())) == 6


def test_a_memory_that_cannot_be_written_does_not_stop_the_run(pets: Pictures, memory: Path, quietly: Progress) -> None:
    memory.write_text("a file is in the way")
    inspect_here = partial(inspect, pets, 0.0, memory, quietly, 1)
    assert inspect_here() == inspect_here()
    assert memory.read_text() == "a file is in the way"
