from collections.abc import Callable
from pathlib import Path

import pytest

from thumbnet.data.sources import open_data, training_split
from thumbnet.errors import DataError


def test_a_folder_is_opened_by_its_path(tmp_path: Path, make_classes: Callable[..., Path]) -> None:
    folder = make_classes(tmp_path / "photos", {"cats": 4, "dogs": 4})
    splits = open_data(str(folder), 0.5)
    assert training_split(splits, str(folder)) is splits
    assert len(splits.evaluation) == 4


def test_elpv_is_opened_by_its_name() -> None:
    assert len(open_data("elpv").evaluation) == 656


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
