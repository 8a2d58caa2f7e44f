"""Accuracy against what it costs, as PNG: one point a row, and the line of those that nothing beats."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import Bbox, BboxBase

from thumbnet.comparison.recipes import UNTRAINED
from thumbnet.comparison.results import Results, Row
from thumbnet.report.wording import METRICS, quantity

Cost = Callable[[Row], float | None]

_MARKS = {"ours": ("o", "#c2410c"), "alternative": ("s", "#1d4ed8"), "bound": ("^", "#6b7280")}
_MARKS["reference"] = ("D", "#111827")
_LEGEND = {
    "ours": "ours",
    "alternative": "alternatives",
    "bound": "bounds",
    "reference": "teacher",
}
# Ticks of a logarithmic axis in each decade: costs that lie close together need all digits, or few would show.
_FEW_TICKS, _ALL_TICKS, _CLOSE_TOGETHER = (1.0, 2.0, 5.0), tuple(range(1, 10)), 5
# Where a name may stand, in typographic points across and up from its point: beside it and a little higher or lower,
# so that no line through the point crosses it; else further up or down, and a thin line leads to it. First free wins.
_BESIDE, _HALF_LINE, _LINE = 8, 7, 11
_RISES = [_HALF_LINE + _LINE * lines for lines in range(12)]
_PLACES = [(across, up * sign) for up in _RISES for across in (_BESIDE, -_BESIDE) for sign in (1, -1)]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One drawing: what its axis says, what a row costs there, and whether its axis is linear, for costs of 0."""

    label: str
    cost: Cost
    linear: bool = False


def drawable(results: Results) -> dict[str, tuple[Panel, ...]]:
    """The pictures' panels by file name; without those whose cost is not known of two rows at least, or 0 for all."""
    panels: dict[str, tuple[Panel, ...]] = {
        "pareto_macs.png": (
            Panel(label="MACs a picture, student and downscaler", cost=lambda row: row.total_macs),
            Panel(label="MACs a picture, student alone", cost=lambda row: row.student_macs),
        ),
        "pareto_latency.png": (Panel(label="latency of one picture, ms", cost=lambda row: row.latency_ms),),
        "pareto_bytes.png": (Panel(label="bytes a picture", cost=lambda row: row.picture_bytes),),
        "pareto_naturalness.png": (
            Panel(label="colour difference ΔE to bicubic thumbnails", cost=lambda row: row.delta_e, linear=True),
            Panel(label="1 − SSIM to bicubic thumbnails", cost=_dissimilarity, linear=True),
        ),
    }
    chosen = {}
    for name, group in panels.items():
        costs = [[cost for cost, _ in _placed(panel, results)] for panel in group]
        if all(len(known) > 1 and any(known) for known in costs):
            chosen[name] = group
    return chosen


def pareto_pictures(results: Results) -> dict[str, bytes]:
    """The pictures by file name."""
    return {name: _draw(results, panels) for name, panels in drawable(results).items()}


