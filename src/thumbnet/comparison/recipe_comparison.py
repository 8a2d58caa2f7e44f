"""`compare`: recipes and seeds, beside one teacher."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from thumbnet.comparison.recipes import TEACHER, matching, read_recipe, read_recipes
from thumbnet.comparison.runs import train_shared_teacher
from thumbnet.comparison.study import Comparison, Study, carry_out, write
from thumbnet.config.comparison import CompareSettings, split_name
from thumbnet.data.sources import is_place
from thumbnet.errors import ConfigError


def compare(
    settings: CompareSettings | None = None, *, overwrite: bool = False, quiet: bool = False, **changes: Any
) -> Comparison:
    """Trains recipes with several seeds as far as they are not trained, and compares them.

    Args:
        settings: All settings; or give them by name: `compare(recipes=[...], seeds=[0, 1], output=...)`.
        overwrite: Make runs again that were made with other settings than the recipes have now.
        quiet: Show nothing while working.
        **changes: Fields of `CompareSettings`, taking precedence over `settings`.

    Returns:
        The rows, also written to comparison.json, comparison.md, comparison.csv and pareto_*.png in `output`. A run
        that failed is in `failed` with its reason.

    Raises:
        ThumbNetError: If the recipes cannot be read or compared, or the teacher cannot be trained.
    """
    settings = _settings(settings, changes)
    output = Path(settings.output)
    _check_places(settings, output)
    splits: tuple[str | None, ...] = settings.splits or (None,)
    # Before any teacher's training: a wrong recipe is known at once.
    recipes = [one for split in splits for one in read_recipes(settings, _teacher_weights(settings, split), split)]
    if settings.splits and any(one.settings and one.settings.evaluation_data for one in recipes):
        raise ConfigError("splits: a recipe names evaluation_data, the same for every split; leave that out")
    best_of = matching("best_of", settings.best_of, dict.fromkeys(recipe.name for recipe in recipes))
    if settings.teacher_recipe and settings.train:
        for split in splits:
            data = split or settings.data
            teacher = read_recipe(Path(settings.teacher_recipe), {"data": data} if data else {})
            teacher = replace(teacher, output=str(_teacher_folder(settings, split)))
            train_shared_teacher(teacher, overwrite=overwrite, quiet=quiet)
    study = Study(
        title="Comparison",
        recipes=tuple(recipes),
        seeds=settings.seeds,
        output=output,
        best_of=best_of,
        equal_by=settings.equal_by,
        timing_rounds=settings.timing_rounds,
        train=settings.train,
        settings=asdict(settings),
    )
    comparison = carry_out(study, overwrite=overwrite, quiet=quiet)
    write(comparison, study)
    return comparison


def _teacher_folder(settings: CompareSettings, split: str | None) -> Path:
    return Path(settings.output) / (split_name(split) if split else "") / TEACHER


def _teacher_weights(settings: CompareSettings, split: str | None) -> str | None:
    """The given ones, or those that will be trained on the split."""
    trained = str(_teacher_folder(settings, split) / "teacher.safetensors") if settings.teacher_recipe else None
    return settings.teacher_weights or trained


def _check_places(settings: CompareSettings, output: Path) -> None:
    """What would fail every run is said before the first."""
    if output.exists() and not output.is_dir():
        raise ConfigError(f"output: {output} is a file; give a folder for the runs")
    for split in settings.splits:
        if is_place(split) and not (any(sign in split for sign in "*?[{") or Path(split).exists()):
            raise ConfigError(
                f"splits: there is no {split}; give folders, tables or shards, or elpv-fold0 to elpv-fold3"
            )
    if {"elpv", "elpv-fold0"} <= {*settings.splits}:
        raise ConfigError("splits: elpv and elpv-fold0 are the same; leave one out")
    weights = settings.teacher_weights
    if weights not in (None, "pretrained", "random") and not Path(weights).is_file():
        raise ConfigError(f"teacher_weights: no file at {weights}; give pretrained, or a file of train-teacher")


def _settings(settings: CompareSettings | None, changes: dict[str, Any]) -> CompareSettings:
    plain = {name: _plain(value) for name, value in changes.items()}
    try:
        return replace(settings, **plain) if settings else CompareSettings(**plain)
    except TypeError as error:
        raise ConfigError(f"settings: {error}; see `thumbnet compare --help`") from error


def _plain(value: Any) -> Any:
    """Lists as tuples and paths as text, which is how settings hold them."""
    if isinstance(value, list | tuple):
        return tuple(_plain(one) for one in value)
    return str(value) if isinstance(value, Path) else value
