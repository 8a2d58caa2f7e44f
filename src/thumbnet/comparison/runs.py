"""Training what is missing of a comparison: finished runs are kept, begun ones gone on with, failures noted."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from thumbnet.comparison.recipes import Recipe, with_seed
from thumbnet.config import UNUSED_BY_TEACHERS, TrainSettings
from thumbnet.errors import CheckpointError, ConfigError, ThumbNetError
from thumbnet.progress import Announcer
from thumbnet.resolved_settings import resolved_settings
from thumbnet.run_folder import RunFolder
from thumbnet.run_record import differing_setting, file_fingerprint, teacher_file_of
from thumbnet.storage import write_atomically
from thumbnet.training import fit, teacher_settings, train_teacher

OF_OLD_TEACHER = "of_a_replaced_teacher"  # an empty file in the folder of a run


@dataclass(frozen=True, kw_only=True)
class RecipeRun:
    """One recipe, on its split, with one seed.

    Attributes:
        recipe: Which.
        seed: Which.
        run: Its folder.
        failure: Why it has no result, in one line; None where it has one.
    """

    recipe: Recipe
    seed: int
    run: RunFolder
    failure: str | None = None


def run_folder(output: Path, name: str, seed: int) -> RunFolder:
    """Where the run of that recipe and seed is kept."""
    return RunFolder(output / f"{name}-seed{seed}")


def train_shared_teacher(settings: TrainSettings, *, overwrite: bool, quiet: bool) -> Path:
    """Trains the teacher of a comparison unless it is there.

    Where it takes the place of an older one, the runs beside it are marked: they learned from that, and are made again,
    even if this comparison is stopped and begun once more.

    Returns:
        Its weights.

    Raises:
        ConfigError: If there is one with other settings and `overwrite` is false.
        ThumbNetError: If it cannot be trained.
    """
    run, announcer = RunFolder(settings.output), Announcer(quiet)
    wanted = resolved_settings(teacher_settings(settings), {})
    replaced = _is_outdated(run, wanted, overwrite, UNUSED_BY_TEACHERS)
    if replaced:
        for begun in run.path.parent.glob(f"*-seed*/{run.config.name}"):
            write_atomically(begun.with_name(OF_OLD_TEACHER), b"")
    if replaced or not (run.evaluation.exists() and run.teacher_weights.exists()):
        announcer.say("teacher:")
        train_teacher(settings, resume=not replaced, overwrite=replaced, quiet=quiet)
    else:
        announcer.say(f"teacher: {run.teacher_weights} is there")
    return run.teacher_weights.absolute()


def train_missing(
    recipes: Sequence[Recipe],
    seeds: Sequence[int],
    output: Path,
    *,
    overwrite: bool = False,
    train: bool = True,
    quiet: bool = False,
) -> list[RecipeRun]:
    """Trains every recipe with every seed, as far as it is not there; one that fails does not stop the others.

    Seeds come first: after each of them, all recipes can be compared.

    Args:
        recipes: What to train; one that is impossible fails with its reason.
        seeds: To train each with.
        output: Folder of the runs' folders.
        overwrite: Make runs again that were made with other settings.
        train: Without it, runs that are not finished are left out.
        quiet: Show nothing.

    Raises:
        ConfigError: Before any training, if a run was made with other settings, or its teacher's file was replaced, and
            `overwrite` is false.
    """
    planned = [RecipeRun(recipe=r, seed=s, run=run_folder(output / r.split, r.name, s)) for s in seeds for r in recipes]
    possible = [one for one in planned if one.recipe.impossible is None]
    teachers = {name: file_fingerprint(name) for name in {_settings(one).teacher_weights for one in possible}}
    outdated = {one.run.path for one in possible if _is_outdated(one.run, _settings(one), overwrite, teachers=teachers)}
    missing = [one.run.path for one in possible if one.run.path in outdated or not is_finished(one.run)]
    announcer = Announcer(quiet)
    if not train:
        planned = [one for one in planned if one.run.path not in missing]
    announcer.say(f"{len(possible)} runs, {len(possible) - len(missing)} of them finished before")
    done: list[RecipeRun] = []
    durations: list[float] = []
    for one in planned:
        if one.run.path not in missing:
            done.append(_with_failure(one, one.recipe.impossible))
            continue
        left = _time_left(durations, len(missing) - len(durations))
        announcer.say(f"run {len(durations) + 1} of {len(missing)}: {one.run.path.relative_to(output)}{left}")
        started = time.monotonic()
        done.append(_train(one, one.run.path in outdated, announcer, quiet))
        durations.append(time.monotonic() - started)
    return done


def is_finished(run: RunFolder) -> bool:
    """Whether a run has its results; predictions.csv is the last of them to be written."""
    return run.evaluation.exists() and run.predictions.exists()


def _train(one: RecipeRun, replace_run: bool, announcer: Announcer, quiet: bool) -> RecipeRun:
    try:
        fit(_settings(one), resume=not replace_run, overwrite=replace_run, quiet=quiet)
    except ThumbNetError as error:
        reason = " ".join(str(error).split())
        announcer.warn(f"{PurePath(one.recipe.split, one.run.path.name)} failed: {reason}")
        return _with_failure(one, reason)
    return one


def _settings(one: RecipeRun) -> TrainSettings:
    return resolved_settings(with_seed(one.recipe, one.seed, one.run.path), {})


def _with_failure(one: RecipeRun, failure: str | None) -> RecipeRun:
    return RecipeRun(recipe=one.recipe, seed=one.seed, run=one.run, failure=failure)


def _is_outdated(
    run: RunFolder,
    settings: TrainSettings,
    overwrite: bool,
    unused: Collection[str] = (),
    teachers: Mapping[str, str | None] | None = None,
) -> bool:
    """Whether a run is there that has to be replaced; `teachers` are fingerprints of weights' files, by path."""
    if not run.config.exists():
        return False
    if (run.path / OF_OLD_TEACHER).exists():  # the user agreed to that when the teacher was replaced
        return True
    try:
        difference = differing_setting(run, settings, unused)
    except (CheckpointError, ConfigError):
        if overwrite:
            return True
        raise
    choices = "another --output, or --overwrite to make such runs again"
    if difference is not None and not overwrite:
        name, made, wanted = difference
        raise ConfigError(
            f"{run.path} was made with {name} {made}, not {wanted}; give the settings it was made with, {choices}"
        )
    made, found = teacher_file_of(run), (teachers or {}).get(settings.teacher_weights)
    replaced = made is not None and found is not None and made != found
    if replaced and not overwrite:
        problem = f"{run.path} learned from another teacher than is now in {settings.teacher_weights}"
        raise ConfigError(f"{problem}; put that one back, give {choices}")
    return difference is not None or replaced


def _time_left(durations: Sequence[float], runs: int) -> str:
    if not durations:
        return ""
    minutes = sum(durations) / len(durations) * runs / 60
    return f", about {minutes:.0f} minutes left" if minutes >= 1 else ", less than a minute left"
