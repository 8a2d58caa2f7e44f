"""Which columns are used, and what a label's value means."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thumbnet.config import ColumnSettings
from thumbnet.data.columns import LabelCode, find_columns, read_class_map, read_code
from thumbnet.errors import DataError

Names = tuple[str, ...] | None


def code_of(values: list[Any], named: Names = None, class_map: Names = None, multilabel: bool = False) -> LabelCode:
    return read_code(values, named, class_map, multilabel, "t.csv")


def labels_of(values: list[Any], **options: Any) -> Any:
    labels = code_of(values, **options).encode(values, [str(i) for i in range(len(values))], "t.csv")
    return labels if isinstance(labels, tuple) else labels.tolist()


# Which columns.


def test_columns_with_usual_names_are_found() -> None:
    found = find_columns(["id", "filename", "target", "split"], ColumnSettings(), False, "t.csv")
    assert (found.picture, found.label, found.split) == ("filename", "target", "split")


def test_chosen_columns_take_precedence() -> None:
    chosen = ColumnSettings(picture="photo", label="kind", split="part")
    found = find_columns(["image", "label", "split", "photo", "kind", "part"], chosen, False, "t.csv")
    assert (found.picture, found.label, found.split) == ("photo", "kind", "part")


def test_a_dot_leads_into_a_column_of_records_unless_the_column_has_it_in_its_name() -> None:
    for names in (["jpg", "json"], ["jpg", "json.label"]):
        found = find_columns(names, ColumnSettings(label="json.label"), False, "shards")
        assert found.label == "json.label"


def test_without_labels_none_is_looked_for() -> None:
    assert find_columns(["path"], ColumnSettings(), True, "t.csv").label is None


@pytest.mark.parametrize(
    ("names", "chosen", "problem"),
    [
        (
            ["a", "b"],
            ColumnSettings(),
            "no picture column found in t.csv, which has a, b; name it with --columns.picture",
        ),
        (
            ["path", "b"],
            ColumnSettings(),
            "no label column found in t.csv, which has path, b; "
            "name it with --columns.label, or --unlabelled if there is none",
        ),
        (
            ["path", "label"],
            ColumnSettings(label="kind"),
            "t.csv has no column 'kind', but path, label; give one of these as --columns.label",
        ),
    ],
)
def test_a_missing_column_is_named_with_those_that_are_there(
    names: list[str], chosen: ColumnSettings, problem: str
) -> None:
    with pytest.raises(DataError) as caught:
        find_columns(names, chosen, False, "t.csv")
    assert str(caught.value) == f"data: {problem}"


# One label.


def test_names_are_sorted_and_numbers_are_sorted_as_numbers() -> None:
    assert code_of(["dog", "cat", "dog"]).classes == ("cat", "dog")
    assert code_of([10, 9, 10]).classes == ("9", "10")
    assert labels_of([10, 9, 10]) == (1, 0, 1)


def test_numbers_count_in_the_names_that_the_data_or_the_user_gives() -> None:
    assert labels_of([1, 0, 1], named=("cat", "dog")) == (1, 0, 1)
    assert labels_of([1, 2], class_map=("cat", "dog", "emu")) == (1, 2)


def test_numbers_that_are_names_in_the_class_map_are_names() -> None:
    assert labels_of([3, 7], class_map=("7", "5", "3")) == (2, 0)


def test_names_have_their_place_in_the_class_map_even_where_one_class_occurs() -> None:
    assert labels_of(["emu", "emu"], class_map=("cat", "dog", "emu")) == (2, 2)


def test_whole_numbers_with_a_decimal_point_are_whole() -> None:
    assert code_of([1.0, 2.0]).classes == ("1", "2")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "no label"),
        (float("nan"), "no label"),
        ("emu", "the label 'emu', which is none of the classes"),
        (2, "the label 2, which is none of the classes"),
        (-1, "the label -1, which is none of the classes"),
        (0.5, "the label 0.5, which is none of the classes"),
    ],
)
def test_a_label_that_means_nothing_is_named_with_its_picture(value: object, problem: str) -> None:
    code = code_of([0, 1], named=("cat", "dog"))
    with pytest.raises(DataError) as caught:
        code.encode([0, value], ["a.png", "b.png"], "t.csv")
    assert str(caught.value) == f"data: picture b.png of t.csv has {problem}; mend or remove it"


def test_a_table_without_any_label_is_refused() -> None:
    for multilabel in (False, True):
        with pytest.raises(DataError, match=r"^data: no picture of t.csv has a label; check --columns.label"):
            code_of([None, float("nan")], multilabel=multilabel)


def test_records_are_refused_with_the_name_of_a_part() -> None:
    with pytest.raises(DataError, match=r"are records; name a part of them, as --columns.label LABEL.kind$"):
        code_of([{"kind": 1}])


# Several labels.


@pytest.mark.parametrize(
    "values",
    [
        [["a", "b"], [], ["b"]],
        ["a|b", "", "b"],
        ["a|b", None, "b"],
        ["a; b", "", "b"],
        ['["a", "b"]', "[]", '["b"]'],
        [np.array(["a", "b"]), np.array([]), np.array(["b"])],
    ],
)
def test_several_labels_are_lists_in_any_spelling(values: list[Any]) -> None:
    assert code_of(values, multilabel=True).classes == ("a", "b")
    assert labels_of(values, multilabel=True) == [[1, 1], [0, 0], [0, 1]]


def test_lists_of_numbers_count_in_the_names() -> None:
    assert labels_of([[0, 2], [1]], named=("a", "b", "c"), multilabel=True) == [[1, 0, 1], [0, 1, 0]]
    assert labels_of(["[0, 2]", "[1]"], class_map=("a", "b", "c"), multilabel=True) == [[1, 0, 1], [0, 1, 0]]


def test_rows_of_0_and_1_are_taken_as_they_are() -> None:
    values = [[0, 1, 1], [0, 0, 0], [1, 0, 0]]
    assert labels_of(values, class_map=("a", "b", "c"), multilabel=True) == values


def test_rows_of_0_and_1_need_names() -> None:
    with pytest.raises(DataError, match=r"are rows of 0 and 1; give --class-map with the names of their classes$"):
        code_of([[0, 1, 1], [0, 0, 0]], multilabel=True)


def test_a_row_of_another_length_is_named() -> None:
    code = code_of([[0, 1, 1]], class_map=("a", "b", "c"), multilabel=True)
    with pytest.raises(DataError, match=r"^data: picture x of t.csv has 2 values, not a share"):
        code.encode([[1, 1]], ["x"], "t.csv")


def test_several_labels_need_the_flag() -> None:
    with pytest.raises(DataError, match=r"^data: a picture of t.csv has several labels; give --multilabel$"):
        code_of([["a", "b"]])
    with pytest.raises(DataError, match="give --multilabel"):
        code_of([[0, 2]], named=("a", "b", "c"))


def test_one_foreign_label_among_several_is_named() -> None:
    code = code_of(["a|b"], multilabel=True)
    with pytest.raises(DataError, match=r"picture x of t.csv has the label 'c', which is none"):
        code.encode(["a|c"], ["x"], "t.csv")


# Shares.


@pytest.mark.parametrize("values", [[[0.25, 0.75], [2, 0]], ["[0.25, 0.75]", "[2, 0]"]])
def test_shares_of_all_classes_get_the_sum_1(values: list[Any]) -> None:
    assert code_of(values, class_map=("a", "b")).kind == "soft"
    assert labels_of(values, class_map=("a", "b")) == [[0.25, 0.75], [1, 0]]


def test_shares_need_names() -> None:
    with pytest.raises(DataError, match="are lists of 2 numbers; give --class-map with their names, or --multilabel"):
        code_of([[0.25, 0.75]])


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([1.0], "1 values, not a share of 0 or more for each of the 2 classes"),
        ([-0.5, 1.5], "2 values, not a share of 0 or more"),
        ([float("nan"), 1.0], "2 values, not a share of 0 or more"),
        ([0.0, 0.0], "shares that are all 0"),
        (None, "no label"),
    ],
)
def test_shares_that_mean_nothing_are_named(value: object, problem: str) -> None:
    code = code_of([[0.5, 0.5]], class_map=("a", "b"))
    with pytest.raises(DataError, match=f"picture x of t.csv has {problem}"):
        code.encode([value], ["x"], "t.csv")


# The class map.


def test_a_class_map_is_one_name_a_line(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("cat\n\n hot dog \n")
    assert read_class_map(str(tmp_path / "classes.txt")) == ("cat", "hot dog")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"cat\ndog\ncat\n", "'cat' is in {} twice; give every class once"),
        (b"cat\n", "{} names fewer than two classes"),
        (b"\xff\xfe\x00", r"cannot read {} \(it is no text\); give a text file"),
        (None, r"cannot read {} \(No such file or directory\)"),
    ],
)
def test_a_class_map_that_is_none_is_refused(tmp_path: Path, content: bytes | None, problem: str) -> None:
    file = tmp_path / "classes.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match="^class_map: " + problem.format(file)):
        read_class_map(str(file))


# Labels that mean nothing.


def test_lists_within_lists_are_no_labels() -> None:
    with pytest.raises(DataError, match="one flat list of classes"):
        code_of([[["a"], ["b"]], [["a"]]], multilabel=True)


def test_records_written_as_text_are_no_names_of_classes() -> None:
    with pytest.raises(DataError, match="records written as text"):
        code_of(['{"a": 0.3, "b": 0.7}', '{"a": 1}'])
    assert code_of(["{left}", "{right}"]).classes == ("{left}", "{right}")


def test_an_infinite_label_is_none_of_the_classes() -> None:
    with pytest.raises(DataError, match="label inf"):
        labels_of([0.0, float("inf")], named=("a", "b"))
    with pytest.raises(DataError, match="label inf"):
        labels_of([0.0, float("inf")], class_map=("a", "b"))


def test_a_list_with_a_number_that_is_none_means_nothing() -> None:
    with pytest.raises(DataError, match="label nan"):
        labels_of([[0.0], [float("nan")]], class_map=("a", "b"), multilabel=True)


def test_pairs_of_0_and_1_are_rows_of_two_classes_and_no_class_numbers() -> None:
    code = read_code([[0, 1], [1, 0]], None, ("cat", "dog"), True, "t")
    labels = code.encode([[0, 1], [1, 0]], ["a", "b"], "t")
    assert np.asarray(labels).tolist() == [[0.0, 1.0], [1.0, 0.0]]
