"""Images a second as bars, beside the teacher's."""

import io
from collections.abc import Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from thumbnet.deployment.benchmark.results import Row
from thumbnet.deployment.benchmark.subjects import BESIDE, WAYS

_COLOURS = {"torch float": "#94a3b8", "onnxruntime float": "#1d4ed8", "onnxruntime int8": "#c2410c"}


def bars(rows: Sequence[Row], title: str) -> bytes:
    """A PNG: every way at its best batch, one bar an engine, with its ratio to the teacher."""
    best = {(row.way, f"{row.engine} {row.precision}"): row for row in rows if row.best}
    engines = [name for name in _COLOURS if any(engine == name for _, engine in best)]
    figure = Figure(figsize=(8.5, 0.9 + 0.32 * len(best)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    ticks, place = [], 0.0
    for way in WAYS:
        middle = []
        for engine in engines:
            row = best.get((way, engine))
            if row is None:
                continue
            axes.barh(place, row.images_per_second, color=_COLOURS[engine], height=0.8)
            ratio = "" if BESIDE[way] == way else f"  ({row.ratio:.1f} × the teacher)"
            axes.text(row.images_per_second, place, f" {row.images_per_second:,.0f}{ratio}", va="center", fontsize=8)
            middle.append(place)
            place += 1
        ticks.append((sum(middle) / len(middle), way))
        place += 0.6
    axes.set_yticks([tick for tick, _ in ticks], [name for _, name in ticks])
    axes.invert_yaxis()
    axes.margins(x=0.3)
    axes.set_xlabel("images per second, at the best batch")
    axes.set_title(title, loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    handles = [axes.barh(0, 0, color=_COLOURS[engine], label=engine) for engine in engines]
    axes.legend(handles=handles, frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1.06), ncols=3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()
