"""What is held out of a folder for evaluation: the same pictures on every machine."""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pet_rows import Opened
from row_makers import write_table
from thumbnet.data.folders import read_classes
from thumbnet.data.labelled import LabelKind, Pictures, hold_out
from thumbnet.errors import DataError

MakeClasses = Callable[..., Path]


def held_out(pictures: Pictures, share: float = 0.25) -> list[str]:
    return sorted(hold_out(pictures, share, "photos").evaluation.names)


def test_the_held_out_pictures_of_known_names_never_change(tmp_path: Path, make_classes: MakeClasses) -> None:
    pictures = read_classes(make_classes(tmp_path, {"cats": 8, "dogs": 8}))
    assert held_out(pictures) == ["cats/1.png", "cats/7.png", "dogs/5.png", "dogs/6.png"]


def test_the_split_depends_neither_on_the_folder_nor_on_the_order_of_listing(
    tmp_path: Path, make_classes: MakeClasses
) -> None:
    here = read_classes(make_classes(tmp_path / "here", {"cats": 8, "dogs": 8}))
    shutil.copytree(tmp_path / "here", tmp_path / "some" / "where")
    there = read_classes(tmp_path / "some" / "where")
    assert held_out(here) == held_out(there)
    assert held_out(here) == held_out(here.select(list(reversed(range(16)))))


def test_the_split_does_not_depend_on_the_labels_numbers_or_other_classes(
    tmp_path: Path, make_classes: MakeClasses
) -> None:
    two = read_classes(make_classes(tmp_path, {"cats": 8, "dogs": 8}))
    three = read_classes(make_classes(tmp_path, {"apes": 8}))
    assert set(held_out(two)) <= set(held_out(three))


@pytest.mark.parametrize(("share", "cats", "dogs"), [(0.1, 1, 2), (0.25, 2, 5), (0.5, 5, 10), (0.9, 9, 18)])
def test_every_class_gives_its_share(
    share: float, cats: int, dogs: int, tmp_path: Path, make_classes: MakeClasses
) -> None:
    splits = hold_out(read_classes(make_classes(tmp_path, {"cats": 10, "dogs": 20})), share, "photos")
    assert (splits.evaluation.labels.count(0), splits.evaluation.labels.count(1)) == (cats, dogs)
    assert splits.train is not None
    assert (splits.train.labels.count(0), splits.train.labels.count(1)) == (10 - cats, 20 - dogs)


def test_both_splits_keep_the_order_and_belonging_of_pictures(pets: Pictures) -> None:
    splits = hold_out(pets, 0.4, "photos")
    assert splits.train is not None
    for part in (splits.train, splits.evaluation):
        assert list(part.names) == sorted(part.names)
        for path, label, name in zip(part.files, part.labels, part.names, strict=True):
            assert path.as_posix().endswith(name)
            assert pets.classes[label] == name.split("/")[0]


def test_every_picture_is_in_one_fold(tmp_path: Path, make_classes: MakeClasses) -> None:
    pictures = read_classes(make_classes(tmp_path, {"cats": 9, "dogs": 14}))
    folds = [hold_out(pictures, 0.25, "photos", fold) for fold in range(4)]
    held_out = [name for fold in folds for name in fold.evaluation.names]
    assert sorted(held_out) == sorted(pictures.names)
    for fold in folds:
        assert fold.train is not None
        assert sorted(fold.train.names + fold.evaluation.names) == sorted(pictures.names)
        assert {fold.evaluation.labels.count(0), fold.evaluation.labels.count(1)} <= {2, 3, 4}


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_a_share_that_leaves_a_split_empty_is_refused(share: float, pets: Pictures) -> None:
    with pytest.raises(DataError) as caught:
        hold_out(pets, share, "photos")
    problem = f"data: holding out {share:.0%} of the 3 pictures of class 'cats' leaves a split empty"
    assert str(caught.value) == f"{problem}; add pictures or change --holdout"


# Files that are listed several times.

OFTEN = ["a", "b", "c", "d", "e", "f", "g", "h", "a", "b", "a"]


