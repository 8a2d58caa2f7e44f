"""Labels that count in other classes, and splits of pictures whose labels are no single class."""

from pathlib import Path

import numpy as np
import pytest

from thumbnet.data.labelled import LabelKind, Labels, Pictures, hold_out
from thumbnet.errors import DataError


def pictures_of(labels: Labels, kind: LabelKind = "single", classes: tuple[str, ...] = ("a", "b")) -> Pictures:
    names = tuple(f"{i}.png" for i in range(len(labels)))
    return Pictures(files=tuple(map(Path, names)), labels=labels, classes=classes, names=names, kind=kind)


ROWS = np.array([[1, 0], [0, 1], [1, 1], [0, 0]], dtype=np.float32)


def test_labels_move_to_the_places_of_the_same_names() -> None:
    moved = pictures_of((0, 1, 0)).in_classes(("c", "b", "a"), "the teacher's")
    assert (moved.labels, moved.classes) == ((2, 1, 2), ("c", "b", "a"))


def test_rows_get_a_0_for_every_class_that_is_new() -> None:
    moved = pictures_of(ROWS, "multi").in_classes(("b", "c", "a"), "the teacher's")
    assert np.array_equal(moved.labels, [[0, 0, 1], [1, 0, 0], [1, 0, 1], [0, 0, 0]])


def test_no_label_stays_none() -> None:
    moved = pictures_of((-1, -1), "none", classes=()).in_classes(("a", "b"), "the teacher's")
    assert (moved.labels, moved.classes) == ((-1, -1), ("a", "b"))


def test_the_same_classes_change_nothing() -> None:
    pictures = pictures_of((0, 1))
    assert pictures.in_classes(("a", "b"), "the teacher's") is pictures


def test_a_foreign_class_is_named_with_those_that_are_known() -> None:
    with pytest.raises(DataError) as caught:
        pictures_of((0, 1)).in_classes(("a", "c", "d", "e", "f"), "the teacher's classes")
    assert str(caught.value) == (
        "data: class 'b' is not among the teacher's classes (a, c, d, e, …); "
        "rename it, or give --class-map with the classes in the order of the outputs"
    )


@pytest.mark.parametrize(("labels", "kind"), [(ROWS, "multi"), (ROWS, "soft"), ((-1,) * 4, "none")])
def test_pictures_without_a_single_class_are_held_out_together(labels: Labels, kind: LabelKind) -> None:
    splits = hold_out(pictures_of(labels, kind), 0.5, "photos")
    assert splits.train is not None
    assert len(splits.train) == len(splits.evaluation) == 2
    assert set(splits.train.names).isdisjoint(splits.evaluation.names)
    with pytest.raises(DataError, match=r"^data: holding out 10% of the 4 pictures leaves a split empty"):
        hold_out(pictures_of(labels, kind), 0.1, "photos")


def test_labels_stay_beside_their_pictures_in_a_selection() -> None:
    chosen = pictures_of(ROWS, "multi").select([2, 0])
    assert chosen.names == ("2.png", "0.png")
    assert np.array_equal(chosen.labels, ROWS[[2, 0]])


def test_the_fingerprint_of_names_is_of_the_names_alone_in_any_order() -> None:
    pictures = pictures_of((0, 1, 0))
    assert pictures.select([2, 0, 1]).fingerprint_of_names == pictures.fingerprint_of_names
    assert pictures_of((1, 1, 1)).fingerprint_of_names == pictures.fingerprint_of_names
    assert pictures.select([0, 1]).fingerprint_of_names != pictures.fingerprint_of_names


def test_seen_classes_are_those_of_any_picture() -> None:
    assert pictures_of(ROWS[[0, 3]], "multi").seen_classes() == {0}
    assert pictures_of((1, 1)).seen_classes() == {1}
    assert pictures_of((-1,), "none", classes=()).seen_classes() == set()
