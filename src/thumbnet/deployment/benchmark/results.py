"""What was measured as rows: one a way, engine, precision and batch size."""

import csv
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from thumbnet.deployment.benchmark.memory import Memory
from thumbnet.deployment.benchmark.subjects import BESIDE, NETWORKS, Engine, Precision, Subject, Way
from thumbnet.deployment.benchmark.timing import Timed
from thumbnet.profiling import format_macs

# Of the teacher: with less, what allocators keep at hand decides the ratio.
LEAST_MB = 16.0


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way by one engine at one batch size.

    Attributes:
        way: From which input to the answer.
        engine: What computed.
        precision: Of the networks.
        batch: Pictures a call.
        best: Whether it is the row of the fastest batch; each way has one of these and one of one picture a call.
        images_per_second: Median over rounds.
        median_ms: Of one call.
        p99_ms: Of one call.
        calls: How many were timed.
        ratio: Images a second over the teacher's, by the same engine and precision from the same input (ready
            thumbnails: from the picture), both with one picture a call or both at their best; median over rounds.
        ratio_range: Smallest and largest of the rounds.
        macs: Multiply-accumulates for one picture.
        memory_batch: Pictures a call when memory was measured: 1 in rows of one picture a call, else the same for all
            ways.
        peak_memory_mb: Of a process that does nothing else; None where it was not measured.
        inference_memory_mb: What answering takes on top of the loaded networks.
        memory_ratio: Inference memory over the teacher's; None where the teacher takes so little that allocators, not
            networks, decide it.
    """

    way: Way
    engine: Engine
    precision: Precision
    batch: int
    best: bool
    images_per_second: float
    median_ms: float
    p99_ms: float
    calls: int
    ratio: float
    ratio_range: tuple[float, float]
    macs: int
    memory_batch: int
    peak_memory_mb: float | None
    inference_memory_mb: float | None
    memory_ratio: float | None


def rows_of(
    timed: Mapping[Subject, Mapping[int, Timed]],
    memory: Mapping[tuple[Subject, int], Memory],
    memory_batches: tuple[int, int],
    macs: Mapping[str, int],
) -> list[Row]:
    """Two rows a subject: with one picture a call, and with its fastest batch."""
    subjects = {(one.way, one.engine, one.precision): one for one in timed}
    rows = []
    for subject in timed:
        beside = subjects[BESIDE[subject.way], subject.engine, subject.precision]
        for best in (False, True):
            ours, theirs = (_fastest(timed[one]) if best else timed[one][1] for one in (subject, beside))
            ratios = [our / their for our, their in zip(ours.rates, theirs.rates, strict=True)]
            memory_batch = memory_batches[best]
            ours_mb, theirs_mb = (memory.get((one, memory_batch)) for one in (subject, beside))
            rows.append(
                Row(
                    way=subject.way,
                    engine=subject.engine,
                    precision=subject.precision,
                    batch=ours.batch,
                    best=best,
                    images_per_second=ours.rate,
                    median_ms=ours.milliseconds(50),
                    p99_ms=ours.milliseconds(99),
                    calls=ours.calls,
                    ratio=float(np.median(ratios)),
                    ratio_range=(min(ratios), max(ratios)),
                    macs=sum(macs[name] for name in NETWORKS[subject.way]),
                    memory_batch=memory_batch,
                    peak_memory_mb=ours_mb.peak if ours_mb else None,
                    inference_memory_mb=ours_mb.inference if ours_mb else None,
                    memory_ratio=_memory_ratio(ours_mb, theirs_mb),
                )
            )
    return rows


def _fastest(sizes: Mapping[int, Timed]) -> Timed:
    return max(sizes.values(), key=lambda timed: timed.rate)


def _memory_ratio(ours: Memory | None, theirs: Memory | None) -> float | None:
    if ours is None or theirs is None or theirs.inference < LEAST_MB:
        return None
    return ours.inference / theirs.inference


def as_csv(rows: list[Row]) -> str:
    """One line a row, with a head."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(asdict(rows[0])), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({**asdict(row), "ratio_range": "-".join(f"{value:.3f}" for value in row.ratio_range)})
    return buffer.getvalue()


def as_markdown(rows: list[Row], facts: Mapping[str, Any]) -> str:
    """A table, and how it was made."""
    lines = [
        f"{facts['architecture']}, {facts['image_side']} → {facts['thumbnail_side']} px; {facts['hardware']}, "
        f"{facts['threads']} threads; {facts['rounds']} rounds of {facts['seconds']:g} s each in turn, medians. "
        "Ratios are to the teacher by the same engine and precision; memory is what answering adds to the loaded "
        "networks.",
        "",
        "| from | engine | batch | images/s | median, ms | p99, ms | teacher's rate × | MACs | memory, MB (batch) |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        low, high = row.ratio_range
        ratio = "1" if BESIDE[row.way] == row.way else f"{row.ratio:.1f} ({low:.1f}–{high:.1f})"
        taken = "" if row.inference_memory_mb is None else f"{row.inference_memory_mb:,.0f} ({row.memory_batch})"
        lines.append(
            f"| {row.way} | {row.engine} {row.precision} | {row.batch} | {row.images_per_second:,.1f} "
            f"| {row.median_ms:,.2f} | {row.p99_ms:,.2f} | {ratio} | {format_macs(row.macs)} | {taken} |"
        )
    return "\n".join([*lines, ""])