def front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points (cost, gain) that no other one beats in both, by rising cost."""
    best: list[tuple[float, float]] = []
    for cost, gain in sorted(points, key=lambda point: (point[0], -point[1])):
        if not best or gain > best[-1][1]:
            best.append((cost, gain))
    return best


def _draw(results: Results, panels: Sequence[Panel]) -> bytes:
    figure = Figure(figsize=(7.5 * len(panels), 5.5), layout="constrained")
    FigureCanvasAgg(figure)  # gives the figure the renderer that its labels are measured with
    every = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, panel in zip(every, panels, strict=True):
        _draw_points(axes, panel, results)
    every[0].set_ylabel(f"{METRICS[results.metric]}, mean over seeds (bars: std)")
    handles, labels = every[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=9)
    figure.draw_without_rendering()  # sizes of labels are known only then
    for axes, panel in zip(every, panels, strict=True):
        _label(axes, _placed(panel, results))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=140)
    return buffer.getvalue()


def _draw_points(axes: Axes, panel: Panel, results: Results) -> None:
    placed = _placed(panel, results)
    legend = _LEGEND if any(row.kind == "ours" for _, row in placed) else _LEGEND | {"alternative": "students"}
    for kind, (mark, colour) in _MARKS.items():
        chosen = [(cost, row) for cost, row in placed if row.kind == kind]
        if chosen:
            costs, means = [cost for cost, _ in chosen], [_mean(row) for _, row in chosen]
            errors = [row.metric.std or 0.0 if row.metric else 0.0 for _, row in chosen]
            axes.errorbar(
                costs, means, yerr=errors, fmt=mark, color=colour, markersize=6, capsize=3, label=legend[kind]
            )
    _draw_front(axes, placed)
    axes.margins(x=0.2, y=0.12)
    _scale(axes, panel)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.3g}%"))
    axes.grid(color="#e5e7eb", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_front(axes: Axes, placed: Sequence[tuple[float, Row]]) -> None:
    """The line of what nothing beats; none where all are bounds, which nobody would use."""
    line = front([(cost, _mean(row)) for cost, row in placed if row.kind != "bound"])
    if not line:
        return
    line.append((max(cost for cost, _ in placed), line[-1][1]))  # what costs more and is no better lies below it
    axes.step(
        *zip(*line, strict=True),
        where="post",
        color="#9ca3af",
        linewidth=1.2,
        zorder=0,
        label="nothing cheaper is better",
    )


def _scale(axes: Axes, panel: Panel) -> None:
    if panel.linear:
        axes.set_xlabel(panel.label)
        return
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=_FEW_TICKS if high > _CLOSE_TOGETHER * low else _ALL_TICKS))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda cost, _: quantity(cost)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(f"{panel.label} (logarithmic)")


def _dissimilarity(row: Row) -> float | None:
    return None if row.ssim is None else 1 - row.ssim


def _label(axes: Axes, placed: Sequence[tuple[float, Row]]) -> None:
    """Writes each row's name as near to its point as no other name or point is in the way."""
    marks = [axes.transData.transform((cost, _mean(row))) for cost, row in placed]
    taken = [Bbox.from_bounds(x - 6, y - 6, 12, 12) for x, y in marks]
    for cost, row in sorted(placed, key=lambda one: -_mean(one[1])):
        point, colour = (cost, _mean(row)), _MARKS[row.kind][1]
        text = axes.annotate(row.name, point, (0, 0), textcoords="offset points", va="center", fontsize=8, color=colour)
        text.set_path_effects([withStroke(linewidth=2, foreground="white")])  # lines pass behind a name, not through it
        size = text.get_window_extent()
        boxes = [_moved(size, axes, point, across, up) for across, up in _PLACES]
        crowded = [box.count_overlaps(taken) + 2 * (not _inside(box, axes.bbox)) for box in boxes]
        best = crowded.index(min(crowded))
        taken.append(boxes[best])
        across, up = _PLACES[best]
        text.set(position=(across, up), ha="left" if across > 0 else "right")
        if abs(up) > _LINE:
            line = {"arrowstyle": "-", "color": colour, "linewidth": 0.5, "alpha": 0.6, "shrinkA": 0, "shrinkB": 3}
            axes.annotate("", point, (across, up), textcoords="offset points", arrowprops=line)


def _moved(size: BboxBase, axes: Axes, point: tuple[float, float], across: float, up: float) -> Bbox:
    """Where a text of that size would stand, in pixels; how far from the point is in typographic points."""
    x, y = axes.transData.transform(point) + axes.figure.dpi / 72 * np.array((across, up))
    return Bbox.from_bounds(x if across > 0 else x - size.width, y - size.height / 2, size.width, size.height)


def _inside(box: BboxBase, around: BboxBase) -> bool:
    return bool(around.x0 <= box.x0 and box.x1 <= around.x1 and around.y0 <= box.y0 and box.y1 <= around.y1)


def _placed(panel: Panel, results: Results) -> list[tuple[float, Row]]:
    """The rows to draw; untrained thumbnails lie so low that they would press all others together."""
    shown = [row for row in results.rows if row.metric and not row.name.startswith(UNTRAINED)]
    found = [(panel.cost(row), row) for row in shown]
    return [(cost, row) for cost, row in found if cost is not None]


def _mean(row: Row) -> float:
    assert row.metric is not None
    return row.metric.mean
