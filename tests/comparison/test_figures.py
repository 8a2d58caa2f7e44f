"""The line of what nothing beats, and which pictures are drawn."""

from thumbnet.comparison.figures import front, pareto_pictures
from thumbnet.comparison.results import Results, Row
from thumbnet.comparison.statistics import spread


def test_the_front_holds_what_nothing_cheaper_or_equal_beats() -> None:
    points = [(1.0, 0.5), (2.0, 0.4), (3.0, 0.7), (3.0, 0.6), (4.0, 0.7)]
    assert front(points) == [(1.0, 0.5), (3.0, 0.7)]


def test_a_picture_is_drawn_where_two_rows_have_its_cost() -> None:
    rows = (
        Row(name="a", kind="ours", metric=spread([0.5, 0.6]), student_macs=10, picture_bytes=5.0),
        Row(name="b", kind="alternative", metric=spread([0.5]), student_macs=20),
        Row(name="failed", kind="bound", failures=("no",)),
    )
    found = pareto_pictures(Results(metric="top1", paired_on="top1", pictures=3, rows=rows))
    assert list(found) == ["pareto_macs.png"]
