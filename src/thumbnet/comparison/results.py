"""From finished runs to rows of a table: reads run folders, knows nothing of how a row is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from thumbnet.comparison.finished_runs import STUDENT, Finished, RunMetric, headline, notes, read_finished
from thumbnet.comparison.recipes import TEACHER, UNTRAINED, Kind
from thumbnet.comparison.runs import RecipeRun
from thumbnet.comparison.statistics import Interval, Spread, paired_difference, paired_ratio, spread
from thumbnet.config.comparison import PLAIN, EqualBy
from thumbnet.networks.downscaler import FixedDownscaler
from thumbnet.networks.student import option_name
from thumbnet.profiling import count_macs

EQUAL_WITHIN = 0.1
UNFINISHED = "not finished on every split"
# What is paired picture by picture, by the headline metric: average precision has no value for one picture.
PAIRED_ON = {"top1": "top1", "map": "exact_match", "agreement": "agreement"}
Said = dict[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the table; shares of 1, MACs and bytes of one picture.

    Attributes:
        name: The recipe's, `teacher` or `untrained_bicubic`.
        kind: `reference` is a row that comes from the others' runs.
        metric: Headline metric of each seed; None where no run has a result.
        retention: Mean over seeds of student / teacher.
        retention_interval: Around it; None where the metric is not that of single pictures.
        drop: Teacher − student, paired; None as above.
        student_macs: Of the network that classifies.
        downscaler_macs: Of the one that makes the thumbnail.
        latency_ms: From a decoded picture at the image side to the answer, one picture at a time.
        picture_bytes: Of what is stored: the thumbnail as PNG, for the teacher the picture as it came.
        ssim, delta_e: Similarity and colour difference of thumbnails to bicubic ones; None where there are none.
        hours: Spent in training epochs.
        against: Name of the best alternative at about equal MACs; of a bound, at no more.
        difference: Paired difference to it.
        seeds: Those with a result.
        runs: What each run behind the row reached, by split and seed; in comparison.json only.
        failures: A reason for each run without one.
    """

    name: str
    kind: Kind | Literal["reference"]
    metric: Spread | None = None
    retention: float | None = None
    retention_interval: Interval | None = None
    drop: Interval | None = None
    student_macs: int | None = None
    downscaler_macs: int | None = None
    latency_ms: float | None = None
    picture_bytes: float | None = None
    ssim: float | None = None
    delta_e: float | None = None
    hours: float | None = None
    against: str | None = None
    difference: Interval | None = None
    seeds: tuple[int, ...] = ()
    runs: tuple[RunMetric, ...] = ()
    failures: tuple[str, ...] = ()

    @property
    def total_macs(self) -> int | None:
        """Student and downscaler together."""
        return None if self.student_macs is None else self.student_macs + (self.downscaler_macs or 0)


@dataclass(frozen=True, kw_only=True)
class Results:
    """What a comparison found.

    Attributes:
        metric: Name of the headline metric.
        paired_on: What is compared picture by picture: the metric, or exactly the right labels for `map`.
        pictures: How many.
        rows: Teacher and untrained thumbnails first.
        notes: What the reader has to know.
    """

    metric: str
    paired_on: str
    pictures: int
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


def collect(
    runs: Sequence[RecipeRun],
    splits: Sequence[str],
    best_of: Sequence[str],
    equal_by: EqualBy,
    latency_ms: Mapping[str, float],
) -> Results | None:
    """Reads every finished run and makes the rows; None where no run has a result.

    Args:
        runs: Of all recipes, splits and seeds.
        splits: Names of those asked for; one without a name where there are none.
        best_of: Names of the alternatives; empty for every row that is one.
        equal_by: Whose MACs have to be about equal.
        latency_ms: Measured, by the name of the recipe and of `teacher`.

    Raises:
        DataError: If runs were evaluated on different pictures or by different metrics.
    """
    finished = read_finished(runs, splits)
    if not finished:
        return None
    by_name: dict[str, list[Finished]] = {}
    for run in finished:
        by_name.setdefault(run.one.recipe.name, []).append(run)
    metric = finished[0].evaluation["metric"]
    names = dict.fromkeys(one.recipe.name for one in runs)
    rows = [_row([one for one in runs if one.recipe.name == name], by_name.get(name, []), metric) for name in names]
    alternatives = [row for row in rows if (row.name in best_of if best_of else row.kind == "alternative")]
    rows = [_against_best(row, alternatives, by_name, equal_by) for row in rows]
    rows = [*_references(finished), *rows]
    return Results(
        metric=metric,
        paired_on=PAIRED_ON[metric],
        pictures=len(finished[0].pictures),
        rows=tuple(replace(row, latency_ms=latency_ms.get(row.name)) for row in rows),
        notes=notes(finished),
    )


def reasons(runs: Sequence[RecipeRun]) -> tuple[str, ...]:
    """Why runs have no result, each reason once, behind its split where there are some."""
    failed = [one for one in runs if one.failure is not None]
    named = (f"{one.recipe.split}: {one.failure}" if one.recipe.split else str(one.failure) for one in failed)
    return tuple(dict.fromkeys(named))


