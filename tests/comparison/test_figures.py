"""The line of what nothing beats, and which pictures are drawn."""

from dataclasses import replace

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from thumbnet.comparison import figures
from thumbnet.comparison.figures import Panel, front, pareto_pictures
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


def test_accuracy_is_drawn_against_naturalness_where_any_thumbnail_differs_from_a_bicubic_one() -> None:
    bicubic = Row(name="bicubic", kind="alternative", metric=spread([0.5]), ssim=1.0, delta_e=0.0)
    learned = Row(name="learned", kind="ours", metric=spread([0.6]), ssim=0.97, delta_e=5.4)
    names = [
        list(pareto_pictures(Results(metric="top1", paired_on="top1", pictures=3, rows=(bicubic, other))))
        for other in (learned, replace(bicubic, name="again"))
    ]
    assert names == [["pareto_naturalness.png"], []]


def test_a_panel_of_bounds_alone_has_points_and_no_line_of_what_nothing_beats() -> None:
    """Beside an alternative at full size, which makes no thumbnail and so has no place in the panel of naturalness."""
    bicubic = Row(name="bicubic", kind="bound", metric=spread([0.5]), ssim=1.0, delta_e=0.0)
    learned = Row(name="learned", kind="bound", metric=spread([0.6]), ssim=0.97, delta_e=5.4)
    full_size = Row(name="full", kind="alternative", metric=spread([0.7]))
    results = Results(metric="top1", paired_on="top1", pictures=3, rows=(bicubic, learned, full_size))
    assert list(pareto_pictures(results)) == ["pareto_naturalness.png"]

    axes = Figure().subplots()
    figures._draw_points(axes, Panel(label="ΔE", cost=lambda row: row.delta_e, linear=True), results)
    assert axes.get_legend_handles_labels()[1] == ["bounds"]


@pytest.mark.parametrize("costs", [(6_463, 10_509), (2_500, 34_428), (29e6, 384e6)])
def test_a_logarithmic_axis_shows_at_least_two_costs(costs: tuple[float, float]) -> None:
    axes = Figure().subplots()
    axes.plot(costs, (0.9, 1.0))
    figures._scale(axes, Panel(label="bytes a picture", cost=lambda row: row.picture_bytes))
    low, high = axes.get_xlim()
    assert len([tick for tick in axes.get_xticks() if low <= tick <= high]) >= 2


def test_no_name_stands_on_another_where_many_rows_cost_the_same() -> None:
    rows = [
        Row(name=f"recipe_number_{one}", kind="ours", metric=spread([0.8 + one / 1000]), student_macs=20 + one % 2)
        for one in range(14)
    ]
    axes = Figure(figsize=(7.5, 5.5)).subplots()
    panel = Panel(label="MACs", cost=lambda row: row.student_macs)
    results = Results(metric="top1", paired_on="top1", pictures=3, rows=tuple(rows))
    figures._draw_points(axes, panel, results)
    figures._label(axes, figures._placed(panel, results))

    names = [text for text in axes.texts if text.get_text()]
    boxes = [Text.get_window_extent(name) for name in names]
    assert sorted(name.get_text() for name in names) == sorted(row.name for row in rows)
    for one, box in enumerate(boxes):
        assert axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1
        assert not box.count_overlaps(boxes[:one] + boxes[one + 1 :])


@pytest.mark.parametrize(("kind", "said"), [("ours", {"ours", "alternatives"}), ("alternative", {"students"})])
def test_rows_are_alternatives_only_where_a_row_is_ours(kind: str, said: set[str]) -> None:
    first = Row(name="a", kind="alternative", metric=spread([0.5]), student_macs=10)
    rows = (first, replace(first, name="b", kind=kind))
    axes = Figure().subplots()
    panel = Panel(label="MACs", cost=lambda row: row.student_macs)
    figures._draw_points(axes, panel, Results(metric="top1", paired_on="top1", pictures=3, rows=rows))
    assert set(axes.get_legend_handles_labels()[1]) - {"nothing cheaper is better"} == said
