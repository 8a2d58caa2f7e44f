"""Curves of a run as inline SVG, one small panel each.

Knows metrics.jsonl's records and how to draw; knows no files. The drawings hold no colours of their own but names of
the page's CSS variables, so that they follow its light and dark scheme.
"""

import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from thumbnet.report.wording import METRICS, loss_value, percent

NOT_LOSSES = frozenset({"epoch", "step", "lr", "seconds", *METRICS})
LOG_SPAN = 10.0

# Placeholders that matplotlib writes into the SVG as they are, and what takes their place.
_INK, _GRID, _TEACHER, _STUDENT, _BICUBIC = "#010203", "#010204", "#010205", "#010206", "#010207"
_CSS = {
    _INK: "currentColor",
    _GRID: "var(--rule)",
    _TEACHER: "var(--teacher)",
    _STUDENT: "var(--student)",
    _BICUBIC: "var(--bicubic)",
}
_REFERENCES = {"teacher": (_TEACHER, "dashed"), "untrained_bicubic": (_BICUBIC, "dotted")}

Record = Mapping[str, Any]
Points = list[tuple[int, float]]


@dataclass(frozen=True)
class Panel:
    """One drawing: its name, what it says in words, and whether its axis is logarithmic."""

    name: str
    description: str
    svg: Markup
    logarithmic: bool = False


def loss_panels(records: Sequence[Record]) -> list[Panel]:
    """One panel for each loss term that the records hold, in the order of their first appearance."""
    names = dict.fromkeys(name for record in records for name in record if name not in NOT_LOSSES)
    curves = {name: _points(records, name) for name in names}
    return [
        _loss_panel(name, points, f"loss{number}") for number, (name, points) in enumerate(curves.items()) if points
    ]


def accuracy_panel(records: Sequence[Record], references: Mapping[str, float]) -> Panel | None:
    """The metric by epoch, with a horizontal line for each of `references` (`teacher`, `untrained_bicubic`)."""
    found = {name: points for name in METRICS if (points := _points(records, name))}
    if not found:
        return None
    name, points = next(iter(found.items()))
    figure, axes = _empty_panel(points)
    axes.plot(*zip(*points, strict=True), color=_STUDENT, linewidth=1.8, marker="o", markersize=_marker_size(points))
    for who, share in references.items():
        colour, style = _REFERENCES[who]
        axes.axhline(share, color=colour, linestyle=style, linewidth=1.5)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.3g}%"))
    return Panel(METRICS[name], _in_words(METRICS[name], points, percent), _to_svg(figure, name))


def _loss_panel(name: str, points: Points, prefix: str) -> Panel:
    figure, axes = _empty_panel(points)
    axes.plot(*zip(*points, strict=True), color=_STUDENT, linewidth=1.8, marker="o", markersize=_marker_size(points))
    values = [value for _, value in points]
    logarithmic = min(values) > 0 and max(values) / min(values) >= LOG_SPAN
    if logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(numticks=5))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: loss_value(value)))
    return Panel(name, _in_words(name, points, loss_value), _to_svg(figure, prefix), logarithmic)


def _points(records: Sequence[Record], name: str) -> Points:
    found = [(record["epoch"], record.get(name)) for record in records]
    return [(epoch, float(value)) for epoch, value in found if isinstance(value, int | float) and math.isfinite(value)]


def _in_words(name: str, points: Points, write: Callable[[float], str]) -> str:
    (first, before), (last, after) = points[0], points[-1]
    if first == last:
        return f"{name} by epoch: {write(before)} at epoch {first}"
    return f"{name} by epoch: from {write(before)} at epoch {first} to {write(after)} at epoch {last}"


def _marker_size(points: Points) -> float:
    return 4.0 if len(points) <= 12 else 0.0


def _empty_panel(points: Points) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(3.5, 2.3), layout="constrained")
    axes = figure.add_subplot()
    figure.patch.set_visible(False)
    axes.patch.set_visible(False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_GRID)
    axes.tick_params(colors=_GRID, labelcolor=_INK, labelsize=9, which="both")
    axes.grid(axis="y", color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("epoch", color=_INK, fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
    if len(points) == 1:
        axes.set_xlim(points[0][0] - 1, points[0][0] + 1)
    return figure, axes


def _to_svg(figure: Figure, prefix: str) -> Markup:
    buffer = io.StringIO()
    # Text stays text and ids do not depend on chance; matplotlib takes both from its settings alone.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": prefix}):
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    drawing = buffer.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    for placeholder, colour in _CSS.items():
        drawing = drawing.replace(placeholder, colour)
    # Several drawings share one page, where an id may occur once.
    drawing = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{prefix}-", drawing)
    # The page gives the drawing's size and words: the figure around it carries role and label.
    drawing = re.sub(r'^<svg([^>]*?) height="[^"]*"', r'<svg\1 aria-hidden="true"', drawing)
    return Markup(drawing)
