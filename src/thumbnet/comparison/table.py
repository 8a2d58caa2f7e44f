"""The rows of a comparison in words: for a terminal, Markdown and CSV. Knows digits and headings, no runs."""

import csv
import io
from collections.abc import Sequence

from thumbnet.comparison.results import EQUAL_WITHIN, Results, Row
from thumbnet.comparison.statistics import Interval
from thumbnet.config.comparison import EqualBy
from thumbnet.profiling import format_macs
from thumbnet.report.wording import METRICS, UNKNOWN, points

CSV_COLUMNS = (
    "recipe",
    "kind",
    "seeds",
    "metric",
    "std",
    "retention",
    "retention_low",
    "retention_high",
    "drop",
    "drop_low",
    "drop_high",
    "student_macs",
    "downscaler_macs",
    "latency_ms",
    "picture_bytes",
    "ssim",
    "delta_e",
    "hours",
    "against",
    "difference",
    "difference_low",
    "difference_high",
    "failures",
)


def headings(results: Results) -> tuple[str, ...]:
    """Of the columns of `cells`."""
    metric = METRICS[results.metric]
    costs = ("MACs: student", "downscaler", "latency, ms", "bytes", "ΔE")
    return ("recipe", metric, "std", "retention", "drop", *costs, "best alternative", "difference to it")


def cells(row: Row) -> tuple[str, ...]:
    """One row in words; differences are in percentage points, each with its 95% interval."""
    if row.metric is None:
        return (row.name, "failed", *([""] * 10))
    std = row.metric.std
    return (
        f"{row.name} ({row.kind})" if row.kind in ("ours", "bound") else row.name,
        f"{100 * row.metric.mean:.2f}%",
        UNKNOWN if std is None else f"{100 * std:.2f}",
        _retention(row),
        UNKNOWN if row.drop is None else in_points(row.drop),
        _macs(row.student_macs),
        _macs(row.downscaler_macs),
        UNKNOWN if row.latency_ms is None else f"{row.latency_ms:.2f}",
        UNKNOWN if row.picture_bytes is None else f"{row.picture_bytes:,.0f}",
        UNKNOWN if row.delta_e is None else f"{row.delta_e:.1f}",
        row.against or UNKNOWN,
        UNKNOWN if row.difference is None else in_points(row.difference),
    )


def in_points(interval: Interval) -> str:
    """`+1.2 [+0.3, +2.1]`, percentage points."""
    return f"{points(interval.mean)} [{points(interval.low)}, {points(interval.high)}]"


def reading_notes(results: Results, equal_by: EqualBy, device: str) -> tuple[str, ...]:
    """What a reader of the table has to know, a sentence each."""
    counted = "student" if equal_by == "student" else "student and downscaler together"
    notes = [
        f"{results.pictures:,} pictures. Brackets hold 95% intervals of a paired bootstrap over splits, seeds and "
        "pictures; with one split and one seed over pictures alone, and then another training may well lie outside. "
        "Std is over seeds. Drop and differences are in percentage points.",
        "The best alternative is the one of highest mean, by the seeds that it and the row have, among those of "
        f"equal MACs ({counted}): the larger number at most {1 + EQUAL_WITHIN:g} times the smaller.",
    ]
    if any(row.kind == "bound" and row.against for row in results.rows):
        notes.append("A bound, which nobody would use, stands beside the best alternative of no more MACs.")
    if results.paired_on == "exact_match":
        notes.append(
            "Differences compare, picture by picture, whether exactly the right labels were given: average precision "
            "has no value for one picture. So they are not differences of the metric's column."
        )
    if any(row.delta_e is not None for row in results.rows):
        notes.append("ΔE is the mean colour difference of thumbnails to bicubic ones; about 2.3 is just noticeable.")
    if any(row.latency_ms is not None for row in results.rows):
        notes.append(
            "Latency is the median for one picture, decoded and at the image side, through downscaler and student "
            f"on {device}."
        )
    notes += [f"Note: {note}." for note in results.notes]
    for row in results.rows:
        notes += [f"{row.name} failed: {failure}" for failure in row.failures]
    return tuple(notes)


def markdown(results: Results, title: str, notes: Sequence[str], pictures: Sequence[str]) -> str:
    """The whole of comparison.md."""
    names = headings(results)
    lines = [f"# {title}", "", f"| {' | '.join(names)} |", f"| --- |{' ---: |' * (len(names) - 1)}"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells(row))} |" for row in results.rows]
    lines += [line for note in notes for line in ("", note)]
    lines += [line for picture in pictures for line in ("", f"![{picture.removesuffix('.png')}]({picture})")]
    return "\n".join(lines) + "\n"


def as_csv(rows: Sequence[Row]) -> str:
    """The whole of comparison.csv: numbers as they are, shares of 1, nothing where a number is not known."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for row in rows:
        mean, std = (row.metric.mean, row.metric.std) if row.metric else (None, None)
        retention = _limits(row.retention_interval)
        writer.writerow(
            (
                row.name,
                row.kind,
                " ".join(map(str, row.seeds)),
                mean,
                std,
                row.retention,
                *retention[1:],
                *_limits(row.drop),
                row.student_macs,
                row.downscaler_macs,
                row.latency_ms,
                row.picture_bytes,
                row.ssim,
                row.delta_e,
                row.hours,
                row.against,
                *_limits(row.difference),
                "; ".join(row.failures),
            )
        )
    return buffer.getvalue()


def _limits(interval: Interval | None) -> tuple[float | None, float | None, float | None]:
    return (None, None, None) if interval is None else (interval.mean, interval.low, interval.high)


def _retention(row: Row) -> str:
    if row.retention is None:
        return UNKNOWN
    around = row.retention_interval
    shown = f"{100 * row.retention:.1f}%"
    return shown if around is None else f"{shown} [{100 * around.low:.1f}, {100 * around.high:.1f}]"


def _macs(macs: int | None) -> str:
    return UNKNOWN if macs is None else "0" if macs == 0 else format_macs(macs)
