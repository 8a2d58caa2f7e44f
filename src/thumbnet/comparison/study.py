"""A comparison from beginning to end: the teacher, the missing runs, the timing, the table and the pictures."""

import os
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from thumbnet.comparison.figures import drawable, pareto_pictures
from thumbnet.comparison.finished_runs import training_hours
from thumbnet.comparison.latency import measure_latency
from thumbnet.comparison.recipes import TEACHER, Recipe
from thumbnet.comparison.results import UNFINISHED, Results, collect, reasons
from thumbnet.comparison.runs import RecipeRun, train_missing
from thumbnet.comparison.table import as_csv, markdown, reading_notes
from thumbnet.config.comparison import EqualBy
from thumbnet.errors import ConfigError
from thumbnet.progress import Announcer
from thumbnet.run_folder import RunFolder
from thumbnet.run_record import VERSIONED
from thumbnet.storage import write_atomically, write_json


@dataclass(frozen=True, kw_only=True)
class Study:
    """What to compare and how.

    Attributes:
        title: Heading of the table.
        recipes: What to train.
        seeds: To train each with.
        output: Folder for everything.
        best_of: Names of the alternatives; empty for every row that is one.
        equal_by: Whose MACs have to be about equal.
        timing_rounds: Of the latency; 0 for none.
        train: Whether what is missing is trained.
        settings: Everything that was asked for, for comparison.json.
    """

    title: str
    recipes: tuple[Recipe, ...]
    seeds: tuple[int, ...]
    output: Path
    best_of: tuple[str, ...] = ()
    equal_by: EqualBy = "student"
    timing_rounds: int = 30
    train: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that the recipes are of; one without a name where there are none."""
        return tuple(dict.fromkeys(recipe.split for recipe in self.recipes))


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What a comparison found, and where it is written.

    Attributes:
        results: Metric and rows; None where no run has a result.
        runs: Every recipe with every seed, with the reason where it failed.
        notes: How to read the table, and what went wrong.
        folder: Of comparison.json, .md and .csv, the pictures and the runs.
    """

    results: Results | None
    runs: tuple[RecipeRun, ...]
    notes: tuple[str, ...]
    folder: Path

    @property
    def failed(self) -> tuple[RecipeRun, ...]:
        """The runs without a result."""
        return tuple(one for one in self.runs if one.failure is not None)


def carry_out(study: Study, *, overwrite: bool, quiet: bool = False) -> Comparison:
    """Trains what is missing, times what is there, and makes the rows; `write` puts them on disk.

    Raises:
        ConfigError: If a run is there with other settings and `overwrite` is false, or there is nothing to compare.
        DataError: If the runs cannot be compared.
    """
    announcer = Announcer(quiet)
    runs = train_missing(
        study.recipes,
        study.seeds,
        study.output,
        overwrite=overwrite,
        train=study.train,
        quiet=quiet,
    )
    if not runs:
        raise ConfigError(f"train is false, and no run in {study.output} is finished; leave --train out")
    timed = {one.recipe.name: one for one in reversed(runs) if one.failure is None}
    latency_ms, device = measure_latency(dict(reversed(timed.items())), study.timing_rounds, announcer)
    results = collect(runs, study.splits, study.best_of, study.equal_by, latency_ms)
    notes = _failures(runs) if results is None else reading_notes(results, study.equal_by, device)
    return Comparison(results=results, runs=tuple(runs), notes=notes, folder=study.output)


def _failures(runs: Sequence[RecipeRun]) -> tuple[str, ...]:
    """Why no recipe has a result."""
    names = dict.fromkeys(one.recipe.name for one in runs)
    by_name = {name: reasons([one for one in runs if one.recipe.name == name]) or (UNFINISHED,) for name in names}
    return tuple(f"{name} failed: {reason}" for name, why in by_name.items() for reason in why)


def write(comparison: Comparison, study: Study, **more: Any) -> None:
    """Writes comparison.json, and with any result comparison.md, comparison.csv and the pictures.

    The pictures come last: whatever keeps one from being drawn, the numbers of hours of training are on disk.

    Args:
        comparison: From `carry_out`.
        study: It was made from.
        **more: Kept in comparison.json beside the rest.
    """
    folder, results = comparison.folder, comparison.results
    content = {**_circumstances(study, comparison.runs), **more, **_found(results)}
    content["failures"] = {str(one.run.path.relative_to(folder)): one.failure for one in comparison.failed}
    content["notes"] = comparison.notes
    write_json(folder / "comparison.json", content)
    if results is None:
        return
    text = markdown(results, study.title, comparison.notes, list(drawable(results)))
    write_atomically(folder / "comparison.md", text.encode())
    write_atomically(folder / "comparison.csv", as_csv(results.rows).encode())
    for name, picture in pareto_pictures(results).items():
        write_atomically(folder / name, picture)


def _found(results: Results | None) -> dict[str, Any]:
    if results is None:
        return {"rows": []}
    found = asdict(results)
    del found["notes"]
    return found


def _circumstances(study: Study, runs: Sequence[RecipeRun]) -> dict[str, Any]:
    teachers = [RunFolder(study.output / split / TEACHER) for split in study.splits]
    trained = [one.run for one in runs if one.failure is None]
    trained += [teacher for teacher in teachers if teacher.evaluation.exists()]
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    name = (
        torch.cuda.get_device_name() if accelerator and accelerator.type == "cuda" else accelerator and str(accelerator)
    )
    program = Path(sys.argv[0]).name
    return {
        "command": shlex.join(["thumbnet" if program == "__main__.py" else program, *sys.argv[1:]]),
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": {"cores": os.cpu_count(), "machine": platform.machine(), "accelerator": name},
        "hours": sum(training_hours(run) for run in trained),
        "versions": {"python": platform.python_version(), **{each: version(each) for each in VERSIONED}},
        "settings": dict(study.settings),
        "seeds": list(study.seeds),
        "equal_by": study.equal_by,
    }
