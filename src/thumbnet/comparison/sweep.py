"""`sweep`: one run for each ratio and student option, and the cheapest that loses little."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from thumbnet.comparison.recipes import Recipe
from thumbnet.comparison.results import Row
from thumbnet.comparison.runs import run_folder
from thumbnet.comparison.study import Comparison, Study, carry_out, write
from thumbnet.comparison.table import in_points
from thumbnet.config import TrainSettings
from thumbnet.config.comparison import SweepSettings, student_option
from thumbnet.errors import ConfigError, NetworkError
from thumbnet.networks.assembly import assemble, build_teacher
from thumbnet.objective import Objective, paper_terms
from thumbnet.profiling import format_macs
from thumbnet.progress import Announcer
from thumbnet.resolved_settings import resolved_settings
from thumbnet.run_data import open_pictures


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """What to use.

    Attributes:
        name: Of the row that is recommended; where none is within the limit, of the one that comes nearest; None where
            no drop is known.
        within: Whether its mean drop is within the limit.
        surely: Whether the upper end of its interval is, too.
        reason: The same in a sentence.
        command: That uses it; None where there is none to use.
    """

    name: str | None
    within: bool
    surely: bool
    reason: str
    command: str | None


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A comparison of ratios and student options, and what comes of it."""

    comparison: Comparison
    recommendation: Recommendation


def sweep(
    settings: TrainSettings | None = None,
    *,
    sweep: SweepSettings | None = None,
    overwrite: bool = False,
    quiet: bool = False,
    **changes: Any,
) -> Sweep:
    """Trains a student for each ratio and student option, and recommends the cheapest within the allowed drop.

    Args:
        settings: Those of every run but for ratio, student option, seed and output; or give them by name, as for `fit`.
        sweep: Ratios, students, seeds and the allowed drop.
        overwrite: Make runs again that were made with other settings.
        quiet: Show nothing while working.
        **changes: Fields of `TrainSettings`, taking precedence over `settings`.

    Returns:
        Rows and recommendation, also written to comparison.json, .md, .csv and pareto_*.png in `output`.

    Raises:
        ThumbNetError: If data or teacher cannot be used; a combination that cannot run is a row with its reason.
    """
    wanted = sweep or SweepSettings()
    settings = resolved_settings(settings, changes)
    study = Study(
        title="Sweep over ratios and students",
        recipes=tuple(plan_sweep(settings, wanted, Announcer(quiet))),
        seeds=wanted.seeds,
        output=Path(settings.output),
        timing_rounds=wanted.timing_rounds,
        settings={"sweep": asdict(wanted), "train": settings.as_dict()},
    )
    comparison = carry_out(study, overwrite=overwrite, quiet=quiet)
    rows = comparison.results.rows if comparison.results else ()
    found = recommend(rows, wanted.max_drop, study.output)
    comparison = replace(comparison, notes=(found.reason, *comparison.notes))
    write(comparison, study, recommendation=asdict(found))
    return Sweep(comparison=comparison, recommendation=found)


def plan_sweep(settings: TrainSettings, wanted: SweepSettings, announcer: Announcer) -> list[Recipe]:
    """A recipe for each ratio and student option, and what keeps it from running, found by assembling its networks.

    Raises:
        ThumbNetError: If data or teacher cannot be used, which would keep all of them.
    """
    pictures = open_pictures(settings, announcer)
    build_teacher(settings, pictures.train.classes)
    objective = Objective(paper_terms(settings.loss_weights, settings.multilabel))
    recipes = []
    for ratio in wanted.ratios:
        for student in wanted.students:
            name = f"ratio{ratio}-{student}"
            try:
                one = _with_option(settings, ratio, student)
                assemble(one, pictures.train.classes, objective.needs_features, objective.needs_embedding)
            except (ConfigError, NetworkError) as error:
                recipes.append(Recipe(name=name, settings=None, impossible=" ".join(str(error).split())))
            else:
                recipes.append(Recipe(name=name, settings=one))
    return recipes


def recommend(rows: Sequence[Row], max_drop: float, output: Path) -> Recommendation:
    """The row of fewest MACs (student and downscaler) whose mean drop is within the limit.

    Args:
        rows: Of the sweep.
        max_drop: In percentage points.
        output: The sweep's folder.
    """
    known = [row for row in rows if row.kind != "reference" and _drop(rows, row) is not None]
    if not known:
        reason = "No run has a drop against the teacher, so nothing is recommended"
        return Recommendation(name=None, within=False, surely=False, reason=f"{reason}.", command=None)
    drops = {row.name: _drop(rows, row) or 0.0 for row in known}
    # A drop of exactly the limit is within it, rounding errors or not.
    limit = max_drop / 100 + 1e-9
    within = [row for row in known if drops[row.name] <= limit]
    chosen = min(within, key=lambda row: row.total_macs or 0) if within else min(known, key=lambda r: drops[r.name])
    surely = bool(within) and chosen.drop is not None and chosen.drop.high <= limit
    shown = in_points(chosen.drop) if chosen.drop else f"{100 * drops[chosen.name]:.1f}"
    facts = f"{format_macs(chosen.total_macs or 0)} MACs with the downscaler, drop {shown} points"
    if within:
        end = "also within it" if surely else "not within it" if chosen.drop else "not known"
        reason = f"Recommended: {chosen.name}, the cheapest whose mean drop is within {max_drop:g} points ({facts}); "
        reason += f"the upper end of its interval is {end}."
    else:
        reason = f"None is within {max_drop:g} points; {chosen.name} comes nearest ({facts})."
    if chosen.failures:
        reason += (
            f" Other runs of {chosen.name} failed ({'; '.join(chosen.failures)}), so this is of those that finished."
        )
    run = run_folder(output, chosen.name, chosen.seeds[0]).path
    return Recommendation(
        name=chosen.name,
        within=bool(within),
        surely=surely,
        reason=reason,
        command=f"thumbnet predict {run} PICTURES",
    )


def _with_option(settings: TrainSettings, ratio: int, name: str) -> TrainSettings:
    option = student_option(name)
    student = replace(
        settings.student,
        keep_stem_resolution=option.keep_stem_resolution,
        keep_stride=option.keep_stride,
        dilate_last_stage=option.dilate_last_stage,
        detail_decoder=option.detail_decoder,
    )
    return replace(settings, ratio=ratio, student=student)


def _drop(rows: Sequence[Row], row: Row) -> float | None:
    """Mean drop against the teacher; for metrics that no single picture has, from the means."""
    if row.drop is not None or row.metric is None:
        return row.drop.mean if row.drop else None
    teacher = next((other for other in rows if other.name == "teacher"), None)
    return teacher.metric.mean - row.metric.mean if teacher and teacher.metric else None
