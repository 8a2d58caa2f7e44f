from collections.abc import Callable
from pathlib import Path

import pytest

from thumbnet.data.datasets import Wanted
from thumbnet.data.sources import open_data, training_split
from thumbnet.errors import DataError


def test_a_folder_is_opened_by_its_path(tmp_path: Path, make_classes: Callable[..., Path]) -> None:
    folder = make_classes(tmp_path / "photos", {"cats": 4, "dogs": 4})
    splits = open_data(str(folder), 0.5)
    assert training_split(splits, str(folder)) is splits
    assert len(splits.evaluation) == 4


def test_elpv_is_opened_by_its_name() -> None:
    assert len(open_data("elpv").evaluation) == 656


def test_each_cell_of_elpv_is_held_out_in_one_fold() -> None:
    folds = [open_data(f"elpv-fold{fold}") for fold in range(4)]
    held_out = [name for fold in folds for name in fold.evaluation.names]
    assert len(held_out) == len(set(held_out)) == 2624
    assert folds[0] == open_data("elpv")
    assert folds[2].description == "25% held out of elpv (fold 2)"


def test_a_folder_named_elpv_is_opened_by_its_path(
    tmp_path: Path, make_classes: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_classes(tmp_path / "elpv", {"cats": 1, "dogs": 1})
    monkeypatch.chdir(tmp_path)
    assert open_data("./elpv").evaluation.classes == ("cats", "dogs")


def test_elpv_takes_no_holdout() -> None:
    with pytest.raises(
        DataError, match=r"^data: elpv has its own fixed split; leave --holdout and --evaluation-data out$"
    ):
        open_data("elpv", 0.5)


def test_training_needs_pictures_to_train_on(tmp_path: Path, make_classes: Callable[..., Path]) -> None:
    splits = open_data(str(make_classes(tmp_path, {"cats": 1, "dogs": 1})))
    with pytest.raises(DataError) as caught:
        training_split(splits, "photos")
    assert str(caught.value).startswith("data: photos has pictures to evaluate on only; add a train split")
    assert "--holdout 0.2" in str(caught.value)


def test_elpv_without_labels_is_its_pictures() -> None:
    splits = open_data("elpv", wanted=Wanted(unlabelled=True))
    assert splits.train is not None
    assert splits.train.kind == splits.evaluation.kind == "none"
    assert set(splits.train.labels) == {-1}


@pytest.mark.parametrize("wanted", [Wanted(multilabel=True), Wanted(class_map=("a", "b"))])
def test_elpv_has_one_label_a_picture_and_names_of_its_own(wanted: Wanted) -> None:
    with pytest.raises(DataError, match=r"leave --multilabel, --class-map and --streaming out$"):
        open_data("elpv", wanted=wanted)


def test_a_folder_is_evaluated_beside_another_whose_classes_have_other_places(
    tmp_path: Path, make_classes: Callable[..., Path]
) -> None:
    photos = make_classes(tmp_path / "photos", {"ants": 1, "cats": 1, "dogs": 1})
    others = make_classes(tmp_path / "others", {"cats": 1, "dogs": 1})
    splits = open_data(str(photos), None, str(others))
    assert splits.train is not None
    assert (splits.train.labels, splits.evaluation.labels) == ((0, 1, 2), (1, 2))
    with pytest.raises(DataError, match=rf"class 'ants' is not among the classes of {others}"):
        open_data(str(others), None, str(photos))


def test_a_class_map_gives_folders_their_order(tmp_path: Path, make_classes: Callable[..., Path]) -> None:
    photos = make_classes(tmp_path / "photos", {"cats": 1, "dogs": 1})
    evaluation = open_data(str(photos), wanted=Wanted(class_map=("dogs", "ants", "cats"))).evaluation
    assert (evaluation.labels, evaluation.classes) == ((2, 0), ("dogs", "ants", "cats"))
