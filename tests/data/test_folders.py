"""A folder of pictures becomes labelled pictures and splits, or one line that says what is wrong with it."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from thumbnet.data.folders import open_folder, open_unlabelled_folder, read_classes
from thumbnet.data.labelled import Pictures, hold_out
from thumbnet.errors import DataError

MakeClasses = Callable[..., Path]
SavePictures = Callable[..., Path]


def problem_with(folder: Path, holdout: float | None = None) -> str:
    with pytest.raises(DataError) as caught:
        open_folder(folder, holdout)
    problem = str(caught.value)
    assert problem.startswith("data: ")
    assert problem.isprintable(), "a problem is one line of text"
    return problem


# What is found.


def test_pictures_are_labelled_by_their_folder_in_the_order_of_class_names(pets: Pictures) -> None:
    assert pets.classes == ("cats", "dogs")
    assert pets.names == ("cats/0.png", "cats/1.png", "cats/2.png", "dogs/0.png", "dogs/1.png", "dogs/2.png")
    assert pets.labels == (0, 0, 0, 1, 1, 1)
    assert len(pets) == 6
    for path, name in zip(pets.files, pets.names, strict=True):
        assert path.is_file()
        assert path.as_posix().endswith(name)


def test_pictures_can_be_selected_by_position(pets: Pictures) -> None:
    selected = pets.select([4, 1])
    assert selected.names == ("dogs/1.png", "cats/1.png")
    assert selected.labels == (1, 0)
    assert selected.files == (pets.files[4], pets.files[1])
    assert selected.classes == pets.classes


@pytest.mark.parametrize("name", ["val", "validation", "test"])
def test_train_is_opened_with_the_evaluation_split_beside_it(
    name: str, tmp_path: Path, make_classes: MakeClasses
) -> None:
    make_classes(tmp_path / "photos/train", {"cats": 3, "dogs": 2})
    make_classes(tmp_path / f"photos/{name}", {"cats": 1, "dogs": 1})
    splits = open_folder(tmp_path / "photos")
    assert splits.train is not None
    assert splits.train.labels == (0, 0, 0, 1, 1)
    assert splits.evaluation.labels == (0, 1)
    assert splits.description == f"{name}/ of photos"
    assert all(path.is_relative_to(tmp_path / "photos" / name) for path in splits.evaluation.files)


def test_val_is_preferred_over_test(tmp_path: Path, make_classes: MakeClasses) -> None:
    for name in ("train", "val", "test"):
        make_classes(tmp_path / name, {"cats": 1, "dogs": 1})
    assert open_folder(tmp_path).description.startswith("val/")


def test_an_evaluation_split_alone_has_nothing_to_train_on(tmp_path: Path, make_classes: MakeClasses) -> None:
    make_classes(tmp_path / "val", {"cats": 1, "dogs": 1})
    splits = open_folder(tmp_path)
    assert splits.train is None
    assert len(splits.evaluation) == 2


def test_one_folder_of_classes_is_all_evaluation_without_holdout(tmp_path: Path, make_classes: MakeClasses) -> None:
    splits = open_folder(make_classes(tmp_path / "photos", {"cats": 2, "dogs": 3}))
    assert splits.train is None
    assert len(splits.evaluation) == 5
    assert splits.description == "all of photos"


def test_one_folder_of_classes_is_split_by_holdout(tmp_path: Path, make_classes: MakeClasses) -> None:
    splits = open_folder(make_classes(tmp_path / "photos", {"cats": 4, "dogs": 8}), holdout=0.25)
    assert splits.train is not None
    assert set(splits.train.names).isdisjoint(splits.evaluation.names)
    assert len(splits.train) + len(splits.evaluation) == 12
    assert splits.description == "25% held out of photos"


def test_holdout_splits_train_where_nothing_is_beside_it(tmp_path: Path, make_classes: MakeClasses) -> None:
    make_classes(tmp_path / "photos/train", {"cats": 4, "dogs": 4})
    splits = open_folder(tmp_path / "photos", holdout=0.5)
    assert splits.train is not None
    assert (len(splits.train), len(splits.evaluation)) == (4, 4)
    assert splits.description == "50% held out of photos/train"


def test_every_known_format_counts_whatever_the_case_of_its_suffix(tmp_path: Path, save_pictures: SavePictures) -> None:
    names = [f"cats/a.{suffix}" for suffix in ("jpg", "JPEG", "Png", "webp", "bmp", "gif", "tif", "TIFF", "ppm")]
    pictures = read_classes(save_pictures(tmp_path, *names, "dogs/a.PNG"))
    assert set(pictures.names) == {*names, "dogs/a.PNG"}


def test_files_that_are_no_pictures_are_ignored(pets: Pictures) -> None:
    folder = pets.files[0].parent
    for name in ("notes.txt", "Thumbs.db", "labels.csv", "jpg", "README"):
        (folder / name).write_text("not a picture")
    (folder.parent / "classes.txt").write_text("cats\ndogs\n")
    assert read_classes(folder.parent) == pets


def test_hidden_files_and_folders_are_ignored(pets: Pictures) -> None:
    folder = pets.files[0].parent
    for name in (".DS_Store", "._0.png", ".0.png.swp", ".thumbnails/0.png", "../.ipynb_checkpoints/0.png"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(pets.files[0].read_bytes())
    assert read_classes(folder.parent) == pets


def test_a_data_set_below_a_hidden_folder_is_not_hidden(tmp_path: Path, make_classes: MakeClasses) -> None:
    assert len(read_classes(make_classes(tmp_path / ".cache/photos", {"cats": 1, "dogs": 1}))) == 2


def test_nested_folders_belong_to_their_class(tmp_path: Path, save_pictures: SavePictures) -> None:
    pictures = read_classes(save_pictures(tmp_path, "cats/2024/may/a.png", "cats/b.png", "dogs/2023/c.png"))
    assert dict(zip(pictures.names, pictures.labels, strict=True)) == {
        "cats/2024/may/a.png": 0,
        "cats/b.png": 0,
        "dogs/2023/c.png": 1,
    }


def test_class_folders_may_be_links(tmp_path: Path, make_classes: MakeClasses) -> None:
    make_classes(tmp_path / "elsewhere", {"cats": 2})
    folder = make_classes(tmp_path / "photos", {"dogs": 1})
    (folder / "cats").symlink_to(tmp_path / "elsewhere/cats")
    pictures = read_classes(folder)
    assert pictures.names == ("cats/0.png", "cats/1.png", "dogs/0.png")
    assert all(path.is_file() for path in pictures.files)


def test_a_file_name_that_is_no_text_becomes_one(tmp_path: Path, make_classes: MakeClasses) -> None:
    folder = make_classes(tmp_path, {"cats": 3, "dogs": 3})
    try:
        (folder / "cats/0.png").rename(os.fsdecode(os.fsencode(folder / "cats") + b"/caf\xe9.png"))
    except OSError:  # a file system that refuses such names needs no cure
        return
    pictures = read_classes(folder)
    name = next(name for name in pictures.names if "caf" in name)
    assert name == "cats/caf\ufffd.png"
    assert pictures.files[pictures.names.index(name)].is_file()
    assert hold_out(pictures, 0.5, "photos").train is not None


# What is refused.


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    assert problem_with(tmp_path / "gone") == f"data: no folder at {tmp_path / 'gone'}; " + (
        "give a folder of pictures, or `elpv`"
    )


def test_a_file_instead_of_a_folder_is_refused(pets: Pictures) -> None:
    assert problem_with(pets.files[0]).startswith(f"data: no folder at {pets.files[0]}; give a folder")


def test_a_folder_that_may_not_be_read_is_refused(pets: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pets.files[0].parents[1]

    def refuse(place: object) -> None:
        raise PermissionError(13, "Permission denied", str(place))

    monkeypatch.setattr(os, "scandir", refuse)
    assert problem_with(folder) == (
        f"data: cannot read {folder} (Permission denied); check the path and its permissions"
    )


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    assert problem_with(tmp_path) == f"data: no class folders in {tmp_path}; pictures belong in {tmp_path}/<class>/*"


def test_pictures_outside_class_folders_are_refused(tmp_path: Path, save_pictures: SavePictures) -> None:
    assert "no class folders in" in problem_with(save_pictures(tmp_path, "a.png", "b.png"))


def test_class_folders_without_any_picture_are_refused(tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    (tmp_path / "dogs").mkdir()
    assert problem_with(tmp_path) == f"data: no pictures in {tmp_path}; pictures belong in {tmp_path}/<class>/*"


def test_a_class_without_pictures_is_named(tmp_path: Path, make_classes: MakeClasses) -> None:
    make_classes(tmp_path, {"cats": 1, "dogs": 1})
    (tmp_path / "cows").mkdir()
    (tmp_path / "cows" / "cow.txt").touch()
    problem = problem_with(tmp_path)
    assert problem == f"data: no pictures of class 'cows' in {tmp_path / 'cows'}; add some or remove the folder"


def test_one_class_is_refused(tmp_path: Path, make_classes: MakeClasses) -> None:
    problem = problem_with(make_classes(tmp_path, {"cats": 3}))
    assert problem == f"data: only one class, 'cats', in {tmp_path}; a classifier needs two or more class folders"


@pytest.mark.parametrize(("only_in", "other"), [("train", "val"), ("val", "train")])
def test_a_class_in_one_split_only_is_named_with_its_split(
    only_in: str, other: str, tmp_path: Path, make_classes: MakeClasses
) -> None:
    make_classes(tmp_path / only_in, {"cats": 1, "cows": 1, "dogs": 1})
    make_classes(tmp_path / other, {"cats": 1, "dogs": 1})
    problem = f"data: class 'cows' is only in {only_in}/ of {tmp_path} (1 classes differ)"
    assert problem_with(tmp_path) == f"{problem}; both splits need the same class folders"


def test_train_without_evaluation_split_or_holdout_is_refused(tmp_path: Path, make_classes: MakeClasses) -> None:
    make_classes(tmp_path / "train", {"cats": 2, "dogs": 2})
    problem = f"data: {tmp_path} has train/ but none of val, validation, test"
    assert problem_with(tmp_path) == f"{problem}; add one, or give --holdout 0.2"


def test_holdout_beside_an_evaluation_split_is_refused(tmp_path: Path, make_classes: MakeClasses) -> None:
    for name in ("train", "val"):
        make_classes(tmp_path / name, {"cats": 2, "dogs": 2})
    assert problem_with(tmp_path, 0.5) == f"data: {tmp_path} has its own val/; leave --holdout out"


def test_pictures_cannot_be_changed_in_place(pets: Pictures) -> None:
    assert replace(pets, classes=("a", "b")).classes == ("a", "b")
    with pytest.raises(AttributeError):
        pets.classes = ("a", "b")  # type: ignore[misc]


# Pictures without labels.


def test_unlabelled_pictures_are_all_that_are_anywhere_in_the_folder(
    tmp_path: Path, save_pictures: Callable[..., Path]
) -> None:
    save_pictures(tmp_path, "b.png", "deep/er/a.png", ".hidden/c.png", "._d.png")
    (tmp_path / "notes.txt").touch()
    splits = open_unlabelled_folder(tmp_path)
    assert splits.train is None
    assert splits.evaluation.names == ("b.png", "deep/er/a.png")
    assert (splits.evaluation.kind, splits.evaluation.labels, splits.evaluation.classes) == ("none", (-1, -1), ())


def test_unlabelled_pictures_are_held_out_as_one_group(tmp_path: Path, save_pictures: Callable[..., Path]) -> None:
    save_pictures(tmp_path, *(f"{i}.png" for i in range(8)))
    splits = open_unlabelled_folder(tmp_path, 0.25)
    assert splits.train is not None
    assert (len(splits.train), len(splits.evaluation)) == (6, 2)
    assert splits.evaluation.names == open_unlabelled_folder(tmp_path, 0.25).evaluation.names


def test_unlabelled_splits_are_kept(tmp_path: Path, save_pictures: Callable[..., Path]) -> None:
    save_pictures(tmp_path, "train/a.png", "train/cats/b.png", "val/c.png")
    splits = open_unlabelled_folder(tmp_path)
    assert splits.train is not None
    assert splits.train.names == ("a.png", "cats/b.png")
    assert splits.evaluation.names == ("c.png",)


@pytest.mark.parametrize(("name", "problem"), [("nowhere", "no folder at"), ("empty", "no pictures in")])
def test_an_unlabelled_folder_without_pictures_is_refused(tmp_path: Path, name: str, problem: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=f"^data: {problem} {tmp_path / name}"):
        open_unlabelled_folder(tmp_path / name)