def listed(files: Sequence[str], labels: Sequence[int], kind: LabelKind = "single") -> Pictures:
    """Rows of a table, as `rows.files_of` names them."""
    names = tuple(f"{file}.png#{row}" if files.count(file) > 1 else f"{file}.png" for row, file in enumerate(files))
    paths = tuple(Path(f"{file}.png") for file in files)
    return Pictures(files=paths, labels=tuple(labels), classes=("cats", "dogs"), names=names, kind=kind)


def sides(pictures: Pictures, share: float = 0.25, fold: int = 0) -> tuple[set[Path], set[Path]]:
    """Files to train on, and held out."""
    splits = hold_out(pictures, share, "t.csv", fold)
    assert splits.train is not None
    assert len(splits.train) + len(splits.evaluation) == len(pictures)
    return set(splits.train.files), set(splits.evaluation.files)


@pytest.mark.parametrize("kind", ["single", "none"])
@pytest.mark.parametrize("fold", range(4))
def test_all_rows_of_a_file_are_on_one_side(fold: int, kind: LabelKind) -> None:
    train, held_out = sides(listed(OFTEN, [0] * len(OFTEN), kind), fold=fold)
    assert train.isdisjoint(held_out)
    assert len(held_out) == 2, "a quarter of the eight files"


def test_every_file_that_is_listed_often_is_in_one_fold() -> None:
    folds = [sides(listed(OFTEN, [0] * len(OFTEN)), fold=fold)[1] for fold in range(4)]
    assert sorted(file for fold in folds for file in fold) == sorted(Path(f"{file}.png") for file in set(OFTEN))


def test_a_file_that_is_listed_often_is_on_the_side_of_its_own_name() -> None:
    once = sides(listed(OFTEN[:8], [0] * 8))
    assert sides(listed(OFTEN, [0] * len(OFTEN))) == once
    assert sides(listed([*OFTEN[6:], *OFTEN[:6]], [0] * len(OFTEN))) == once, "the order of rows moves nothing"


def test_a_file_of_two_classes_is_on_one_side_of_both() -> None:
    files = [f"{number}" for number in range(12)] * 2
    train, held_out = sides(listed(files, [0] * 12 + [1] * 12), 0.5)
    assert train.isdisjoint(held_out)
    assert len(held_out) == 6


def test_a_class_of_one_file_cannot_be_held_out() -> None:
    pictures = listed(["a", "b", "c", "c", "c"], [0, 0, 1, 1, 1])
    with pytest.raises(DataError, match="holding out 50% of the 3 pictures of class 'dogs' leaves a split empty"):
        hold_out(pictures, 0.5, "t.csv")


def test_a_number_in_the_name_of_a_file_that_is_listed_once_stays_part_of_it() -> None:
    names = [f"{animal}#{number}" for animal in ("cat", "dog") for number in range(4)]
    _, held_out = sides(listed(names, [0] * 8))
    ranked = sorted(names, key=lambda name: hashlib.sha256(f"{name}.png".encode()).digest())
    assert held_out == {Path(f"{name}.png") for name in ranked[:2]}


def test_a_table_that_lists_pictures_twice_holds_none_out_that_it_trains_on(
    tmp_path: Path, make_classes: MakeClasses, opened: Opened
) -> None:
    pytest.importorskip("datasets")
    folder = make_classes(tmp_path, {"cats": 8, "dogs": 8})
    rows = [{"path": f"{name}/{number}.png", "label": name} for name in ("cats", "dogs") for number in range(8)]
    once = opened(write_table(folder / "once.csv", rows), holdout=0.25)
    twice = opened(write_table(folder / "twice.csv", [*rows, *rows]), holdout=0.25)
    assert twice.train is not None
    assert set(twice.train.files).isdisjoint(twice.evaluation.files)
    assert set(twice.evaluation.files) == set(once.evaluation.files)
    assert sorted(once.evaluation.names) == ["cats/1.png", "cats/7.png", "dogs/5.png", "dogs/6.png"]