def _row(runs: Sequence[RecipeRun], finished: Sequence[Finished], metric: str) -> Row:
    failures = reasons(runs) or (() if finished else (UNFINISHED,))
    row = Row(name=runs[0].recipe.name, kind=runs[0].recipe.kind, failures=failures)
    if not finished:
        return row
    evaluations = [run.evaluation for run in finished]
    retentions = [evaluation.get("retention") for evaluation in evaluations]
    interval = drop = None
    if metric != "map" and all(TEACHER in run.right for run in finished):
        student, teacher, splits = _stack(finished, STUDENT), _stack(finished, TEACHER), finished[0].of_split
        interval = paired_ratio(student, teacher, splits=splits)
        drop = paired_difference(teacher, student, splits=splits)
    return replace(
        row,
        metric=spread([headline(evaluation, STUDENT) for evaluation in evaluations]),
        retention=None if None in retentions else float(np.mean([share for share in retentions if share is not None])),
        retention_interval=interval,
        drop=drop,
        student_macs=evaluations[0][STUDENT]["macs"],
        downscaler_macs=evaluations[0]["downscaler"]["macs"],
        picture_bytes=_mean_bytes(evaluations),
        ssim=_mean_naturalness(evaluations, "ssim"),
        delta_e=_mean_naturalness(evaluations, "delta_e"),
        hours=sum(run.hours for run in finished),
        seeds=tuple(run.one.seed for run in finished),
        runs=tuple(metric for run in finished for metric in run.metrics),
    )


def _mean_bytes(evaluations: Sequence[Mapping[str, Any]]) -> float | None:
    """Of a stored thumbnail; None for a bound that makes no picture, and at full size those of the picture itself."""
    full = evaluations[0]["ratio"] == 1
    sizes = [evaluation["bytes"]["image" if full else "thumbnail"] for evaluation in evaluations]
    return None if None in sizes else float(np.mean(sizes))


def _mean_naturalness(evaluations: Sequence[Mapping[str, Any]], name: str) -> float | None:
    """Of thumbnails; None at full size and where there is nothing that a person could look at."""
    found = [evaluation.get("naturalness") for evaluation in evaluations]
    return None if None in found else float(np.mean([values[name] for values in found if values]))


def _against_best(
    row: Row, alternatives: Sequence[Row], finished: Mapping[str, Sequence[Finished]], equal_by: EqualBy
) -> Row:
    """The row with its paired difference to the best alternative it is held against, over the seeds that both have."""
    if row.metric is None:
        return row
    candidates = [
        other
        for other in alternatives
        if other.name != row.name
        and other.metric
        and _held_against(row, other, equal_by)
        and {*row.seeds} & {*other.seeds}
    ]
    if not candidates:
        return row
    # By the runs that the difference is made of: seeds that only one of two rows has would decide by their luck.
    best = min(candidates, key=lambda other: _lead(*_common(finished[row.name], finished[other.name])))
    ours, others = _common(finished[row.name], finished[best.name])
    difference = paired_difference(_stack(ours, STUDENT), _stack(others, STUDENT), splits=ours[0].of_split)
    return replace(row, against=best.name, difference=difference)


def _common(ours: Sequence[Finished], others: Sequence[Finished]) -> tuple[list[Finished], list[Finished]]:
    """The runs of two rows with the seeds that both have."""
    common = {run.one.seed for run in ours} & {run.one.seed for run in others}
    of_ours, of_others = ([run for run in runs if run.one.seed in common] for runs in (ours, others))
    return of_ours, of_others


def _lead(ours: Sequence[Finished], others: Sequence[Finished]) -> float:
    """Mean of the headline metric of ours minus that of the others."""
    own, other = (float(np.mean([headline(run.evaluation, STUDENT) for run in runs])) for runs in (ours, others))
    return own - other


def _held_against(row: Row, other: Row, equal_by: EqualBy) -> bool:
    own, others = (one.student_macs if equal_by == "student" else one.total_macs for one in (row, other))
    if not own or not others:
        return False
    # Nobody would use a bound: what it shows is how far those that cost no more could still go.
    return others <= (1 + EQUAL_WITHIN) * own and (row.kind == "bound" or own <= (1 + EQUAL_WITHIN) * others)


def _references(finished: Sequence[Finished]) -> list[Row]:
    """The rows that come for free: the teacher, and it untrained on bicubic thumbnails of each kind of student."""
    known = [run for run in finished if TEACHER in run.evaluation]
    if not known:
        return []
    first = known[0].evaluation
    teacher = headline(first, TEACHER)
    rows = [
        Row(
            name=TEACHER,
            kind="reference",
            metric=spread([teacher]),
            retention=1.0,
            student_macs=first[TEACHER]["macs"],
            downscaler_macs=0,
            picture_bytes=first["bytes"]["image"],
        )
    ]
    copies = [run for run in known if UNTRAINED in run.evaluation and _is_plain_copy(run)]
    kinds = {_student_kind(run): run for run in reversed(copies)}
    for kind, run in reversed(kinds.items()):
        untrained, side = headline(run.evaluation, UNTRAINED), run.evaluation["image_side"]
        rows.append(
            Row(
                name=UNTRAINED if len(kinds) == 1 else f"{UNTRAINED} ({kind})",
                kind="reference",
                metric=spread([untrained]),
                retention=untrained / teacher if teacher else None,
                student_macs=run.evaluation[STUDENT]["macs"],
                downscaler_macs=count_macs(FixedDownscaler(run.evaluation["ratio"], "bicubic"), side),
            )
        )
    return rows


def _is_plain_copy(run: Finished) -> bool:
    """Whether S is T's copy at thumbnail size, so that its MACs are also those of the untrained copy."""
    settings = run.one.recipe.settings
    assert settings is not None
    changed = settings.student.network or settings.student.prune or settings.student.upsample
    changed = changed or settings.student.detail_decoder
    return settings.ratio > 1 and not changed and settings.downscaler.kind != "all_information"


def _student_kind(run: Finished) -> str:
    settings = run.one.recipe.settings
    assert settings is not None
    return f"ratio {settings.ratio}, {option_name(settings.student) or PLAIN}"


def _stack(finished: Sequence[Finished], who: str) -> Float[np.ndarray, "seeds pictures"]:
    return np.stack([run.right[who] for run in sorted(finished, key=lambda run: run.one.seed)])
