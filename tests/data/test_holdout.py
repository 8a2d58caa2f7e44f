"""What is held out of a folder for evaluation: the same pictures on every machine."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from thumbnet.data.folders import read_classes
from thumbnet.data.labelled import Pictures, hold_out
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
