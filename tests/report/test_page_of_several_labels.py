"""The page of a run whose pictures have several labels: average precisions, which are no accuracies."""

from pathlib import Path
from typing import Any

import pytest

from report_run import EVALUATION, Page, make_run


def several_labels(classes: int, *names: str) -> dict[str, Any]:
    """An evaluation of these networks with the metric of several labels; class 0 is the lowest of every network."""
    precisions = {f"class {number}": 0.5 + 0.004 * number for number in range(classes)}
    measured = {"map": 0.6, "f1": 0.5, "per_class": precisions, "macs": 10, "parameters": 10}
    return {**dict.fromkeys(names, measured), "metric": "map", "data": EVALUATION["data"]}


def test_it_has_no_row_of_top5_and_no_standard_error(tmp_path: Path) -> None:
    page = Page.of(make_run(tmp_path, several_labels(8, "teacher", "student")))
    assert page.row("mean average precision") == ["60.0%", "60.0%"]
    assert not any(row[0] == "top-5" for row in page.rows)
    assert "Accuracy and cost, on 400 pictures." in page.text
    assert "±" not in page.text


@pytest.mark.parametrize(
    ("classes", "networks", "caption"),
    [
        (8, ("teacher", "student"), "Average precision by class, those that lose most first; difference in"),
        (8, ("student",), "Average precision by class, the lowest first."),
        (60, ("teacher", "student"), "Average precision of the 10 of 60 classes that lose most; difference in"),
        (60, ("student",), "Average precision of the 10 of 60 classes where it is lowest."),
    ],
)
def test_its_classes_have_average_precisions(
    tmp_path: Path, classes: int, networks: tuple[str, ...], caption: str
) -> None:
    page = Page.of(make_run(tmp_path, several_labels(classes, *networks)))
    assert caption in page.text
    assert "Accuracy by class" not in page.text
    assert page.row("class 0")[0] == "50.0%"


def test_a_page_of_one_label_speaks_of_accuracies(tmp_path: Path) -> None:
    assert "Accuracy by class, those that lose most first" in Page.of(make_run(tmp_path, EVALUATION)).text
